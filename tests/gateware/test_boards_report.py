"""The parser of nextpnr's report, on one that nextpnr 0.11 wrote (shortened)."""

import json
from pathlib import Path

import pytest

from qlink.gateware.boards.family import ECP5
from qlink.gateware.boards.report import ClockTiming, clock_timings, usage, worst_paths

REPORT = json.loads((Path(__file__).parent / "nextpnr_report.json").read_text())


def test_clocks_have_plain_names_and_the_tightest_comes_first():
    assert [(c.clock, round(c.achieved_mhz, 1), c.target_mhz) for c in clock_timings(REPORT)] == [
        ("system_clock", 414.1, 200),
        ("board", 560.9, 100),
    ]


@pytest.mark.parametrize(
    ("achieved", "slack_ns", "met"), [(250.0, 1.0, True), (200.0, 0.0, True), (160.0, -1.25, False)]
)
def test_slack_is_the_time_left_in_a_period(achieved, slack_ns, met):
    timing = ClockTiming("c", achieved, 200.0)
    assert timing.slack_ns == pytest.approx(slack_ns)
    assert timing.met is met


def test_usage_counts_luts_ffs_and_memories():
    assert {cells.what: cells.used for cells in usage(REPORT, ECP5.toolchain.cells)} == {
        "LUTs": 61,
        "FFs": 89,
        "EBR": 0,
        "distributed RAM": 0,
    }


def test_the_critical_path_is_told_in_the_designers_names():
    first = worst_paths(REPORT)[0]
    assert str(first) == "2.41 ns in system_clock: inputs.samples[9] -> core.acc -> core.acc.DI"


def test_other_ends_follow_slowest_first_and_each_once():
    ends = [path for path in worst_paths(REPORT, count=4) if path.clock == "system_clock"][1:]
    assert len({path.end for path in ends}) == len(ends) == 3
    assert [path.delay_ns for path in ends] == sorted((path.delay_ns for path in ends), reverse=True)


def test_a_way_between_clocks_is_not_a_slow_path():
    assert all(path.clock in {"system_clock", "board"} for path in worst_paths(REPORT))


def test_a_report_without_details_has_the_critical_paths_alone():
    short = {key: value for key, value in REPORT.items() if key != "detailed_net_timings"}
    assert len(worst_paths(short)) == 2
