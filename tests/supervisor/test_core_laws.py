"""Laws that hold whatever the core is told."""

from collections import Counter

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from qlink.supervisor.core import Core
from qlink.supervisor.effects import (
    Acknowledged,
    Allocated,
    Completed,
    Effect,
    HeraldPublished,
    PairEnded,
    Purify,
    Refused,
    RequestCancelled,
    RequestExpired,
)
from qlink.supervisor.events import (
    Cancelled,
    Confirmed,
    Event,
    Heralded,
    Purified,
    Request,
    Requested,
    Ticked,
)
from qlink.supervisor.model import LinkModel, PurificationPolicy, Settings, Tenant

MS = 1_000_000
SLOTS = 8
QUOTA = 12
TENANTS = ("ann", "bob", "cyd")
SETTINGS = Settings(
    link=LinkModel(
        states=((0.92, 0.01, 0.02, 0.05), (0.75, 0.02, 0.03, 0.20), (0.8, 0.1, 0.05, 0.05), (0.86, 0.01, 0.1, 0.03)),
        t2_s=(0.3, 0.5),
        memory_slots=SLOTS,
        settle_ns=100_000,
    ),
    tenants={"ann": Tenant(weight=3.0), "bob": Tenant()},
    default_tenant=Tenant(max_waiting=QUOTA),
    purification=PurificationPolicy(answer_ns=50 * MS),
    lowest_class_every=4,
)


class LinkMachine(RuleBasedStateMachine):
    """Tells a core anything at all, keeps its own books, and holds each effect against them."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core(SETTINGS)
        self.now_ns = 0
        self.heralds = 0
        self.wishes: dict[tuple[str, str], Request] = {}
        self.asked_ns: dict[int, int] = {}
        self.request: dict[int, Request] = {}
        self.given: Counter[int] = Counter()
        self.over: set[int] = set()
        self.owner: dict[int, str] = {}
        self.born: set[int] = set()
        self.ended: set[int] = set()
        self.rounds: list[Purify] = []

    @rule(
        outcomes=st.lists(st.integers(0, 3), min_size=1, max_size=5),
        flags=st.sampled_from((0, 0, 0, 0, 0, 1, 2, 4, 8)),
        late_ns=st.integers(0, MS),
    )
    def herald(self, outcomes: list[int], flags: int, late_ns: int) -> None:
        for outcome in outcomes:
            self.heralds += 1
            birth_ns = max(0, self.now_ns - late_ns)
            self.tell(Heralded(birth_ns, self.heralds, self.heralds, self.heralds, 0, outcome, flags))
            self.now_ns += 150_000

    @rule(
        key=st.integers(0, 60),
        tenant=st.sampled_from(TENANTS),
        number=st.integers(1, 4),
        fidelity=st.sampled_from((0.55, 0.7, 0.7, 0.78, 0.81, 0.9)),
        time_ms=st.integers(1, 200),
        lifetime_ms=st.sampled_from((0, 0, 1)),
        priority=st.integers(0, 2),
        atomic=st.sampled_from((False, False, True)),
        direct=st.sampled_from((False, False, True)),
    )
    def ask(
        self,
        key: int,
        tenant: str,
        number: int,
        fidelity: float,
        time_ms: int,
        lifetime_ms: int,
        priority: int,
        atomic: bool,
        direct: bool,
    ) -> None:
        time_ns, lifetime_ns = time_ms * MS, lifetime_ms * MS
        wish = Request(f"k{key}", tenant, number, fidelity, time_ns, lifetime_ns, priority, 0, atomic, direct)
        self.wishes.setdefault((tenant, wish.key), wish)
        self.tell(Requested(self.now_ns, wish))

    @rule(ns=st.integers(0, 5 * MS))
    def wait(self, ns: int) -> None:
        self.now_ns += ns
        self.tell(Ticked(self.now_ns))

    @rule()
    def wait_until_something_is_due(self) -> None:
        if self.core.next_deadline_ns < 10**12:
            self.now_ns = max(self.now_ns, self.core.next_deadline_ns)
            self.tell(Ticked(self.now_ns))

    @rule(success=st.booleans(), pick=st.integers(0, 100))
    def answer_a_round(self, success: bool, pick: int) -> None:
        if self.rounds:
            one = self.rounds.pop(pick % len(self.rounds))
            self.tell(Purified(self.now_ns, one.keep, one.spend, success))

    @rule(stranger=st.booleans(), pick=st.integers(0, 100))
    def cancel(self, stranger: bool, pick: int) -> None:
        if open_ := sorted(self.request.keys() - self.over):
            create_id = open_[pick % len(open_)]
            tenant = "eve" if stranger else self.request[create_id].tenant
            self.tell(Cancelled(self.now_ns, tenant, create_id))

    @rule(stranger=st.sampled_from((False, False, True)), pick=st.integers(0, 100), consumed=st.booleans())
    def confirm(self, stranger: bool, pick: int, consumed: bool) -> None:
        if held := sorted(self.owner.keys() - self.ended):
            pair = held[pick % len(held)]
            self.tell(Confirmed(self.now_ns, "eve" if stranger else self.owner[pair], pair, consumed))

    @rule()
    def restart(self) -> None:
        """From here on the twin that was restored decides; its snapshot is the same."""
        state = self.core.snapshot()
        self.core = Core(SETTINGS)
        self.core.restore(state)
        assert self.core.snapshot() == state

    def tell(self, event: Event) -> None:
        effects = self.core.step(event)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(effects), type=list[Effect]) == effects
        for effect in effects:
            self.book(effect)

    def book(self, effect: Effect) -> None:
        match effect:
            case HeraldPublished():
                assert effect.pair == len(self.born) + 1
                self.born.add(effect.pair)
            case Acknowledged():
                wish = self.wishes[effect.tenant, effect.key]
                assert self.request.setdefault(effect.create_id, wish) is wish
                self.asked_ns.setdefault(effect.create_id, self.now_ns)
            case Allocated():
                self.book_allocation(effect)
            case Completed():
                assert self.given[effect.create_id] == self.request[effect.create_id].number
                self.close(effect.create_id)
            case RequestExpired():
                assert self.now_ns >= self.asked_ns[effect.create_id] + self.request[effect.create_id].max_time_ns
                assert effect.delivered == self.given[effect.create_id]
                self.close(effect.create_id)
            case RequestCancelled():
                assert effect.delivered == self.given[effect.create_id]
                self.close(effect.create_id)
            case Purify():
                assert not {effect.keep, effect.spend} & (self.ended | self.owner.keys())
                self.rounds.append(effect)
            case PairEnded():
                assert effect.pair in self.born - self.ended
                assert effect.reason
                self.ended.add(effect.pair)
            case Refused():
                assert effect.reason
            case _:
                raise AssertionError(effect)

    def book_allocation(self, given: Allocated) -> None:
        wish = self.request[given.create_id]
        assert given.pair in self.born - self.ended
        assert given.pair not in self.owner, "no pair is given twice"
        assert given.create_id not in self.over
        assert given.fidelity >= wish.min_fidelity
        assert given.lifetime_ns >= wish.min_lifetime_ns
        assert self.now_ns < self.asked_ns[given.create_id] + wish.max_time_ns
        self.given[given.create_id] += 1
        assert given.number == self.given[given.create_id] <= wish.number
        self.owner[given.pair] = given.tenant
        if wish.measure_directly:
            self.ended.add(given.pair)

    def close(self, create_id: int) -> None:
        assert create_id not in self.over, "a request ends once"
        self.over.add(create_id)

    @invariant()
    def no_more_pairs_than_memories(self) -> None:
        assert len(self.born - self.ended) <= SLOTS

    @invariant()
    def nobody_waits_for_more_than_its_quota(self) -> None:
        waiting: Counter[str] = Counter()
        for create_id, wish in self.request.items():
            if create_id not in self.over:
                waiting[wish.tenant] += wish.number - self.given[create_id]
        assert waiting["cyd"] <= QUOTA

    @invariant()
    def an_atomic_request_has_all_or_nothing(self) -> None:
        for create_id, wish in self.request.items():
            if wish.atomic:
                assert self.given[create_id] in (0, wish.number)

    def teardown(self) -> None:
        """In the end nothing that was promised is forgotten: every request and every pair has ended, with a word."""
        self.now_ns += 3600 * 1000 * MS
        self.tell(Ticked(self.now_ns))
        assert self.over == self.request.keys()
        assert self.ended == self.born


LinkMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=80, deadline=None)
TestCore = LinkMachine.TestCase
