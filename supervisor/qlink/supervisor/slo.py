"""Service level objectives: what was promised, how much of the error budget is left, and when to wake somebody.

Pure functions over counts of good and of all events. Method: Google, SRE Workbook, chapter 5 (multi-window burn rates).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

from .errors import RuleError, SettingsError
from .messages import Standing

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Counts:
    """Good events among all."""

    good: int = 0
    total: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.good + other.good, self.total + other.total)

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.good - other.good, self.total - other.total)

    @property
    def error_ratio(self) -> float:
        """Bad events of all; 0 when there were none."""
        return 1 - self.good / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Objective:
    """The share of good events that is promised over `period_s`."""

    id: str
    name: str
    share: float
    period_s: float = 30 * DAY_S

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise SettingsError(f"the objective of {self.id} is {self.share}: it has to lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class Contract:
    """What the link promises. A window of time is good for M1 when its heralds reach the rate but for chance."""

    rate_hz: float = 100.0  # heralds
    fidelity: float = 0.9  # of delivered pairs (M2)
    latency_s: float = 0.1  # from request to pair (M3)
    window_s: float = 1.0
    sigmas: float = 3.0  # Poisson standard deviations by which a window may fall short by chance
    objectives: tuple[Objective, ...] = (
        Objective("M1", "entanglement success", 0.90),
        Objective("M2", "fidelity of delivered pairs", 0.90),
        Objective("M3", "allocation latency", 0.50),
        Objective("M4", "link availability", 0.99),
        Objective("M9", "telemetry completeness", 0.999),
    )

    def __post_init__(self) -> None:
        if self.window_s <= 0 or self.rate_hz < 0:
            raise SettingsError("a contract needs window_s above 0 and rate_hz of 0 or more")

    @property
    def heralds_needed(self) -> float:
        """Heralds that make a window good."""
        expected = self.rate_hz * self.window_s
        return max(expected - self.sigmas * sqrt(expected), 0.0)


@dataclass(frozen=True, slots=True)
class Observed:
    """What happened in one window."""

    up: bool = False  # the board was there all the time
    heralds: int = 0
    pairs: int = 0  # delivered
    pairs_faithful: int = 0  # of these, at the contracted fidelity or above
    pairs_in_time: int = 0  # of these, within the contracted latency
    events: int = 0  # received from the board
    events_lost: int = 0


def judge(observed: Observed, contract: Contract) -> dict[str, Counts]:
    """Good and all events of one window, by SLI (design: M1 to M4 and M9)."""
    rate_met = observed.heralds >= contract.heralds_needed
    faithful = not observed.pairs or 2 * observed.pairs_faithful >= observed.pairs
    return {
        "M1": Counts(int(rate_met), 1),
        "M2": Counts(observed.pairs_faithful, observed.pairs),
        "M3": Counts(observed.pairs_in_time, observed.pairs),
        "M4": Counts(int(observed.up and rate_met and faithful), 1),
        "M9": Counts(observed.events, observed.events + observed.events_lost),
    }


def burn_rate(objective: float, error_ratio: float) -> float:
    """How many times faster than allowed the error budget is being spent."""
    return error_ratio / (1 - objective)


def hours_to_exhaust(rate: float, period_s: float = 30 * DAY_S) -> float:
    """Until a full budget is spent at this burn rate."""
    return period_s / HOUR_S / rate if rate > 0 else float("inf")


def budget_used(rate: float, duration_s: float, period_s: float = 30 * DAY_S) -> float:
    """Share of the budget that is spent in `duration_s` at this burn rate."""
    return rate * duration_s / period_s


def budget_left(objective: Objective, spent: Counts) -> float:
    """Share of the error budget left after `spent`, the period's events; below 0 when overdrawn."""
    return 1 - burn_rate(objective.share, spent.error_ratio)


@dataclass(frozen=True, slots=True)
class Rule:
    """Fire when the burn rate reaches `factor` over the long window and (so that it ends soon) the short one."""

    factor: float
    long_s: float
    short_s: float
    severity: str  # "page" or "ticket"


RULES = (
    Rule(14.4, HOUR_S, HOUR_S / 12, "page"),
    Rule(6.0, 6 * HOUR_S, HOUR_S / 2, "page"),
    Rule(1.0, 3 * DAY_S, 6 * HOUR_S, "ticket"),
)


def check_rule(objective: Objective, rule: Rule) -> None:
    """Raise `RuleError` when the rule could not fire even if every single event were bad."""
    highest = burn_rate(objective.share, 1.0)
    if rule.factor > highest * (1 + 1e-9):
        lowest = 1 - 1 / rule.factor
        raise RuleError(
            f"a burn rate of {rule.factor:g} can never be reached with the objective {objective.share:g} of "
            f"{objective.id}, whose highest is {highest:.3g}: take a lower factor or an objective from {lowest:.4f} up"
        )


def possible_rules(objective: Objective, rules: Sequence[Rule] = RULES) -> list[Rule]:
    """Those of `rules` that can fire at all."""
    return [rule for rule in rules if rule.factor <= burn_rate(objective.share, 1.0) * (1 + 1e-9)]


@dataclass(slots=True)
class History:
    """Counts over time, as running totals: any span's counts in logarithmic time. One entry a minute, for `keep_s`."""

    keep_s: float = 30 * DAY_S
    entry_s: float = 60.0
    _ends: list[float] = field(default_factory=list)
    _totals: list[Counts] = field(default_factory=list)
    _began_s: float | None = None
    _base: Counts = Counts()  # total up to the beginning of what is kept

    def add(self, time_s: float, counts: Counts) -> None:
        """Count what happened up to `time_s`, which does not go backwards."""
        if self._began_s is None:
            self._began_s = time_s
        total = (self._totals[-1] if self._totals else self._base) + counts
        if self._ends and time_s // self.entry_s == self._ends[-1] // self.entry_s:
            self._ends[-1], self._totals[-1] = time_s, total
            return
        self._ends.append(time_s)
        self._totals.append(total)
        if self._ends[0] < time_s - self.keep_s:
            self._base = self._totals.pop(0)
            self._ends.pop(0)

    def over(self, span_s: float) -> Counts:
        """What happened in the last `span_s`, to an entry's precision."""
        if not self._ends:
            return Counts()
        first = bisect_left(self._ends, self._ends[-1] - span_s + self.entry_s * 1e-9)
        return self._totals[-1] - (self._totals[first - 1] if first else self._base)

    @property
    def covered_s(self) -> float:
        """How long it has been counted."""
        return self._ends[-1] - self._began_s if self._began_s is not None else 0.0


def alert(objective: Objective, history: History, rules: Sequence[Rule] = RULES) -> str:
    """Return "page", "ticket" or "". A rule rests until its short window has been seen whole."""
    fired = {
        rule.severity
        for rule in possible_rules(objective, rules)
        if history.covered_s >= rule.short_s
        and all(
            burn_rate(objective.share, history.over(span_s).error_ratio) >= rule.factor
            for span_s in (rule.long_s, rule.short_s)
        )
    }
    return next((severity for severity in ("page", "ticket") if severity in fired), "")


def standing(objective: Objective, history: History) -> Standing:
    """How the objective stands."""
    spent = history.over(objective.period_s)
    return Standing(
        id=objective.id,
        name=objective.name,
        objective=objective.share,
        value=1 - spent.error_ratio if spent.total else None,
        budget_left=budget_left(objective, spent),
        burn_rate=burn_rate(objective.share, history.over(HOUR_S).error_ratio),
        alert=alert(objective, history),
    )
