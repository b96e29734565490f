"""Counts of what was decided: plain numbers that the loop adds to, and that a scrape reads from another thread."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .effects import (
    Acknowledged,
    Allocated,
    Completed,
    Effect,
    HeraldIgnored,
    HeraldPublished,
    PairEnded,
    Purify,
    Refused,
    RequestCancelled,
    RequestExpired,
)
from .slo import Contract, Observed

NS_PER_S = 1_000_000_000
LATENCY_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
COMMIT_BOUNDS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0)
FIDELITY_BOUNDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 1.0)

ANSWERS: dict[type[Effect], str] = {
    Acknowledged: "acknowledged",
    Refused: "refused",
    Completed: "completed",
    RequestExpired: "expired",
    RequestCancelled: "cancelled",
}


class Histogram:
    """Counts by upper bound (inclusive), and the sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(slots=True)
class Tally:
    """Since the supervisor started. `pairs` counts how often a pair came into a state, `requests` answers by kind."""

    contract: Contract
    heralds: Counter[int] = field(default_factory=Counter)  # by outcome
    pairs: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    heralds_ignored: int = 0
    rounds: int = 0  # of purification
    pairs_faithful: int = 0
    pairs_in_time: int = 0
    waited_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS_S))
    herald_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS_S))
    commit_s: Histogram = field(default_factory=lambda: Histogram(COMMIT_BOUNDS_S))
    fidelity: Histogram = field(default_factory=lambda: Histogram(FIDELITY_BOUNDS))

    def take(self, effects: Iterable[Effect], now_ns: int) -> None:
        """Count what was made known at `now_ns`."""
        for effect in effects:
            kind = type(effect)
            if kind is HeraldPublished:
                self.heralds[effect.outcome] += 1  # type: ignore[union-attr]
                self.herald_s.observe((now_ns - effect.time_ns) / NS_PER_S)  # type: ignore[union-attr]
            elif kind is Allocated:
                self._allocated(effect)  # type: ignore[arg-type]
            elif isinstance(effect, PairEnded):
                self.pairs[effect.state] += 1
            elif isinstance(effect, Purify):
                self.rounds += 1
            elif isinstance(effect, HeraldIgnored):
                self.heralds_ignored += 1
            else:
                self.requests[ANSWERS[kind]] += 1

    def _allocated(self, effect: Allocated) -> None:
        self.pairs["ALLOCATED"] += 1
        self.fidelity.observe(effect.fidelity)
        waited_s = effect.waited_ns / NS_PER_S
        self.waited_s.observe(waited_s)
        self.pairs_faithful += effect.fidelity >= self.contract.fidelity
        self.pairs_in_time += waited_s <= self.contract.latency_s

    def observed(self, up: bool, received: int, lost: int) -> Observed:
        """The totals, as `slo.judge` wants them for a window once those of its beginning are taken off."""
        return Observed(
            up,
            sum(self.heralds.values()),
            self.pairs["ALLOCATED"],
            self.pairs_faithful,
            self.pairs_in_time,
            received,
            lost,
        )
