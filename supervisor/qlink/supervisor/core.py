"""The supervisor's decisions: what it is told goes in, what is to be done comes out. See docs/life-cycle.md.

The core reads no clock, draws no random number and does no I/O: the same events give the same effects, byte for byte.
The shell's order of work: `effects = core.step(event)` for a batch, `journal.append(batch)`, then make them known.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import islice
from typing import Any

from . import snapshot as snapshots
from .births import Births
from .effects import (
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
from .events import BoardStarted, Cancelled, Confirmed, Event, Heralded, Purified, Requested, TelemetryLost, Ticked
from .model import FOREVER_NS, PairState, RefusalCode, Settings
from .pairs import Pair
from .purification import plan
from .purifier import Purifier, Round
from .request_book import RequestBook
from .requests import WaitingRequest
from .slots import Slots

DECISIONS = 1  # version of the rules; another one may decide otherwise on the same events

_ALLOCATED, _CONSUMED = PairState.ALLOCATED, PairState.CONSUMED  # looked up once, for every pair
_GOALS = 4  # waiting requests that a decision to purify looks at


class Core:
    """All pairs and requests of one link. Time never goes backwards: an event dated before the last one happens now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._births = Births(settings)
        self._slots = Slots(settings.link.memory_slots, settings.min_useful_fidelity)
        self._book = RequestBook(settings)
        self._purifier = Purifier(settings.purification)
        self._settling: list[int] = []  # STORED pairs, heap by id
        self._now_ns = 0
        self._pairs_made = 0
        self._last_sequence = -1
        self._due_ns = FOREVER_NS
        self._handlers: dict[type, Callable[[Any, int, list[Effect]], None]] = {
            Heralded: self._heralded,
            BoardStarted: self._board_started,
            Requested: self._requested,
            Cancelled: self._cancelled,
            Purified: self._purified,
            Confirmed: self._confirmed,
            TelemetryLost: self._noted,
            Ticked: self._noted,
        }

    @property
    def now_ns(self) -> int:
        """The latest time that it was told; 0 before the first event."""
        return self._now_ns

    @property
    def next_deadline_ns(self) -> int:
        """Nothing falls due before it: hand in `events.Ticked` then. FOREVER_NS when nothing waits."""
        return self._due_ns

    def step(self, event: Event) -> list[Effect]:
        """Take one event in; a herald that is allocated at once takes about 5 us."""
        effects: list[Effect] = []
        now_ns = event.time_ns
        if now_ns < self._now_ns:
            now_ns = self._now_ns
        else:
            self._now_ns = now_ns
        if now_ns >= self._due_ns:
            self._sweep(now_ns, effects)
        self._handlers[type(event)](event, now_ns, effects)
        return effects

    # -- what comes from the board and the nodes

    def _heralded(self, event: Heralded, now_ns: int, effects: list[Effect]) -> None:
        sequence, outcome = event.sequence, event.outcome
        if sequence <= self._last_sequence:
            reason = (
                f"sequence {sequence} is not above {self._last_sequence}: seen before, or a board's start was not told"
            )
            effects.append(HeraldIgnored(now_ns, sequence, reason))
            return
        self._last_sequence = sequence
        self._pairs_made = id = self._pairs_made + 1
        birth = self._births.of(outcome, event.flags)
        effects.append(
            HeraldPublished(
                event.time_ns,
                id,
                sequence,
                event.attempt,
                event.tick,
                event.pattern,
                outcome,
                event.flags,
                birth.fidelity,
            )
        )
        if birth.ageing is None:
            effects.append(PairEnded(id, "DISCARDED", birth.reason))
            return
        self._book.rate.saw(now_ns)
        pair = Pair(id, event.time_ns, outcome, birth.ageing)
        if self._settings.link.settle_ns:
            self._settle(pair, effects)
        elif event.time_ns < now_ns and pair.lost_ns(self._settings.min_useful_fidelity) < now_ns:
            self._end(pair, PairState.EXPIRED, "its herald came too late", effects)
        else:
            self._offer(pair, now_ns, effects)

    def _board_started(self, event: BoardStarted, now_ns: int, effects: list[Effect]) -> None:
        self._last_sequence = -1

    def _noted(self, event: Event, now_ns: int, effects: list[Effect]) -> None:
        """In the journal for those who count; what had fallen due by now is done already."""

    def _purified(self, event: Purified, now_ns: int, effects: list[Effect]) -> None:
        one = self._purifier.finish(event.keep, event.spend)
        if one is None:
            return  # its round was given up, and both pairs with it
        if not event.success:
            self._give_up(one, "purification failed", now_ns, effects)
            return
        self._purifier.succeeded()
        keep, spend = self._slots.pairs[one.keep], self._slots.pairs[one.spend]
        self._end(spend, PairState.CONSUMED, f"spent to purify pair {keep.id}", effects)
        keep.ageing = self._births.ageing(one.state, max(keep.ageing.width, spend.ageing.width))
        keep.birth_ns = one.started_ns
        if keep.lost_ns(self._settings.min_useful_fidelity) < now_ns:
            self._end(keep, PairState.EXPIRED, "purified, and useless all the same", effects)
        else:
            self._offer(keep, now_ns, effects)

    # -- what comes from applications

    def _requested(self, event: Requested, now_ns: int, effects: list[Effect]) -> None:
        answer, request = self._book.answer(event.request, self._slots.ready, now_ns)
        effects.append(answer)
        if request is not None:
            self._due(request.deadline_ns)
            self._serve(request, now_ns, effects)
            if not request.closed:
                self._consider_purification(now_ns, effects)

    def _cancelled(self, event: Cancelled, now_ns: int, effects: list[Effect]) -> None:
        request = self._book.find(event.tenant, event.create_id)
        if request is None:
            reason = (
                f"no request {event.create_id} of tenant {event.tenant!r} waits: it was served, expired or never made"
            )
            effects.append(Refused(event.tenant, "", RefusalCode.NO_SUCH_REQUEST, reason))
            return
        wish = request.wish
        self._book.close(request)
        effects.append(RequestCancelled(wish.tenant, wish.key, request.create_id, request.given))
        for pair in self._release(request):
            self._offer(pair, now_ns, effects)

    def _confirmed(self, event: Confirmed, now_ns: int, effects: list[Effect]) -> None:
        pair = self._slots.pairs.get(event.pair)
        if pair is None or not pair.tenant or pair.tenant != event.tenant:
            reason = f"tenant {event.tenant!r} holds no pair {event.pair}: it was used up, expired or never given"
            effects.append(Refused(event.tenant, "", RefusalCode.NO_SUCH_PAIR, reason))
        elif event.consumed:
            self._end(pair, _CONSUMED, "used", effects)
        else:
            pair.state = PairState.DELIVERED

    # -- pairs

    def _settle(self, pair: Pair, effects: list[Effect]) -> None:
        """Store it until the nodes have corrected it."""
        if self._room(pair, False, effects):
            self._slots.hold(pair, PairState.STORED)
            heappush(self._settling, pair.id)
            self._due(pair.birth_ns + self._settings.link.settle_ns)

    def _offer(self, pair: Pair, now_ns: int, effects: list[Effect]) -> None:
        """Give it to whose turn it is, or shelve it."""
        request = self._book.turns.pick(pair, now_ns) if self._book.turns.busy else None
        if request is not None:
            wish = request.wish
            if (wish.measure_directly and not wish.atomic) or self._room(pair, True, effects):
                self._take(request, pair, now_ns, effects)
            return
        if self._room(pair, False, effects):
            self._due(self._slots.shelve(pair) + 1)
            self._consider_purification(now_ns, effects)

    def _room(self, newcomer: Pair, promised: bool, effects: list[Effect]) -> bool:
        """Free a slot for it if need be; False if it was itself the one to go."""
        victim = self._slots.make_room(newcomer, promised)
        if victim is not None:
            self._end(victim, PairState.DISCARDED, "memory full, and this pair the least useful", effects)
        return victim is not newcomer

    def _end(self, pair: Pair, state: PairState, reason: str, effects: list[Effect]) -> None:
        self._slots.remove(pair)
        pair.state = state
        effects.append(PairEnded(pair.id, state, reason))

    # -- requests

    def _serve(self, request: WaitingRequest, now_ns: int, effects: list[Effect]) -> None:
        """Give it what is on the shelf, soonest lost first."""
        wish = request.wish
        while not request.closed:
            pair = self._slots.ready.soonest_lost(wish.min_fidelity, wish.min_lifetime_ns, now_ns)
            if pair is None:
                return
            self._take(request, pair, now_ns, effects)

    def _take(self, request: WaitingRequest, pair: Pair, now_ns: int, effects: list[Effect]) -> None:
        """Give it the pair; an atomic request keeps it back until it has all."""
        wish = request.wish
        if not wish.atomic:
            self._allocate(request, pair, now_ns, effects)
        else:
            self._slots.hold(pair, PairState.READY)
            request.reserved.append(pair.id)
            if len(request.reserved) < wish.number:
                self._book.gathering[request.create_id] = request
                self._due(pair.lost_ns(wish.min_fidelity) - wish.min_lifetime_ns + 1)
                return
            for id in request.reserved:
                self._allocate(request, self._slots.pairs[id], now_ns, effects)
            request.reserved = []
        if request.given == wish.number:
            self._book.close(request)
            effects.append(Completed(wish.tenant, wish.key, request.create_id))

    def _allocate(self, request: WaitingRequest, pair: Pair, now_ns: int, effects: list[Effect]) -> None:
        wish, ageing = request.wish, pair.ageing
        request.given = number = request.given + 1
        fidelity, low, high = ageing.estimate(now_ns - pair.birth_ns)
        lifetime_ns = pair.birth_ns + ageing.lifetime(wish.min_fidelity) - now_ns
        effects.append(
            Allocated(
                now_ns,
                wish.tenant,
                wish.key,
                request.create_id,
                pair.id,
                number,
                pair.outcome,
                fidelity,
                low,
                high,
                lifetime_ns,
                now_ns - request.made_ns,
            )
        )
        self._book.turns.charge(request)
        if wish.measure_directly:
            self._slots.remove(pair)
        else:
            pair.tenant = wish.tenant
            self._due(self._slots.hold(pair, _ALLOCATED) + 1)

    def _release(self, request: WaitingRequest) -> list[Pair]:
        """The pairs that were kept back for it."""
        reserved, request.reserved = request.reserved, []
        return [self._slots.pairs[id] for id in reserved if id in self._slots.pairs]

    # -- purification

    def _consider_purification(self, now_ns: int, effects: list[Effect]) -> None:
        """Start every round whose result would serve a waiting request that nothing on the shelf serves."""
        purifier, ready = self._purifier, self._slots.ready
        if ready.count < 2 or not self._book.turns.busy or now_ns < purifier.rest_until_ns:
            return
        for goal, missing in list(islice(self._book.turns.goals(), _GOALS)):
            while ready.count >= 2 and purifier.under_way(goal.quality) < missing:
                candidates = ready.best(purifier.policy.candidates)
                chosen = plan(candidates, goal, now_ns, self._settings.link, purifier.policy)
                if chosen is None:
                    break
                self._slots.hold(chosen.keep, PairState.PURIFYING)
                self._slots.hold(chosen.spend, PairState.PURIFYING)
                purifier.start(chosen, goal.quality, now_ns)
                self._due(now_ns + purifier.policy.answer_ns)
                effects.append(Purify(chosen.keep.id, chosen.spend.id, chosen.success))

    def _give_up(self, one: Round, reason: str, now_ns: int, effects: list[Effect]) -> None:
        self._purifier.failed(now_ns)
        self._due(self._purifier.wake_ns)
        for id in (one.keep, one.spend):
            self._end(self._slots.pairs[id], PairState.DISCARDED, reason, effects)

    # -- time

    def _due(self, time_ns: int) -> None:
        if time_ns < self._due_ns:
            self._due_ns = time_ns

    def _sweep(self, now_ns: int, effects: list[Effect]) -> None:
        """Do what has fallen due: take away first, then give what has become free to those who still wait."""
        for pair in self._slots.lost(now_ns):
            self._end(pair, PairState.EXPIRED, f"fidelity below {self._settings.min_useful_fidelity:g}", effects)
        free = self._expire_requests(now_ns, effects)
        for one in self._purifier.unanswered(now_ns):
            self._give_up(one, "the nodes did not answer in time whether purification succeeded", now_ns, effects)
        for request in list(self._book.gathering.values()):
            free += self._drop_stale(request, now_ns)
        for pair in free:
            self._offer(pair, now_ns, effects)
        self._end_settling(now_ns, effects)
        if now_ns >= self._purifier.wake_ns:
            self._purifier.wake_ns = FOREVER_NS
            self._consider_purification(now_ns, effects)
        self._due_ns = self._next_due_ns()

    def _expire_requests(self, now_ns: int, effects: list[Effect]) -> list[Pair]:
        """Close those whose deadline has come; the pairs that this sets free."""
        free: list[Pair] = []
        for request in self._book.expired(now_ns):
            effects.append(RequestExpired(request.wish.tenant, request.wish.key, request.create_id, request.given))
            free += self._release(request)
        return free

    def _drop_stale(self, request: WaitingRequest, now_ns: int) -> list[Pair]:
        """Take from an atomic request what is lost or no longer good enough for it; the pairs that this sets free."""
        wish = request.wish
        kept: list[Pair] = []
        free: list[Pair] = []
        for pair in self._release(request):
            good = pair.serves(wish.min_fidelity, wish.min_lifetime_ns, now_ns)
            (kept if good else free).append(pair)
        request.reserved = [pair.id for pair in kept]
        if not kept:
            del self._book.gathering[request.create_id]
        return free

    def _end_settling(self, now_ns: int, effects: list[Effect]) -> None:
        while self._settling:
            pair = self._slots.pairs.get(self._settling[0])
            if pair is not None and pair.birth_ns + self._settings.link.settle_ns > now_ns:
                return
            heappop(self._settling)
            if pair is not None:
                self._offer(pair, now_ns, effects)

    def _next_due_ns(self) -> int:
        settle = self._slots.pairs[self._settling[0]].birth_ns if self._settling else FOREVER_NS
        gathered = (
            self._slots.pairs[id].lost_ns(request.wish.min_fidelity) - request.wish.min_lifetime_ns + 1
            for request in self._book.gathering.values()
            for id in request.reserved
        )
        return min(
            self._slots.next_loss_ns() + 1,
            self._book.next_deadline_ns(),
            self._purifier.next_deadline_ns(),
            settle + self._settings.link.settle_ns,
            min(gathered, default=FOREVER_NS),
        )

    # -- the whole state

    def snapshot(self) -> bytes:
        """The whole state: the same bytes after the same events, however often it was restored between."""
        return snapshots.encode(
            snapshots.Snapshot(
                now_ns=self._now_ns,
                pairs_made=self._pairs_made,
                last_sequence=self._last_sequence,
                settling=sorted(id for id in self._settling if id in self._slots.pairs),
                pairs=self._slots.state(),
                book=self._book.state(),
                purifier=self._purifier.state(),
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Continue from `snapshot` as if all events before it had been handed in. Only for a new core."""
        told = snapshots.decode(snapshot)
        self._now_ns, self._pairs_made = told.now_ns, told.pairs_made
        self._last_sequence = told.last_sequence
        self._slots.restore(told.pairs, self._births)
        self._settling = list(told.settling)  # sorted, so a heap
        self._book.restore(told.book)
        self._purifier.restore(told.purifier)
        self._due_ns = self._next_due_ns()
