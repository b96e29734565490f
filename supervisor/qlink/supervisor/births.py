"""In which state a herald's pair is born."""

from dataclasses import dataclass

from qlink.firmware_bridge.wire import HeraldFlag

from .bell import BellDiagonal, depolarized
from .memory import AgeingState
from .model import Doubt, Settings

_STATES_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Birth:
    """The state, or why there is none worth keeping."""

    fidelity: float
    ageing: AgeingState | None
    reason: str = ""


class Births:
    """Equal states are one object, so that pairs of one kind lie on one shelf."""

    def __init__(self, settings: Settings) -> None:
        self._link = settings.link
        self._floor = settings.min_useful_fidelity
        self._births: dict[tuple[int, int], Birth] = {}
        self._ageing: dict[tuple[BellDiagonal, float], AgeingState] = {}

    def of(self, outcome: int, flags: int) -> Birth:
        known = self._births.get((outcome, flags))
        if known is None:
            known = self._births[outcome, flags] = self._make(outcome, HeraldFlag(flags & _DOUBTFUL))
        return known

    def ageing(self, state: BellDiagonal, width: float) -> AgeingState:
        """The one object for this state."""
        known = self._ageing.get((state, width))
        if known is None:
            if len(self._ageing) >= _STATES_KEPT:
                self._ageing.clear()
            known = self._ageing[state, width] = AgeingState(state, width, self._link)
        return known

    def _make(self, outcome: int, flags: HeraldFlag) -> Birth:
        if not 0 <= outcome < len(self._link.states):
            return Birth(0.25, None, f"outcome {outcome} is no Bell state: check the board's patterns")
        doubt = doubted(flags, self._link.doubt)
        clean = self._link.states[outcome]
        state = depolarized(clean, 1 - doubt)
        names = f"{flags.name}: " if flags else ""
        if doubt >= 1:
            return Birth(0.25, None, f"{names}not known what the herald announces")
        if state[0] < self._floor:
            return Birth(state[0], None, f"{names}born with fidelity {state[0]:.3f}, below {self._floor:g}")
        return Birth(state[0], self.ageing(state, self._link.uncertainty + clean[0] - state[0]))


_DOUBTFUL = HeraldFlag.REFERENCE_DOUBLED | HeraldFlag.REFERENCE_MISSED | HeraldFlag.HERALDS_LOST


def doubted(flags: HeraldFlag, doubt: Doubt) -> float:
    """Chance that a herald with these flags announces nothing."""
    sure = 1.0
    if flags & HeraldFlag.REFERENCE_DOUBLED:
        sure *= 1 - doubt.reference_doubled
    if flags & HeraldFlag.REFERENCE_MISSED:
        sure *= 1 - doubt.reference_missed
    if flags & HeraldFlag.HERALDS_LOST:
        sure *= 1 - doubt.heralds_lost
    return 1 - sure
