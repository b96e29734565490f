import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.firmware_bridge.configuration import Configuration, Gate, Outcome, Pattern
from qlink.firmware_bridge.registers import Mode
from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, HeraldFlag, counter_index
from qlink.sim.coincidence import Edge, Observation, observe

DATA = Path(os.environ.get("QLINK_DATA", Path(__file__).parents[3] / "shared" / "data"))
END = 10**12


def pattern(*required: int, window: int = 4, forbidden: tuple[int, ...] = ()) -> Pattern:
    return Pattern(frozenset(required), window, Outcome.PSI_PLUS, frozenset(forbidden))


def free_running(edges: list[Edge], *patterns: Pattern, samples: int = 4) -> Observation:
    return observe(Configuration(patterns), samples, edges, [], END)


def gated(
    edges: list[Edge], references: list[int], *, clocks: int = 10, timeout: int = 0, end: int = 1000
) -> Observation:
    gates = {0: Gate(8, 20), 1: Gate(8, 20), 2: Gate(0, 1000)}
    patterns = (pattern(0, 1, window=12), pattern(0, window=12, forbidden=(2,)))
    settings = Configuration(patterns, Mode.GATED, gates, attempt_clocks=clocks, reference_timeout=timeout)
    return observe(settings, 4, edges, references, end)


def ticks(observation: Observation) -> list[int]:
    return [herald.tick for herald in observation.heralds]


@pytest.mark.parametrize(
    ("edges", "fires_at"),
    [
        ([(10, 0), (14, 1)], [14]),
        ([(10, 0), (15, 1)], []),  # one tick too late
        ([(10, 0), (10, 1)], [10]),
        ([(10, 0), (12, 0)], []),  # the same channel twice
        ([(10, 0), (14, 1), (18, 0), (19, 1)], [14, 19]),
        ([(10, 0), (14, 1), (18, 1)], [14]),  # no click is used twice
        ([(10, 0), (16, 0), (18, 1)], [18]),  # the newest click counts
        ([(10, 2), (11, 0), (12, 1)], [12]),  # other channels do not matter
    ],
)
def test_pairs_clicks_within_the_window(edges: list[Edge], fires_at: list[int]) -> None:
    assert ticks(free_running(edges, pattern(0, 1))) == fires_at


def test_a_click_serves_every_pattern_once() -> None:
    heralds = free_running([(10, 0), (12, 1), (13, 2)], pattern(0, 1), pattern(0, 2), pattern(1, 2)).heralds
    assert [(h.tick, h.pattern, h.sequence, h.ages) for h in heralds] == [
        (12, 0, 0, {0: 2, 1: 0}),
        (13, 1, 1, {0: 3, 2: 0}),
        (13, 2, 2, {1: 1, 2: 0}),
    ]


def test_a_pattern_without_required_channels_never_fires() -> None:
    assert not free_running([(10, 0)], pattern()).heralds


FOUR = frozenset(range(4))


@pytest.mark.parametrize(
    ("edges", "fires_at"),
    [
        ([(10, 0), (14, 3)], [14]),
        ([(10, 0), (15, 3)], []),  # one tick too late
        ([(10, 0), (14, 1), (22, 2), (23, 3)], [14]),  # in the two clocks after, none completes
        ([(10, 0), (14, 1), (23, 2), (24, 3)], [14, 24]),  # what came then is held
        ([(10, 0), (10, 1), (10, 2)], [10]),  # all that are there contribute
    ],
)
def test_some_of_the_channels_are_enough_with_a_minimum(edges: list[Edge], fires_at: list[int]) -> None:
    assert ticks(free_running(edges, Pattern(FOUR, 4, minimum=2))) == fires_at


@pytest.mark.parametrize(("third_at", "vetoed"), [(9, False), (13, True), (14, True), (15, False)])
def test_more_channels_than_the_maximum_veto(third_at: int, vetoed: bool) -> None:
    edges = sorted([(10, 0), (12, 1), (third_at, 2)] if third_at > 9 else [(1, 2), (10, 0), (12, 1)])
    observation = free_running(edges, Pattern(FOUR, 4, minimum=2, maximum=2))
    assert ticks(observation) == ([] if vetoed else [12])
    assert observation.counts[counter_index(CounterGroup.VETOED, 0)] == vetoed


@pytest.mark.parametrize(
    ("other_at", "vetoed"), [(3, False), (4, True), (9, True), (13, True), (18, True), (19, False)]
)
def test_a_click_in_the_guard_time_vetoes(other_at: int, vetoed: bool) -> None:
    edges = sorted([(10, 0), (12, 1), (other_at, 0)])
    assert ticks(free_running(edges, Pattern(frozenset({0, 1}), 4, guard=6), samples=1)) == ([] if vetoed else [12])


@pytest.mark.parametrize(("forbidden_at", "vetoed"), [(5, False), (6, True), (10, True), (14, True), (15, False)])
def test_a_forbidden_click_around_the_first_click_vetoes(forbidden_at: int, vetoed: bool) -> None:
    edges = sorted([(10, 0), (12, 1), (forbidden_at, 2)])
    observation = free_running(edges, pattern(0, 1, window=4, forbidden=(2,)))
    assert ticks(observation) == ([] if vetoed else [12])
    assert observation.counts[counter_index(CounterGroup.VETOED, 0)] == vetoed


def test_a_vetoed_completion_consumes_its_clicks() -> None:
    edges = [(10, 2), (10, 0), (12, 1), (15, 1)]
    assert not free_running(edges, pattern(0, 1, window=8, forbidden=(2,))).heralds


def test_a_pattern_with_forbidden_channels_is_decided_a_window_later() -> None:
    patterns = pattern(0, window=9, forbidden=(2,)), pattern(1)
    heralds = free_running([(10, 0), (16, 1), (20, 1), (24, 1)], *patterns).heralds
    assert [(h.pattern, h.tick) for h in heralds] == [(1, 16), (0, 10), (1, 20), (1, 24)]  # 9 ticks are 3 clocks


def test_a_second_edge_in_a_clock_is_merged() -> None:
    observation = free_running([(8, 0), (10, 0), (12, 0)], pattern(0))
    assert ticks(observation) == [8, 12]
    assert observation.counts[counter_index(CounterGroup.CLICKS, 0)] == 2
    assert observation.counts[counter_index(CounterGroup.MERGED, 0)] == 1


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_a_click_counts_in_its_gate_only(shift: int) -> None:
    reference = 40 + shift
    for tick, counts in [(reference + 7, 0), (reference + 8, 1), (reference + 19, 1), (reference + 20, 0)]:
        assert gated([(tick, 0)], [reference]).counts[counter_index(CounterGroup.GATED, 0)] == counts


def test_there_is_no_herald_without_a_reference() -> None:
    assert not gated([(10, 0), (12, 1)], []).heralds
    assert not gated([(48, 0), (49, 1), (90, 0), (91, 1)], [40], clocks=10).heralds[2:]  # none of a stale gate


def test_a_herald_tells_attempt_and_position() -> None:
    heralds = gated([(50, 0), (52, 1), (101, 0), (103, 1)], [41, 90]).heralds
    assert [(h.attempt, h.position, h.tick, h.flags) for h in heralds if h.pattern == 0] == [
        (1, 11, 52, HeraldFlag.GATED),
        (2, 13, 103, HeraldFlag.GATED),
    ]


def test_held_clicks_die_with_their_attempt() -> None:
    assert not [h for h in gated([(50, 0), (58, 1)], [40, 48], clocks=2).heralds if h.pattern == 0]


def test_the_next_attempts_clicks_veto_nothing() -> None:
    assert [h.tick for h in gated([(50, 0), (57, 2)], [40, 56], clocks=4).heralds] == [50]
    assert not gated([(50, 0), (54, 2)], [40, 56], clocks=4).heralds


def test_a_doubled_reference_is_counted_and_flagged() -> None:
    observation = gated([(50, 0), (51, 1), (58, 0), (59, 1)], [41, 55])
    doubled = HeraldFlag.GATED | HeraldFlag.REFERENCE_DOUBLED
    assert [h.flags for h in observation.heralds if h.pattern == 0] == [HeraldFlag.GATED, doubled]
    assert observation.counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.ATTEMPTS)] == 1
    assert observation.counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.REFERENCES_DOUBLED)] == 1


def test_a_missing_reference_is_counted_and_flagged_once() -> None:
    observation = gated([(171, 0), (172, 1), (211, 0), (212, 1)], [40, 160, 200], timeout=15, end=80)
    flags = [h.flags for h in observation.heralds if h.pattern == 0]
    assert flags == [HeraldFlag.GATED | HeraldFlag.REFERENCE_MISSED, HeraldFlag.GATED]
    missed = observation.counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.REFERENCES_MISSED)]
    assert missed == 2  # 15 clocks after the references in clocks 10 and 50; that in clock 40 came in time


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), unique=True).map(sorted),
    st.integers(0, 9),
)
def test_every_herald_is_made_of_clicks_within_the_window_each_used_once(edges: list[Edge], window: int) -> None:
    heralds = free_running(edges, pattern(0, 1, 2, window=window), samples=1).heralds
    used = [(h.tick - age, channel) for h in heralds for channel, age in h.ages.items()]
    assert len(set(used)) == len(used)
    assert set(used) <= set(edges)
    assert all(max(h.ages.values()) <= window and min(h.ages.values()) == 0 for h in heralds)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), unique=True).map(sorted), st.integers(0, 20))
def test_ticks_are_the_same_whatever_the_samples_per_clock(edges: list[Edge], window: int) -> None:
    sparse = [(4 * tick, channel) for tick, channel in edges]  # at most one click per clock
    settings = pattern(0, 1, window=window), pattern(2, window=window, forbidden=(3,))
    assert len({tuple(sorted(ticks(free_running(sparse, *settings, samples=s)))) for s in (1, 2, 4)}) == 1


@pytest.mark.skipif(not DATA.is_dir(), reason="QLINK_DATA names no folder of recordings")
@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (3, [1641, 1505, 537, 288]),
        (4, [1911, 1843, 603, 318]),
        (5, [2111, 2046, 662, 340]),
        (8, [2366, 2173, 698, 427]),
    ],
)
def test_counts_the_pairs_of_a_lab_recording(window: int, expected: list[int]) -> None:
    lines = (DATA / "spdc" / "spdc_pairs.txt").read_text().splitlines()
    edges = [(int(tick), int(channel)) for channel, tick in (line.split() for line in lines)]
    start = edges[0][0]
    edges = sorted((tick - start, channel) for tick, channel in edges)
    counts = free_running(edges, *(pattern(i, i + 4, window=window) for i in range(4)), samples=1).counts
    assert [counts[counter_index(CounterGroup.HERALDS, i)] for i in range(4)] == expected
