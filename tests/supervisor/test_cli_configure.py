"""`qlinkctl board configure`, on the twin."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.firmware_bridge.conftest import Peer

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.registers import BY_NAME
from qlink.supervisor.cli import configure as cli
from qlink.supervisor.cli.main import main

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.toml"))
LINK = ROOT / "docs" / "examples" / "link.toml"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["board", "configure", *arguments])


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Peer:
    peer = Peer()
    monkeypatch.setattr(cli, "open_board", lambda _url: Board(peer))
    return peer


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_twin_takes_every_example(file: Path) -> None:
    result = run("twin://idle", str(file), "--check")
    assert result.exit_code == 0
    assert "nothing was written" in " ".join(result.output.split())
    assert run("twin://idle", str(file)).output == f"twin://idle is set to {file}, and stopped\n"


def test_a_check_prints_what_would_be_written_and_writes_nothing(peer: Peer) -> None:
    result = run("ftdi://", str(LINK), "--check")
    assert "0x0020 attempt_clocks 0x3c 60" in " ".join(result.output.split())
    assert "0x0050 gate_stop[0] 0xc8 200" in " ".join(result.output.split())
    assert peer.registers[BY_NAME["attempt_clocks"].address] == 0


def test_without_a_check_it_is_written(peer: Peer) -> None:
    told = json.loads(run("ftdi://", str(LINK), "--json").stdout)
    assert told["written"] is True
    assert {"address": 0x20, "name": "attempt_clocks", "index": 0, "value": 60} in told["registers"]
    assert all(peer.registers[each["address"]] == each["value"] for each in told["registers"])


@pytest.mark.parametrize("check", [("--check",), ()])
def test_what_the_board_cannot_do_is_refused_by_name(check: tuple[str, ...]) -> None:
    result = run("twin://idle?lean=1", str(LINK), *check)
    assert result.exit_code == 1
    assert result.output == "Error: actions of PSI_MINUS: 1 pulses do not fit, the board has no feed-forward\n"
