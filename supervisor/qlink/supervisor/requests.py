"""Requests that wait for pairs."""

from collections import OrderedDict

import msgspec

from .effects import Acknowledged, Refused
from .events import Request


class WaitingRequest(msgspec.Struct, array_like=True):
    """An acknowledged request that has not got all its pairs."""

    create_id: int
    wish: Request
    made_ns: int
    given: int = 0
    reserved: list[int] = msgspec.field(default_factory=list)  # pairs kept back until an atomic request has all
    closed: bool = False

    @property
    def deadline_ns(self) -> int:
        return self.made_ns + self.wish.max_time_ns

    @property
    def missing(self) -> int:
        """Pairs to find yet."""
        return self.wish.number - self.given - len(self.reserved)


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """What a tenant was told about a key, to be told again."""

    wish: Request
    answer: Acknowledged | Refused


class AnsweredRequests:
    """The memory that makes requests idempotent. Forgets the oldest beyond `limit`; the journal still knows them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_key: OrderedDict[tuple[str, str], Answered] = OrderedDict()  # a dict is slow to give up its oldest

    def find(self, wish: Request) -> Answered | None:
        return self._by_key.get((wish.tenant, wish.key))

    def add(self, answered: Answered, waiting: dict[int, WaitingRequest]) -> None:
        """Remember; what still waits is never forgotten."""
        self._by_key[answered.wish.tenant, answered.wish.key] = answered
        while len(self._by_key) > self._limit + len(waiting):
            oldest, known = self._by_key.popitem(last=False)
            if isinstance(known.answer, Acknowledged) and known.answer.create_id in waiting:
                self._by_key[oldest] = known

    def all(self) -> list[Answered]:
        return list(self._by_key.values())

    def replace(self, answered: list[Answered]) -> None:
        self._by_key = OrderedDict(((known.wish.tenant, known.wish.key), known) for known in answered)
