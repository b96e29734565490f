"""Keeps how the objectives stand: window after window, from the totals that the service counts."""

from dataclasses import dataclass, fields

from .messages import Standing
from .slo import Contract, Counts, History, Observed, judge, standing


@dataclass(frozen=True, slots=True)
class Window:
    """One window judged. `number` counts windows since 1970."""

    number: int
    counts: dict[str, Counts]


class Objectives:
    """Judges each window as it ends. Windows are aligned to 1970, so that their numbers survive a restart."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.totals: dict[str, Counts] = {}  # since the start, by SLI
        self._histories = {objective.id: History(objective.period_s) for objective in contract.objectives}
        self._before = Observed()

    def end_of_window_s(self, time_s: float) -> float:
        """When the window that `time_s` (since 1970) lies in is over."""
        return (time_s // self.contract.window_s + 1) * self.contract.window_s

    def begin(self, total: Observed) -> None:
        """Begin to judge: `total` was counted before."""
        self._before = total

    def close(self, time_s: float, total: Observed) -> Window:
        """End a window: `total` is what was counted since the start, `up` whether the board was there all the time."""
        counts = judge(_difference(total, self._before), self.contract)
        self._before = total
        for id, count in counts.items():
            self.totals[id] = self.totals.get(id, Counts()) + count
            if id in self._histories:
                self._histories[id].add(time_s, count)
        return Window(round(time_s / self.contract.window_s) - 1, counts)

    def standings(self) -> list[Standing]:
        return [standing(objective, self._histories[objective.id]) for objective in self.contract.objectives]


def _difference(now: Observed, before: Observed) -> Observed:
    counted = [field.name for field in fields(Observed) if field.name != "up"]
    return Observed(up=now.up, **{name: getattr(now, name) - getattr(before, name) for name in counted})
