"""The pairs that wait in memory, findable by who is lost soonest."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from .memory import AgeingState
from .model import FOREVER_NS, PairState

_STORED = PairState.STORED  # a member of an enum costs as much as all else that a new pair does


class Pair:
    """One entangled pair that occupies a memory slot."""

    __slots__ = ("ageing", "birth_ns", "id", "outcome", "shelved", "state", "tenant")

    def __init__(self, id: int, birth_ns: int, outcome: int, ageing: AgeingState) -> None:
        self.id = id
        self.birth_ns = birth_ns
        self.outcome = outcome
        self.ageing = ageing
        self.state = _STORED
        self.shelved = False  # free to be given
        self.tenant = ""  # whose it is, once ALLOCATED

    def lost_ns(self, fidelity: float) -> int:
        """The last moment at which it has `fidelity`."""
        return self.birth_ns + self.ageing.lifetime(fidelity)

    def serves(self, fidelity: float, lifetime_ns: int, now_ns: int) -> bool:
        """Whether it will have `fidelity` from now on for `lifetime_ns`."""
        return self.birth_ns + self.ageing.lifetime(fidelity) >= now_ns + lifetime_ns


class Shelf:
    """Pairs that were born in one state: the oldest is always the next to be lost, whatever fidelity is asked."""

    __slots__ = ("births", "pairs")

    def __init__(self) -> None:
        self.births: list[int] = []
        self.pairs: list[Pair] = []

    def add(self, pair: Pair) -> None:
        place = bisect_right(self.births, pair.birth_ns)
        while place and self.births[place - 1] == pair.birth_ns and self.pairs[place - 1].id > pair.id:
            place -= 1
        self.births.insert(place, pair.birth_ns)
        self.pairs.insert(place, pair)

    def remove(self, pair: Pair) -> None:
        place = bisect_left(self.births, pair.birth_ns)
        while self.pairs[place] is not pair:
            place += 1
        del self.births[place], self.pairs[place]


class ReadyPairs:
    """All pairs free to be given. Finding one takes time with the number of distinct birth states, not of pairs."""

    def __init__(self, min_useful_fidelity: float) -> None:
        self._floor = min_useful_fidelity
        self._shelves: dict[AgeingState, Shelf] = {}
        self.count = 0

    def __iter__(self) -> Iterator[Pair]:
        for shelf in self._shelves.values():
            yield from shelf.pairs

    def add(self, pair: Pair) -> None:
        shelf = self._shelves.get(pair.ageing)
        if shelf is None:
            shelf = self._shelves[pair.ageing] = Shelf()
        shelf.add(pair)
        pair.shelved = True
        self.count += 1

    def remove(self, pair: Pair) -> None:
        shelf = self._shelves[pair.ageing]
        shelf.remove(pair)
        if not shelf.pairs:
            del self._shelves[pair.ageing]
        pair.shelved = False
        self.count -= 1

    def soonest_lost(self, fidelity: float, lifetime_ns: int, now_ns: int) -> Pair | None:
        """Among those that have `fidelity` for `lifetime_ns` from now on, the one that loses it first."""
        best, best_key = None, (FOREVER_NS * 2, 0)
        for ageing, shelf in self._shelves.items():
            lifetime = ageing.lifetime(fidelity)
            if lifetime < 0:
                continue
            place = bisect_left(shelf.births, now_ns + lifetime_ns - lifetime)
            if place < len(shelf.pairs):
                pair = shelf.pairs[place]
                key = (pair.birth_ns + lifetime, pair.id)
                if key < best_key:
                    best, best_key = pair, key
        return best

    def serving(self, fidelity: float, lifetime_ns: int, now_ns: int) -> int:
        """How many have `fidelity` for `lifetime_ns` from now on."""
        total = 0
        for ageing, shelf in self._shelves.items():
            lifetime = ageing.lifetime(fidelity)
            if lifetime >= 0:
                total += len(shelf.births) - bisect_left(shelf.births, now_ns + lifetime_ns - lifetime)
        return total

    def least_useful(self) -> Pair | None:
        """The one that is useless soonest."""
        return min(self._oldest(), key=self._useless, default=None)

    def useless_ns(self) -> int:
        """When the first of them is lost."""
        return min((pair.lost_ns(self._floor) for pair in self._oldest()), default=FOREVER_NS)

    def lost(self, now_ns: int) -> list[Pair]:
        """Those that are useless by now, soonest lost first."""
        gone = []
        for ageing, shelf in self._shelves.items():
            gone += shelf.pairs[: bisect_left(shelf.births, now_ns - ageing.lifetime(self._floor))]
        return sorted(gone, key=self._useless)

    def best(self, count: int) -> list[Pair]:
        """The `count` that stay useful longest, best first."""
        young = [pair for shelf in self._shelves.values() for pair in shelf.pairs[-count:]]
        return sorted(young, key=self._useless, reverse=True)[:count]

    def _oldest(self) -> list[Pair]:
        return [shelf.pairs[0] for shelf in self._shelves.values()]

    def _useless(self, pair: Pair) -> tuple[int, int]:
        return pair.lost_ns(self._floor), pair.id
