"""A lab's recording through `qlinkctl replay`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qlink.supervisor.cli.main import main
from qlink.supervisor.cli.patterns import parse

TICK_PS = ("--tick-ps", "260")


def replay(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", str(file), *arguments])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Ten pairs on channels 0 and 4, three ticks apart, and five clicks alone on channel 1."""
    file = tmp_path / "pairs.txt"
    pairs = [f"0 {1000 * n}\n4 {1000 * n + 3}\n" for n in range(1, 11)]
    file.write_text("".join([*pairs, *(f"1 {20_000 + 500 * n}\n" for n in range(5))]))
    return file


def test_counts_are_printed_as_json(recording: Path) -> None:
    result = replay(recording, *TICK_PS, "--pattern", "0,4", "--pattern", "0,1", "--window", "4", "--json")
    assert result.exit_code == 0, result.output
    counted = json.loads(result.stdout)
    assert counted["singles"] == [10, 5, 0, 0, 10, 0, 0, 0]
    assert counted["patterns"] == [
        {"channels": [0, 4], "window_ticks": 4, "heralds": 10},
        {"channels": [0, 1], "window_ticks": 4, "heralds": 0},
    ]
    assert not any(counted["losses"].values())
    assert counted["duration_s"] == pytest.approx((22_000 - 1000 + 1) * 260e-12)


def test_counts_are_printed_for_people(recording: Path) -> None:
    output = replay(recording, *TICK_PS, "--pattern", "0,4", "--window", "4").output
    assert "0, 4" in output
    assert "Losses: none" in output


def test_accidentals_are_counted_if_asked_for(recording: Path) -> None:
    asked = replay(recording, *TICK_PS, "--pattern", "0,4", "--pattern", "0", "--accidental-offset", "4000", "--json")
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout)["patterns"] == [
        {"channels": [0, 4], "window_ticks": 4, "heralds": 10, "accidentals": 6},
        {"channels": [0], "window_ticks": 4, "heralds": 10},
    ]


def test_an_offset_that_is_no_whole_clock_is_refused(recording: Path) -> None:
    result = replay(recording, *TICK_PS, "--pattern", "0,4", "--accidental-offset", "401")
    assert result.exit_code == 1
    assert "accidental_offset = 401 is no multiple of 4 ticks" in result.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 5\nhello\n", "line 2"),
        ("0 5\n0 4\n", "line 2"),
        ("0 5\n9 6\n", "line 2"),
        ("", "no clicks"),
    ],
)
def test_a_damaged_recording_is_refused_by_its_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "damaged.txt"
    file.write_text(text)
    result = replay(file, *TICK_PS, "--pattern", "0,4", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert told in result.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = replay(tmp_path / "absent.txt", *TICK_PS)
    assert result.exit_code == 1
    assert "absent.txt" in result.stderr


@pytest.mark.parametrize("pattern", ["", "a", "0,,4", "0,0", "!4", "0,4=rho+", "-1"])
def test_what_is_no_pattern_is_refused(pattern: str, recording: Path) -> None:
    result = replay(recording, *TICK_PS, "--pattern", pattern)
    assert result.exit_code == 2
    assert "--pattern" in result.stderr


def test_a_pattern_names_required_and_forbidden_channels_and_its_bell_state() -> None:
    pattern = parse("0, ~4, !5 = phi-").within(7)
    assert pattern.required == {0, 4}
    assert pattern.forbidden == {5}
    assert pattern.shifted == {4}
    assert pattern.window == 7
    assert pattern.outcome.name == "PHI_MINUS"
