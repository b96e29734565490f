"""The rounds of purification that the nodes are at, and how long to leave it after failures."""

from collections import deque

import msgspec

from .bell import BellDiagonal
from .model import FOREVER_NS, PurificationPolicy
from .purification import Plan, Quality, backoff_ns


class Round(msgspec.Struct, frozen=True, array_like=True):
    """One DEJMPS round under way."""

    keep: int
    spend: int
    quality: Quality  # for whose sake
    started_ns: int
    state: BellDiagonal  # the kept pair's as of `started_ns`, if it succeeds


class PurifierState(msgspec.Struct, frozen=True, array_like=True):
    """The book-keeping as plain values."""

    rounds: list[Round]
    failures: int
    rest_until_ns: int
    wake_ns: int


class Purifier:
    """Book-keeping of rounds. After `failures` in a row nothing starts before `rest_until_ns`."""

    def __init__(self, policy: PurificationPolicy) -> None:
        self.policy = policy
        self.rounds: dict[int, Round] = {}  # by the pair to keep
        self._order: deque[Round] = deque()  # by start; may hold finished ones
        self.failures = 0
        self.rest_until_ns = 0
        self.wake_ns = FOREVER_NS  # when to look again after a rest

    def start(self, plan: Plan, quality: Quality, now_ns: int) -> None:
        one = Round(plan.keep.id, plan.spend.id, quality, now_ns, plan.state)
        self.rounds[one.keep] = one
        self._order.append(one)

    def finish(self, keep: int, spend: int) -> Round | None:
        """The round that the nodes speak of; None if there is no such round (any more)."""
        one = self.rounds.get(keep)
        if one is None or one.spend != spend:
            return None
        return self.rounds.pop(keep)

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, now_ns: int) -> None:
        """Rest; each failure in a row doubles how long."""
        self.failures += 1
        self.rest_until_ns = self.wake_ns = now_ns + backoff_ns(self.failures, self.policy)

    def under_way(self, quality: Quality) -> int:
        """How many rounds are to yield a pair of this quality."""
        return sum(one.quality == quality for one in self.rounds.values())

    def unanswered(self, now_ns: int) -> list[Round]:
        """Take out the rounds that the nodes have not answered in time."""
        late = []
        while self._order and self._order[0].started_ns + self.policy.answer_ns <= now_ns:
            one = self._order.popleft()
            if self.rounds.get(one.keep) is one:
                late.append(self.rounds.pop(one.keep))
        return late

    def next_deadline_ns(self) -> int:
        answer = self._order[0].started_ns + self.policy.answer_ns if self._order else FOREVER_NS
        return min(answer, self.wake_ns)

    def state(self) -> PurifierState:
        under_way = [one for one in self._order if self.rounds.get(one.keep) is one]
        return PurifierState(under_way, self.failures, self.rest_until_ns, self.wake_ns)

    def restore(self, state: PurifierState) -> None:
        """Only for a new one."""
        self.rounds = {one.keep: one for one in state.rounds}
        self._order = deque(state.rounds)
        self.failures, self.rest_until_ns, self.wake_ns = state.failures, state.rest_until_ns, state.wake_ns
