from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.supervisor.admission import Buckets, ObservedRate, poisson_at_least
from qlink.supervisor.allocation import Turns, share
from qlink.supervisor.events import Request
from qlink.supervisor.memory import AgeingState
from qlink.supervisor.model import LinkModel, Tenant
from qlink.supervisor.pairs import Pair, ReadyPairs
from qlink.supervisor.requests import WaitingRequest

MS = 1_000_000
LINK = LinkModel(t2_s=(0.1, 0.1))
GOOD = AgeingState((0.92, 0.01, 0.02, 0.05), 0.02, LINK)
FAIR = AgeingState((0.8, 0.05, 0.05, 0.10), 0.02, LINK)
WEIGHTS = {"ann": 3.0, "bob": 1.0, "cyd": 0.5}


def turns(lowest_class_every: int = 0) -> Turns:
    return Turns(lowest_class_every, lambda name: share(Tenant(WEIGHTS.get(name, 1.0))))


def waiting(create_id: int, tenant: str = "ann", number: int = 1, priority: int = 0, **more: object) -> WaitingRequest:
    fields = {"min_fidelity": 0.7, "max_time_ns": 1000 * MS, **more}
    return WaitingRequest(create_id, Request(f"k{create_id}", tenant, number, priority=priority, **fields), 0)  # type: ignore[arg-type]


def serve(order: Turns, pair: Pair, now_ns: int = 0) -> WaitingRequest | None:
    """Give one pair to whose turn it is."""
    request = order.pick(pair, now_ns)
    if request is not None:
        request.given += 1
        order.charge(request)
        if request.missing == 0:
            order.close(request)
    return request


def served_tenants(order: Turns, pairs: int) -> Counter[str]:
    served = (serve(order, Pair(id, 0, 0, GOOD)) for id in range(pairs))
    return Counter(request.wish.tenant for request in served if request)


def test_tenants_share_by_weight() -> None:
    order = turns()
    for create_id, tenant in enumerate(WEIGHTS):
        order.add(waiting(create_id, tenant, number=1000))
    assert served_tenants(order, 450) == {"ann": 300, "bob": 100, "cyd": 50}


def test_many_requests_do_not_buy_a_larger_share() -> None:
    order = turns()
    order.add(waiting(0, "x", number=1000))
    for create_id in range(1, 101):
        order.add(waiting(create_id, "y", number=10))
    assert served_tenants(order, 100) == {"x": 50, "y": 50}


def test_who_was_idle_has_saved_nothing_up() -> None:
    order = turns()
    order.add(waiting(0, "x", number=1000))
    served_tenants(order, 100)
    order.add(waiting(1, "y", number=1000))
    assert served_tenants(order, 100) == {"x": 50, "y": 50}


def test_the_higher_class_comes_first() -> None:
    order = turns()
    order.add(waiting(0, "x", number=10))
    order.add(waiting(1, "y", number=10, priority=7))
    assert served_tenants(order, 10) == {"y": 10}


def test_the_lowest_class_does_not_starve() -> None:
    order = turns(lowest_class_every=10)
    order.add(waiting(0, "x", number=1000))
    order.add(waiting(1, "y", number=1000, priority=7))
    assert served_tenants(order, 100) == {"x": 10, "y": 90}


def test_a_tenant_is_served_by_earliest_deadline() -> None:
    order = turns()
    for create_id, deadline in enumerate((300, 100, 200)):
        order.add(waiting(create_id, max_time_ns=deadline * MS))
    served = [serve(order, Pair(id, 0, 0, GOOD)) for id in range(4)]
    assert [request and request.create_id for request in served] == [1, 2, 0, None]


def test_a_pair_passes_by_whom_it_does_not_serve() -> None:
    order = turns()
    order.add(waiting(0, "ann", min_fidelity=0.9))
    order.add(waiting(1, "bob", min_fidelity=0.75))
    served = serve(order, Pair(1, 0, 0, FAIR))
    assert served is not None
    assert served.wish.tenant == "bob"
    assert serve(order, Pair(2, 0, 0, FAIR)) is None
    assert served_tenants(order, 1) == {"ann": 1}


demands = st.lists(
    st.tuples(
        st.sampled_from(("ann", "bob", "cyd")), st.integers(0, 3), st.sampled_from((0.7, 0.9)), st.integers(1, 9)
    ),
    max_size=30,
)


@given(demands, st.lists(st.booleans(), max_size=60))
def test_picks_as_a_plain_search_does(wishes: list[tuple[str, int, float, int]], pairs: list[bool]) -> None:
    """Highest class, then least virtual time, then name, then deadline, then age of the request."""
    order, open_ = turns(), []
    for create_id, (tenant, priority, fidelity, deadline) in enumerate(wishes):
        max_time_ns = deadline * 100 * MS
        open_.append(waiting(create_id, tenant, priority=priority, min_fidelity=fidelity, max_time_ns=max_time_ns))
        order.add(open_[-1])
    virtual: Counter[tuple[int, str]] = Counter()
    for id, good in enumerate(pairs):
        pair = Pair(id, 0, 0, GOOD if good else FAIR)
        serving = [request for request in open_ if pair.serves(request.wish.min_fidelity, 0, 0)]

        def rank(request: WaitingRequest) -> tuple[int, int, str, int, int]:
            priority, tenant = request.wish.priority, request.wish.tenant
            return -priority, virtual[priority, tenant], tenant, request.deadline_ns, request.create_id

        expected = min(serving, key=rank, default=None)
        assert serve(order, pair) is expected
        if expected is not None:
            virtual[expected.wish.priority, expected.wish.tenant] += share(Tenant(WEIGHTS[expected.wish.tenant]))
            open_.remove(expected)


births = st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=30)


@given(births, st.sampled_from((0.6, 0.7, 0.85)), st.integers(0, 20), st.integers(0, 80))
def test_the_shelf_finds_what_a_plain_search_finds(
    born: list[tuple[int, bool]], fidelity: float, lifetime_ms: int, now_ms: int
) -> None:
    pairs = [Pair(id, ms * MS, 0, GOOD if good else FAIR) for id, (ms, good) in enumerate(born)]
    shelf = ReadyPairs(0.5)
    for pair in pairs:
        shelf.add(pair)
    for pair in pairs[::3]:
        shelf.remove(pair)
    left = [pair for pair in pairs if pair.shelved]
    quality = fidelity, lifetime_ms * MS, now_ms * MS
    serving = [pair for pair in left if pair.serves(*quality)]
    assert shelf.serving(*quality) == len(serving)
    soonest = min(serving, key=lambda pair: (pair.lost_ns(fidelity), pair.id), default=None)
    assert shelf.soonest_lost(*quality) is soonest
    by_use = sorted(left, key=lambda pair: (pair.lost_ns(0.5), pair.id))
    assert shelf.least_useful() is (by_use[0] if by_use else None)
    assert shelf.lost(now_ms * MS) == [pair for pair in by_use if pair.lost_ns(0.5) < now_ms * MS]
    assert shelf.best(3) == by_use[::-1][:3]


@pytest.mark.parametrize(
    ("number", "expected", "probability"),
    [
        (1, 0.0, 0.0),
        (0, 5.0, 1.0),
        (1, 1.0, 0.6321206),
        (3, 2.0, 0.3233236),
        (20, 20.0, 0.5297427),
        (120, 100.0, 0.0282),
    ],
)
def test_predicts_how_likely_enough_pairs_come(number: int, expected: float, probability: float) -> None:
    assert poisson_at_least(number, expected) == pytest.approx(probability, abs=0.005 if expected > 24 else 1e-6)


@given(st.integers(1, 500), st.floats(0, 500), st.floats(0, 50))
def test_more_pairs_expected_never_make_it_less_likely(number: int, expected: float, more: float) -> None:
    assert poisson_at_least(number, expected) <= poisson_at_least(number, expected + more) + 0.02
    assert 0 <= poisson_at_least(number + 1, expected) <= poisson_at_least(number, expected) <= 1


def test_the_observed_rate_takes_over_from_the_contract() -> None:
    rate = ObservedRate(contracted_hz=1000.0, window_s=1.0)
    assert rate.hz(0) == 1000.0
    for ms in range(0, 5000, 10):
        rate.saw(ms * MS)
    assert rate.hz(5000 * MS) == pytest.approx(100, rel=0.7)
    assert rate.hz(60_000 * MS) < 100


def test_a_bucket_refills_up_to_its_burst() -> None:
    buckets, tenant = Buckets(), Tenant(rate_hz=10.0, burst=5)
    buckets.take("ann", tenant, 5, 0)
    assert buckets.tokens("ann", tenant, 100 * MS) == pytest.approx(1)
    assert buckets.tokens("ann", tenant, 10_000 * MS) == 5
    assert buckets.tokens("bob", tenant, 0) == 5
