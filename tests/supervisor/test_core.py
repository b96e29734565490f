"""What the core decides, told as stories. Times are in milliseconds here."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from qlink.firmware_bridge.wire import HeraldFlag
from qlink.supervisor.core import Core
from qlink.supervisor.effects import (
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
from qlink.supervisor.errors import SettingsError
from qlink.supervisor.events import (
    BoardStarted,
    Cancelled,
    Confirmed,
    Event,
    Heralded,
    Purified,
    Request,
    Requested,
    TelemetryLost,
    Ticked,
)
from qlink.supervisor.model import FOREVER_NS, LinkModel, PurificationPolicy, RefusalCode, Settings, Tenant

MS = 1_000_000
T = TypeVar("T")
GOOD = (0.92, 0.01, 0.02, 0.05)
PHASE_TYPE = (0.75, 0.02, 0.03, 0.20)
BLIND_TYPE = (0.75, 0.20, 0.03, 0.02)


class Story:
    """A core that is told events in order; heralds get their sequence numbers."""

    def __init__(self, settings: Settings) -> None:
        self.core = Core(settings)
        self.sequence = -1
        self.all: list[Effect] = []

    def told(self, event: Event) -> list[Effect]:
        effects = self.core.step(event)
        self.all += effects
        return effects

    def herald(self, ms: float, outcome: int = 0, flags: int = 0) -> list[Effect]:
        self.sequence += 1
        return self.told(Heralded(int(ms * MS), self.sequence, self.sequence, self.sequence * 7, 0, outcome, flags))

    def ask(self, ms: float, wish: Request) -> list[Effect]:
        return self.told(Requested(int(ms * MS), wish))

    def tick(self, ms: float) -> list[Effect]:
        return self.told(Ticked(int(ms * MS)))


def link(**changes: Any) -> Settings:
    """Pairs of .92 that stay above .9 for 23 ms and above .5 for 1.7 s."""
    return Settings(link=replace(LinkModel(states=(GOOD,) * 4), **changes))


def wish(key: str = "k", tenant: str = "ann", number: int = 1, min_fidelity: float = 0.9, ms: int = 1000) -> Request:
    return Request(key, tenant, number, min_fidelity, ms * MS)


def kinds(effects: list[Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def of(kind: type[T], effects: list[Effect]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def the(kind: type[T], effects: list[Effect]) -> T:
    (found,) = of(kind, effects)
    return found


@pytest.fixture
def story() -> Story:
    return Story(link())


def test_a_herald_goes_to_the_request_that_waits(story: Story) -> None:
    assert the(Acknowledged, story.ask(0, wish())).create_id == 1
    effects = story.herald(5, outcome=2)
    assert kinds(effects) == ["HeraldPublished", "Allocated", "Completed"]
    given = the(Allocated, effects)
    assert (given.pair, given.create_id, given.number, given.outcome) == (1, 1, 1, 2)
    assert given.waited_ns == 5 * MS
    assert given.fidelity == pytest.approx(0.92)
    assert given.fidelity_low < given.fidelity < given.fidelity_high
    assert 23 * MS < given.lifetime_ns < 24 * MS


def test_a_stored_pair_goes_to_the_request_that_comes(story: Story) -> None:
    story.herald(0)
    given = the(Allocated, story.ask(10, wish()))
    assert (given.pair, given.time_ns, given.waited_ns) == (1, 10 * MS, 0)
    assert 0.9 < given.fidelity < 0.92
    assert given.fidelity == pytest.approx(0.485 + 0.435 * math.exp(-0.02))


def test_the_pair_lost_soonest_that_still_serves_is_given(story: Story) -> None:
    for ms in (0, 10, 20):
        story.herald(ms)
    assert the(Allocated, story.ask(30, wish("a"))).pair == 2  # pair 1 has fallen below .9
    assert the(Allocated, story.ask(30, wish("b", min_fidelity=0.6))).pair == 1


def test_a_pair_has_to_live_as_long_as_asked(story: Story) -> None:
    story.herald(0)
    patient = Request("k", "ann", 1, 0.9, 1000 * MS, min_lifetime_ns=20 * MS)
    assert not of(Allocated, story.ask(10, patient))
    given = the(Allocated, story.herald(11))
    assert given.pair == 2
    assert given.lifetime_ns >= 20 * MS


def test_a_request_for_several_gets_them_one_by_one(story: Story) -> None:
    story.ask(0, wish(number=2))
    assert not of(Completed, story.herald(1))
    effects = story.herald(2)
    assert the(Allocated, effects).number == 2
    assert the(Completed, effects).create_id == 1
    assert kinds(story.herald(3)) == ["HeraldPublished"]


def test_an_atomic_request_gets_all_its_pairs_at_once_or_none(story: Story) -> None:
    story.ask(0, Request("k", "ann", 2, 0.9, 100 * MS, atomic=True))
    assert not of(Allocated, story.herald(1))
    assert not of(Allocated, story.ask(2, wish("greedy", "bob")))  # the first pair is kept back
    assert [each.pair for each in of(Allocated, story.herald(3))] == [1, 2]
    assert the(Allocated, story.herald(4)).tenant == "bob"


def test_pairs_kept_back_for_an_atomic_request_come_free_with_it(story: Story) -> None:
    story.ask(0, Request("k", "ann", 2, 0.9, 10 * MS, atomic=True))
    story.herald(1)
    story.ask(2, wish("other", "bob"))
    effects = story.tick(10)
    assert the(RequestExpired, effects).delivered == 0
    assert the(Allocated, effects).tenant == "bob"


def test_pairs_too_old_for_an_atomic_request_are_replaced(story: Story) -> None:
    story.ask(0, Request("k", "ann", 2, 0.9, 1000 * MS, atomic=True))
    story.herald(1)
    story.ask(2, wish("modest", "bob", min_fidelity=0.8))
    assert the(Allocated, story.tick(30)).pair == 1  # no longer .9: free for bob
    story.herald(31)
    assert [each.pair for each in of(Allocated, story.herald(32))] == [2, 3]


def test_a_request_expires_at_its_deadline(story: Story) -> None:
    story.ask(0, wish(ms=10, number=2))
    story.herald(1)
    assert story.core.next_deadline_ns == 10 * MS
    assert the(RequestExpired, story.tick(10)).delivered == 1
    assert not of(Allocated, story.herald(11))


def test_a_pair_expires_when_it_is_useless(story: Story) -> None:
    story.herald(0)
    due_ns = story.core.next_deadline_ns
    assert 1.6e9 < due_ns < 1.7e9
    assert story.core.step(Ticked(due_ns - 1)) == []
    assert the(PairEnded, story.core.step(Ticked(due_ns))).state == "EXPIRED"
    assert story.core.next_deadline_ns == FOREVER_NS


def test_a_pair_that_was_given_expires_too_unless_it_is_used(story: Story) -> None:
    story.ask(0, wish(number=2))
    story.herald(1)
    story.herald(2)
    assert story.told(Confirmed(3 * MS, "ann", 1, consumed=False)) == []
    assert the(PairEnded, story.told(Confirmed(4 * MS, "ann", 1, consumed=True))).state == "CONSUMED"
    assert [(each.pair, each.state) for each in of(PairEnded, story.tick(2000))] == [(2, "EXPIRED")]


def test_only_its_tenant_confirms_a_pair(story: Story) -> None:
    story.ask(0, wish())
    story.herald(1)
    for tenant, pair in (("bob", 1), ("ann", 2)):
        refusal = the(Refused, story.told(Confirmed(2 * MS, tenant, pair, consumed=True)))
        assert (refusal.code, refusal.key) == (RefusalCode.NO_SUCH_PAIR, "")


def test_measuring_directly_needs_no_memory() -> None:
    story = Story(link(memory_slots=1))
    story.ask(0, Request("k", "ann", 5, 0.9, 1000 * MS, measure_directly=True))
    for ms in range(1, 6):
        assert the(Allocated, story.herald(ms)).number == ms
    assert story.core.next_deadline_ns >= 1000 * MS


def test_a_full_memory_discards_the_least_useful_with_a_reason() -> None:
    story = Story(link(memory_slots=2))
    for ms in (0, 1):
        story.herald(ms)
    ended = the(PairEnded, story.herald(2))
    assert (ended.pair, ended.state) == (1, "DISCARDED")
    assert "memory full" in ended.reason
    story.ask(3, wish(number=2))
    assert the(PairEnded, story.herald(4)).pair == 4  # both others belong to ann


@pytest.mark.parametrize(
    ("flags", "ended"),
    [
        (HeraldFlag.GATED, None),
        (HeraldFlag.REFERENCE_DOUBLED, "REFERENCE_DOUBLED: not known what the herald announces"),
        (HeraldFlag.REFERENCE_MISSED | HeraldFlag.HERALDS_LOST, None),
    ],
)
def test_flags_of_a_herald_lower_its_pair_or_discard_it(story: Story, flags: HeraldFlag, ended: str | None) -> None:
    effects = story.herald(0, flags=flags)
    published = the(HeraldPublished, effects)
    assert (published.fidelity < 0.92) == (flags != HeraldFlag.GATED)
    assert [each.reason for each in of(PairEnded, effects)] == ([ended] if ended else [])


def test_a_doubtful_pair_serves_who_asks_for_less(story: Story) -> None:
    story.herald(0, flags=HeraldFlag.REFERENCE_MISSED)
    assert not of(Allocated, story.ask(0, wish("a", min_fidelity=0.9)))
    given = the(Allocated, story.ask(0, wish("b", min_fidelity=0.85)))
    assert given.fidelity == pytest.approx(0.95 * 0.92 + 0.05 / 4)
    assert given.fidelity_high >= 0.92


def test_an_outcome_that_is_no_bell_state_is_discarded(story: Story) -> None:
    assert "outcome 9 is no Bell state" in the(PairEnded, story.herald(0, outcome=9)).reason


def test_a_herald_seen_before_is_ignored_until_the_board_starts_anew(story: Story) -> None:
    story.herald(0)
    again = Heralded(1 * MS, 0, 0, 0, 0, 0, 0)
    assert kinds(story.told(again)) == ["HeraldIgnored"]
    assert "not above 0" in of(HeraldIgnored, story.all)[0].reason
    assert story.told(BoardStarted(2 * MS)) == []
    assert the(HeraldPublished, story.told(again)).pair == 2


def test_published_heralds_are_numbered_without_a_gap(story: Story) -> None:
    for ms, flags in enumerate((0, 2, 8, 0)):
        story.herald(ms, flags=flags)
    assert [each.pair for each in of(HeraldPublished, story.all)] == [1, 2, 3, 4]


def test_a_pair_is_ready_when_the_nodes_have_corrected_it() -> None:
    story = Story(link(settle_ns=2 * MS))
    story.ask(0, wish())
    assert kinds(story.herald(1)) == ["HeraldPublished"]
    assert story.core.next_deadline_ns == 3 * MS
    assert the(Allocated, story.tick(3)).waited_ns == 3 * MS


def test_time_never_goes_backwards(story: Story) -> None:
    story.ask(10, wish())
    given = the(Allocated, story.herald(4))  # it came to be before the request was made, and is that old
    assert given.time_ns == 10 * MS
    assert given.waited_ns == 0
    assert given.fidelity < 0.92


def test_the_same_key_is_answered_as_before_and_never_served_twice(story: Story) -> None:
    first = story.ask(0, wish())
    assert story.ask(1, wish()) == first
    story.herald(2)
    assert story.ask(3, wish()) == first
    assert not of(Allocated, story.herald(4))
    assert the(Refused, story.ask(5, wish(number=2))).code == RefusalCode.KEY_REUSED
    assert the(Acknowledged, story.ask(5, wish(tenant="bob"))).create_id == 2  # another tenant's key is another key


def test_a_refusal_is_repeated_too() -> None:
    story = Story(link())
    refused = story.ask(0, wish(min_fidelity=0.99))
    assert story.ask(1, wish(min_fidelity=0.99)) == refused


def test_ended_requests_are_remembered_up_to_a_limit_and_waiting_ones_always() -> None:
    story = Story(replace(link(memory_slots=1000), remembered_requests=2))
    waiting = story.ask(0, wish("waits", number=100, ms=10_000))
    for number in range(5):
        ended = wish(f"k{number}", "bob")
        story.ask(number, ended)
        story.told(Cancelled(number * MS, "bob", number + 2))
    assert story.ask(6, wish("waits", number=100, ms=10_000)) == waiting
    assert the(Acknowledged, story.ask(6, wish("k4", "bob"))).create_id == 6
    assert the(Acknowledged, story.ask(6, wish("k0", "bob"))).create_id == 7  # forgotten: the journal still knows it


REFUSALS: list[tuple[Request, RefusalCode, str]] = [
    (wish(tenant="eve"), RefusalCode.UNKNOWN_TENANT, "have the operator enter it"),
    (wish(key=""), RefusalCode.INVALID, "1 to 200 characters"),
    (wish(number=0), RefusalCode.INVALID, "at least one"),
    (wish(min_fidelity=math.nan), RefusalCode.INVALID, "between 0 and 1"),
    (wish(ms=0), RefusalCode.INVALID, "max_time_ns"),
    (Request("k", "ann", priority=8), RefusalCode.INVALID, "0 to 7"),
    (Request("k", "ann", 5, atomic=True), RefusalCode.NUMBER_TOO_LARGE, "ask for 4 or fewer"),
    (wish(number=1001), RefusalCode.NUMBER_TOO_LARGE, "split it into requests of 1000"),
    (wish(min_fidelity=0.99), RefusalCode.FIDELITY_UNREACHABLE, "ask for 0.9"),
    (Request("k", "ann", 1, 0.9, 10**9, min_lifetime_ns=10**9), RefusalCode.FIDELITY_UNREACHABLE, "shorter lifetime"),
    (wish(number=60), RefusalCode.QUOTA_EXCEEDED, "may wait for"),
    (wish(number=50, ms=10), RefusalCode.DEADLINE_TOO_SHORT, "later deadline"),
    (wish(tenant="tim", number=8), RefusalCode.QUOTA_EXCEEDED, "try again with a new key in 0.3 s"),
]


@pytest.mark.parametrize(("request_", "code", "sentence"), REFUSALS, ids=[code for _, code, _ in REFUSALS])
def test_a_no_comes_with_a_reason(request_: Request, code: RefusalCode, sentence: str) -> None:
    settings = replace(
        link(memory_slots=4, rate_hz=1000.0),
        tenants={"ann": Tenant(max_waiting=50), "tim": Tenant(rate_hz=10, burst=5)},
        default_tenant=None,
        max_number=1000,
    )
    refusal = the(Refused, Story(settings).ask(0, request_))
    assert refusal.code == code
    assert sentence in refusal.reason


def test_admission_predicts_from_the_rate_that_it_has_seen() -> None:
    story = Story(link(rate_hz=1000.0))
    assert the(Acknowledged, story.ask(0, wish("a", number=5, ms=10))).probability > 0.9
    story.herald(0)
    story.tick(15_000)  # nothing came since: the link is far below its contract
    refusal = the(Refused, story.ask(15_000, wish("b", number=5, ms=10)))
    assert refusal.code == RefusalCode.DEADLINE_TOO_SHORT
    assert refusal.probability < 0.05


def test_a_cancelled_request_waits_no_longer(story: Story) -> None:
    story.ask(0, wish(number=2))
    story.herald(1)
    assert the(RequestCancelled, story.told(Cancelled(2 * MS, "ann", 1))).delivered == 1
    assert kinds(story.herald(3)) == ["HeraldPublished"]
    for tenant in ("ann", "bob"):
        assert the(Refused, story.told(Cancelled(4 * MS, tenant, 1))).code == RefusalCode.NO_SUCH_REQUEST


def test_lost_telemetry_is_no_reason_to_act(story: Story) -> None:
    assert story.told(TelemetryLost(0, "heralds", 3)) == []


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LinkModel(memory_slots=0), "memory_slots is 0; it is 1 to"),
        (lambda: LinkModel(states=((0.5, 0.5, 0.5, -0.5),) * 4), "Bell-diagonal state"),
        (lambda: LinkModel(t2_s=(0.0, 1.0)), "t2_s"),
        (lambda: LinkModel(rate_hz=math.nan), "rate_hz"),
        (lambda: Tenant(weight=0), "weight is 0"),
        (lambda: PurificationPolicy(candidates=1), "candidates is 1"),
        (lambda: Settings(min_useful_fidelity=0.3), "min_useful_fidelity is 0.3"),
        (lambda: Settings(rate_window_s=0), "rate_window_s is 0"),
    ],
)
def test_settings_that_do_not_fit_are_named(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        make()


# -- purification

PHASES = Settings(link=LinkModel(states=(PHASE_TYPE,) * 4, t2_s=(10.0, 10.0)))


def test_two_pairs_are_purified_when_nothing_else_serves() -> None:
    story = Story(PHASES)
    story.ask(0, wish(min_fidelity=0.8))
    assert not of(Purify, story.herald(1))
    command = the(Purify, story.herald(2))
    assert {command.keep, command.spend} == {1, 2}
    effects = story.told(Purified(3 * MS, command.keep, command.spend, success=True))
    assert the(PairEnded, effects).state == "CONSUMED"
    given = the(Allocated, effects)
    assert given.pair == command.keep
    assert given.fidelity > 0.85


def test_nothing_is_purified_that_serves_as_it_is() -> None:
    story = Story(PHASES)
    story.ask(0, wish(min_fidelity=0.7))
    story.herald(1)
    assert not of(Purify, story.herald(2) + story.herald(3))


def test_errors_that_dejmps_is_blind_to_are_not_purified() -> None:
    settings = replace(PHASES, link=replace(PHASES.link, states=(PHASE_TYPE, BLIND_TYPE, BLIND_TYPE, BLIND_TYPE)))
    story = Story(settings)
    story.ask(0, wish(min_fidelity=0.8))
    story.herald(1, outcome=1)
    assert not of(Purify, story.herald(2, outcome=2))
    assert not of(Purify, story.herald(3, outcome=0))
    command = the(Purify, story.herald(4, outcome=0))
    assert {command.keep, command.spend} == {3, 4}


def test_nothing_is_purified_that_would_be_done_too_late() -> None:
    story = Story(PHASES)
    story.ask(0, wish(min_fidelity=0.8, ms=5))
    story.herald(1)
    assert not of(Purify, story.herald(4.5))


def test_no_more_rounds_than_pairs_are_missing() -> None:
    story = Story(PHASES)
    story.ask(0, wish(min_fidelity=0.8, number=2))
    for ms in range(1, 9):
        story.herald(ms)
    assert len(of(Purify, story.all)) == 2


def test_after_failures_it_rests_longer_each_time() -> None:
    policy = PurificationPolicy(backoff_ns=10 * MS, answer_ns=5 * MS)
    story = Story(replace(PHASES, purification=policy))
    story.ask(0, wish(min_fidelity=0.8, ms=10_000))
    for ms in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5):
        story.herald(ms)
    rests: list[int] = []
    for _ in range(2):
        command = of(Purify, story.all)[-1]
        failed_ns = rests[-1] if rests else 2 * MS
        effects = story.told(Purified(failed_ns, command.keep, command.spend, success=False))
        assert [each.state for each in of(PairEnded, effects)] == ["DISCARDED", "DISCARDED"]
        assert not of(Purify, effects)
        while not of(Purify, effects):
            due_ns = story.core.next_deadline_ns
            effects = story.told(Ticked(due_ns))
        rests.append(due_ns)
    assert rests == [12 * MS, 32 * MS]


def test_nodes_that_do_not_answer_cost_both_pairs() -> None:
    story = Story(PHASES)
    story.ask(0, wish(min_fidelity=0.8))
    story.herald(1)
    command = the(Purify, story.herald(2))
    ended = of(PairEnded, story.tick(12))
    assert {each.pair for each in ended} == {command.keep, command.spend}
    assert "did not answer" in ended[0].reason
    assert story.told(Purified(13 * MS, command.keep, command.spend, success=True)) == []


# -- the whole state


def test_a_restored_core_decides_as_the_old_one(story: Story) -> None:
    story.ask(0, Request("atomic", "ann", 3, 0.9, 1000 * MS, atomic=True))
    story.ask(0, wish("w", "bob", number=5))
    for ms in range(1, 4):
        story.herald(ms)
    other = Core(link())
    other.restore(story.core.snapshot())
    assert other.snapshot() == story.core.snapshot()
    for ms in range(4, 40):
        event = Heralded(ms * MS, ms + 10, ms, ms, 0, ms % 4, 0)
        assert other.step(event) == story.core.step(event)
    assert other.snapshot() == story.core.snapshot()
