import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.supervisor.bell import BellDiagonal
from qlink.supervisor.memory import AgeingState
from qlink.supervisor.model import LinkModel, PurificationPolicy
from qlink.supervisor.pairs import Pair
from qlink.supervisor.purification import Goal, backoff_ns, plan

MS = 1_000_000
LINK = LinkModel(t2_s=(0.5, 1.0))
POLICY = PurificationPolicy()
PHASE = (0.75, 0.02, 0.03, 0.20)
BLIND = (0.75, 0.20, 0.03, 0.02)


def pair(id: int, state: BellDiagonal = PHASE, birth_ms: int = 0) -> Pair:
    return Pair(id, birth_ms * MS, 0, AgeingState(state, 0.02, LINK))


def goal(fidelity: float = 0.8, lifetime_ms: int = 0, deadline_ms: int = 100) -> Goal:
    return Goal((fidelity, lifetime_ms * MS), deadline_ms * MS)


@pytest.mark.parametrize(
    ("pairs", "wanted", "chosen"),
    [
        ([], goal(), None),
        ([pair(1)], goal(), None),
        ([pair(1), pair(2)], goal(), (1, 2)),
        ([pair(1), pair(2)], goal(0.9), None),  # not enough for what is asked
        ([pair(1), pair(2)], goal(lifetime_ms=300), None),  # nor for as long
        ([pair(1, BLIND), pair(2, BLIND)], goal(), None),  # DEJMPS cannot see these errors
        ([pair(1), pair(2, BLIND), pair(3)], goal(), (1, 3)),
        ([pair(1), pair(2)], goal(deadline_ms=0), None),  # done too late
    ],
)
def test_chooses_two_that_will_serve(pairs: list[Pair], wanted: Goal, chosen: tuple[int, int] | None) -> None:
    found = plan(pairs, wanted, 0, LINK, POLICY)
    assert (found and (found.keep.id, found.spend.id)) == chosen


def test_counts_with_what_has_aged_unequally() -> None:
    fresh, old, wanted = pair(1, birth_ms=400), pair(2, birth_ms=0), goal(0.8, deadline_ms=500)
    assert plan([fresh, old], wanted, 400 * MS, LINK, POLICY) is None
    assert plan([fresh, pair(3, birth_ms=390)], wanted, 400 * MS, LINK, POLICY) is not None


def test_does_nothing_where_it_is_switched_off() -> None:
    assert plan([pair(1), pair(2)], goal(), 0, LINK, PurificationPolicy(enabled=False)) is None


@given(st.lists(st.tuples(st.floats(0.5, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 50)), max_size=6))
def test_what_it_promises_is_kept(born: list[tuple[float, float, float, int]]) -> None:
    pairs = []
    for id, (fidelity, y, x, birth_ms) in enumerate(born):
        rest = 1 - fidelity
        state = fidelity, rest * y * x, rest * (1 - y) * x, rest * (1 - x)
        pairs.append(pair(id, state, birth_ms))
    found = plan(pairs, goal(0.85, lifetime_ms=2), 50 * MS, LINK, POLICY)
    if found is not None:
        after = AgeingState(found.state, 0.0, LINK)
        assert after.fidelity(POLICY.duration_ns + 2 * MS) >= 0.85
        assert found.keep is not found.spend
        assert POLICY.min_success <= found.success <= 1 + 1e-12


def test_failures_in_a_row_double_the_rest_up_to_a_bound() -> None:
    policy = PurificationPolicy(backoff_ns=10, max_backoff_ns=100)
    assert [backoff_ns(failures, policy) for failures in (0, 1, 2, 3, 4, 5, 500)] == [0, 10, 20, 40, 80, 100, 100]
