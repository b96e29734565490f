"""`qlinkctl board sequence` and `triggers`: a file of attempts, and what is said of them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from qlink.firmware_bridge.configuration import (
    Configuration,
    Gate,
    Outcome,
    ReferenceSource,
    Role,
    SequenceStatus,
    Sync,
    SyncStatus,
    Window,
)
from qlink.firmware_bridge.errors import EndOfStream
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.registers import Mode, SequenceEnd
from qlink.supervisor.cli import sequence as cli
from qlink.supervisor.cli.configuration_file import read_configuration
from qlink.supervisor.cli.main import main

LINK = Path(__file__).parents[2] / "docs" / "examples" / "link.toml"
FILE = """
attempt_clocks = 190
patterns = ["0,1=psi-"]
window = 40
gates = { 0 = [200, 600], 1 = [200, 600] }
[sequence]
period = 200
reference = "external"
attempts = 10000
stop_on = ["psi-"]
idle_high = [7]
windows = { 0 = [[0, 5], [20, 25]], 7 = [[10, 120]] }
[sync]
role = "follower"
stop_on_success = true
"""


class Opened:
    """A board whose sequence has ended."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.agreed = True

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.done.append("close")

    def configure(self, configuration: Configuration) -> None:
        assert configuration.sequence is not None
        self.done.append("configure")

    def number_attempts(self, last: int) -> None:
        self.done.append(f"number {last}")

    def now_s(self) -> float:
        return 0.0

    def start(self) -> None:
        self.done.append("start")

    def start_sequence(self) -> None:
        self.done.append("start the sequence")

    def stop_sequence(self) -> None:
        self.done.append("stop the sequence")

    def stop(self) -> None:
        self.done.append("stop")

    def sequence_status(self) -> SequenceStatus:
        return SequenceStatus(running=False, end=SequenceEnd.HERALD, attempts=1234, branched=77)

    def sync_status(self) -> SyncStatus:
        return SyncStatus(agreed=self.agreed, number=1, heard=2, successes=3)

    def events(self, timeout_s: float) -> Batch:
        raise EndOfStream("no more")

    def hold_triggers(self, levels: dict[int, bool]) -> None:
        self.done.append(str(levels))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    board = Opened()
    monkeypatch.setattr(cli, "open_board", lambda _url: board)
    return board


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "attempts.toml"
    path.write_text(FILE)
    return path


def test_a_file_says_all_of_an_attempt(file: Path) -> None:
    configuration = read_configuration(file)
    sequence = configuration.sequence
    assert sequence is not None
    assert configuration.patterns[0].outcome is Outcome.PSI_MINUS
    assert configuration.gates == {0: Gate(200, 600), 1: Gate(200, 600)}
    assert sequence.windows == {0: (Window(0, 5), Window(20, 25)), 7: (Window(10, 120),)}
    assert (sequence.reference, sequence.attempts, sequence.idle_high) == (
        ReferenceSource.EXTERNAL,
        10_000,
        frozenset({7}),
    )
    assert configuration.sync == Sync(Role.FOLLOWER, stop_on_success=True)
    assert configuration.mode is Mode.GATED
    assert configuration.stream_channels == frozenset()


def test_runs_a_sequence_and_says_how_it_ended(opened: Opened, file: Path) -> None:
    result = CliRunner().invoke(main, ["board", "sequence", "ftdi://", str(file), "--json"])
    assert json.loads(result.output)["end"] == "HERALD"
    assert json.loads(result.output)["attempts"] == 1234
    assert json.loads(result.output)["branched"] == 77
    order = ["configure", "start", "start the sequence", "stop the sequence", "stop", "close"]
    assert opened.done == order
    words = " ".join(CliRunner().invoke(main, ["board", "sequence", "ftdi://", str(file)]).output.split())
    assert "attempts 1,234 with a branch 77" in words
    assert "numbers agree with the other board's" in words


def test_says_that_the_boards_do_not_agree(opened: Opened, file: Path) -> None:
    opened.agreed = False
    words = " ".join(CliRunner().invoke(main, ["board", "sequence", "ftdi://", str(file)]).output.split())
    assert "numbers not agreed: number both boards anew" in words
    result = CliRunner().invoke(main, ["board", "sequence", "ftdi://", str(file), "--json"])
    assert json.loads(result.output)["agreed"] is False


def test_numbers_the_first_attempt_before_the_board_runs(opened: Opened, file: Path) -> None:
    CliRunner().invoke(main, ["board", "sequence", "ftdi://", str(file), "--number", "1000"])
    assert opened.done[:3] == ["configure", "number 999", "start"]


@pytest.mark.parametrize("number", ["0", "18446744073709551616", "-1"])
def test_a_number_that_no_attempt_can_have_is_refused(file: Path, number: str) -> None:
    result = CliRunner().invoke(main, ["board", "sequence", "ftdi://", str(file), "--number", number])
    assert (result.exit_code, "--number" in result.output) == (2, True)


def test_what_is_wrong_in_the_file_is_told_in_a_sentence(file: Path) -> None:
    file.write_text(FILE.replace("period = 200", "period = true"))
    result = CliRunner().invoke(main, ["board", "sequence", "ftdi://", str(file)])
    assert result.exit_code == 1
    assert result.output == f"Error: {file}: sequence.period is true: it has to be a whole number of 64 bits\n"


def test_a_sequence_runs_on_the_twin_for_as_long_as_it_is_asked_in_simulated_time() -> None:
    arguments = ["board", "sequence", "twin://heralded?attempt_hz=10000", str(LINK), "--seconds", "0.02", "--json"]
    told = json.loads(CliRunner().invoke(main, [*arguments, "--number", "5"]).stdout)
    assert told["running"] is True
    assert told["attempts"] >= 190
    assert told["heralds"] > 0


def test_holds_triggers_by_hand(opened: Opened) -> None:
    result = CliRunner().invoke(main, ["board", "triggers", "ftdi://", "3=on", "5=off"])
    assert result.output == "trigger 3 is high, trigger 5 is low\n"
    assert opened.done == ["{3: True, 5: False}", "close"]
    assert "write 3=on" in CliRunner().invoke(main, ["board", "triggers", "ftdi://", "3"]).output
