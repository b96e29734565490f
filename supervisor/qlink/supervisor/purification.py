"""When to purify, and which two pairs. Pure functions: no clock, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from .bell import BellDiagonal, dejmps
from .memory import AgeingState
from .model import LinkModel, PurificationPolicy
from .pairs import Pair

__all__ = ["Goal", "Plan", "Quality", "backoff_ns", "plan", "reachable"]


Quality = tuple[float, int]  # fidelity, and for how long (ns)


@dataclass(frozen=True, slots=True)
class Goal:
    """What the result has to be good for."""

    quality: Quality
    deadline_ns: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Spend one pair to better the other; `state` is the kept one's as of now, if the round succeeds."""

    keep: Pair
    spend: Pair
    success: float
    state: BellDiagonal


def plan(pairs: Sequence[Pair], goal: Goal, now_ns: int, link: LinkModel, policy: PurificationPolicy) -> Plan | None:
    """The round most likely to succeed whose result serves `goal` when it is done; None if there is none.

    Every two of `pairs` are tried as they are now, of unequal age and whatever their errors: two that DEJMPS would
    worsen never serve. Among equals it spends those that are lost soonest (the last in `pairs`).
    """
    done_ns = now_ns + policy.duration_ns
    if not policy.enabled or done_ns > goal.deadline_ns:
        return None
    fidelity, lifetime_ns = goal.quality
    aged = [(pair, pair.ageing.aged(now_ns - pair.birth_ns)) for pair in pairs]
    best: Plan | None = None
    for (keep, first), (spend, second) in combinations(aged, 2):
        state, success = dejmps(first, second)
        if success < policy.min_success or state[0] < fidelity or (best and success < best.success):
            continue
        after = AgeingState(state, 0.0, link).fidelity(policy.duration_ns + lifetime_ns)
        if after >= fidelity:
            best = Plan(keep, spend, success, state)
    return best


def reachable(first: BellDiagonal, second: BellDiagonal, age_ns: int, link: LinkModel) -> tuple[float, float]:
    """Fidelity `age_ns` after one round on two fresh pairs, and the chance that it succeeds."""
    state, success = dejmps(first, second)
    return AgeingState(state, 0.0, link).fidelity(age_ns), success


def backoff_ns(failures: int, policy: PurificationPolicy) -> int:
    """How long to leave it after so many failures in a row."""
    if failures == 0:
        return 0
    return min(policy.max_backoff_ns, policy.backoff_ns << min(failures - 1, 40))
