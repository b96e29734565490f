"""The memories' slots: which pairs occupy them, and who has to go when they are full."""

from heapq import heapify, heappop, heappush

import msgspec

from .bell import BellDiagonal
from .births import Births
from .model import FOREVER_NS, PairState
from .pairs import Pair, ReadyPairs

_PURIFYING = PairState.PURIFYING  # looked up once: this is asked for every pair


class StoredPair(msgspec.Struct, frozen=True, array_like=True):
    """A pair as plain values."""

    id: int
    birth_ns: int
    outcome: int
    born_as: BellDiagonal
    width: float
    state: str
    shelved: bool
    tenant: str


class Slots:
    """Every pair that exists. A slot is taken from the herald until the pair has ended."""

    def __init__(self, count: int, min_useful_fidelity: float) -> None:
        self._count = count
        self._floor = min_useful_fidelity
        self.pairs: dict[int, Pair] = {}
        self.ready = ReadyPairs(min_useful_fidelity)
        self._losses: list[
            tuple[int, int]
        ] = []  # heap of when, pair: those that are not ready; stale entries are skipped

    def make_room(self, newcomer: Pair, promised: bool) -> Pair | None:
        """None if there is a slot for `newcomer`; else the pair to discard.

        That is the one useless soonest; not `newcomer` if it is `promised`, unless nobody else is free.
        """
        if len(self.pairs) < self._count or newcomer.id in self.pairs:
            return None
        least = self.ready.least_useful()
        if least is None:
            return newcomer
        if promised or least.lost_ns(self._floor) < newcomer.lost_ns(self._floor):
            return least
        return newcomer

    def shelve(self, pair: Pair) -> int:
        """Make it READY and free to be given; returns when it is lost."""
        pair.state = PairState.READY
        self.pairs[pair.id] = pair
        self.ready.add(pair)
        return pair.lost_ns(self._floor)

    def hold(self, pair: Pair, state: PairState) -> int:
        """Keep it for one purpose; returns when it is lost. A pair being purified is lost by its round alone."""
        if pair.shelved:
            self.ready.remove(pair)
        pair.state = state
        self.pairs[pair.id] = pair
        lost_ns = pair.lost_ns(self._floor)
        if state is _PURIFYING or lost_ns >= FOREVER_NS:
            return FOREVER_NS
        heappush(self._losses, (lost_ns, pair.id))
        if len(self._losses) > 4 * len(self.pairs) + 1024:
            self._losses = [entry for entry in self._losses if self._holds(*entry)]
            heapify(self._losses)
        return lost_ns

    def remove(self, pair: Pair) -> None:
        """It has ended."""
        if pair.shelved:
            self.ready.remove(pair)
        self.pairs.pop(pair.id, None)

    def lost(self, now_ns: int) -> list[Pair]:
        """Pairs that are useless by now; they stay until removed."""
        gone = {pair.id: pair for pair in self.ready.lost(now_ns)}
        while self._losses and self._losses[0][0] < now_ns:
            lost_ns, id = heappop(self._losses)
            if self._holds(lost_ns, id):
                gone[id] = self.pairs[id]
        return list(gone.values())

    def next_loss_ns(self) -> int:
        """No pair is useless before; may be too early."""
        held = self._losses[0][0] if self._losses else FOREVER_NS
        return min(held, self.ready.useless_ns())

    def state(self) -> list[StoredPair]:
        return [_stored(self.pairs[id]) for id in sorted(self.pairs)]

    def restore(self, state: list[StoredPair], births: Births) -> None:
        """Only for empty memories."""
        for stored in state:
            ageing = births.ageing(stored.born_as, stored.width)
            pair = Pair(stored.id, stored.birth_ns, stored.outcome, ageing)
            pair.tenant = stored.tenant
            if stored.shelved:
                self.shelve(pair)
            else:
                self.hold(pair, PairState(stored.state))

    def _holds(self, lost_ns: int, id: int) -> bool:
        pair = self.pairs.get(id)
        if pair is None or pair.shelved or pair.state is _PURIFYING:
            return False
        return pair.lost_ns(self._floor) == lost_ns


def _stored(pair: Pair) -> StoredPair:
    state, width = pair.ageing.state, pair.ageing.width
    return StoredPair(pair.id, pair.birth_ns, pair.outcome, state, width, pair.state, pair.shelved, pair.tenant)
