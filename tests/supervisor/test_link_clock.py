import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.supervisor.link_clock import DRIFT, TickClock, TimeSource, link_clock

TICK_FS = 1_250_000
TICK_NS = 1.25


def test_the_clock_starts_at_the_walls_time_and_goes_on_steadily() -> None:
    wall, steady = iter([1000, 5]), iter([7, 8, 20])
    clock = link_clock(lambda: next(wall), lambda: next(steady))
    assert [clock(), clock()] == [1001, 1013]


def test_the_clock_never_starts_before_the_journals_last_event() -> None:
    clock = link_clock(lambda: 1000, lambda: 0, not_before_ns=5000)
    assert clock() == 5000


def test_dates_a_tick_by_its_distance_from_the_newest() -> None:
    clock = TickClock(TICK_FS, TimeSource.BOARD)
    clock.observe(1_000_000, arrival_ns=10_000_000_000)
    assert clock.time_ns(999_200) == 10_000_000_000 - 1000
    assert clock.time_ns(1_000_000) == 10_000_000_000


def test_a_late_batch_is_dated_when_it_happened() -> None:
    clock = TickClock(TICK_FS, TimeSource.BOARD)
    clock.observe(0, arrival_ns=10**10)
    clock.observe(800, arrival_ns=10**10 + 100_000_000)  # came in 100 ms late
    assert clock.time_ns(800) == pytest.approx(10**10 + 1000, abs=100_000_000 * DRIFT)


def test_follows_a_board_whose_crystal_is_slow() -> None:
    clock = TickClock(TICK_FS, TimeSource.BOARD)
    for second in range(100):
        now_ns = 10**10 + second * 10**9
        clock.observe(int(second * 1e9 * (1 - 100e-6) / TICK_NS), now_ns)
        assert clock.time_ns(int(second * 1e9 * (1 - 100e-6) / TICK_NS)) == pytest.approx(now_ns, abs=5)


def test_a_replay_at_another_speed_happens_as_it_comes_in() -> None:
    clock = TickClock(TICK_FS, TimeSource.ARRIVAL)
    for arrival_ns, tick in [(10**10, 0), (2 * 10**10, 8), (3 * 10**10, 16)]:
        clock.observe(tick, arrival_ns)
        assert clock.time_ns(tick) == arrival_ns


def test_knows_no_time_before_the_first_tick() -> None:
    with pytest.raises(ValueError, match="no tick was observed"):
        TickClock(TICK_FS, TimeSource.BOARD).time_ns(5)


@given(
    st.sampled_from(TimeSource),
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**9), st.integers(0, 10**6)), min_size=1, max_size=30),
)
def test_dates_never_go_backwards_nor_into_the_future(source: TimeSource, steps: list[tuple[int, int, int]]) -> None:
    clock, arrival_ns, tick, last_ns = TickClock(TICK_FS, source), 10**15, 0, 0
    for passed_ns, ticks, age in steps:
        arrival_ns += passed_ns
        tick += ticks
        clock.observe(tick, arrival_ns)
        for dated in (max(tick - age, 0), tick):
            date_ns = clock.time_ns(dated)
            assert last_ns <= date_ns <= arrival_ns
            last_ns = date_ns
