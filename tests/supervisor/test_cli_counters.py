"""`qlinkctl board counters`, on the twin, and on counts that leave nothing to chance."""

import json
from dataclasses import fields
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.firmware_bridge.conftest import Peer

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Outcome, Pattern
from qlink.firmware_bridge.counters import Counters
from qlink.firmware_bridge.link import Patience
from qlink.firmware_bridge.wire import CounterGroup, counter_index
from qlink.supervisor.cli import counters as cli
from qlink.supervisor.cli.main import main

ROOT = Path(__file__).parents[2]
PAIRS = ROOT / "docs" / "examples" / "pairs.toml"
LINK = ROOT / "docs" / "examples" / "link.toml"
CONFIGURATION = Configuration(
    patterns=(
        Pattern(frozenset({0, 4}), 8, Outcome.PHI_PLUS, shifted=frozenset({4})),
        Pattern(frozenset({1, 5}), 8, Outcome.PSI_MINUS, forbidden=frozenset({2}), shifted=frozenset({5})),
        Pattern(frozenset({3, 7}), 8),
    ),
    accidental_clocks=100,
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["board", "counters", *arguments])


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A board that has been configured, and counts while it is looked at."""
    peer = Peer()
    patience = Patience(reply_s=0.5, attempts=3)
    Board(peer, patience).configure(CONFIGURATION)

    def reopened(_url: str) -> Board:
        peer.closed = False
        return Board(peer, patience)

    monkeypatch.setattr(cli, "open_board", reopened)
    send = peer.send_snapshot

    def count() -> None:
        send()
        counted = {CounterGroup.HERALDS: 900, CounterGroup.VETOED: 300, CounterGroup.ACCIDENTALS: 400}
        for group, count in counted.items():
            for pattern in range(8):
                peer.counters[counter_index(group, pattern)] += count
        peer.tick += 800_000_000

    monkeypatch.setattr(peer, "send_snapshot", count)
    return peer


@pytest.mark.usefixtures("peer")
def test_tells_programs_every_counter_and_the_estimate_of_the_time() -> None:
    told = json.loads(run("ftdi://", "--seconds", "1", "--json").stdout)
    assert set(told["counters"]) == {field.name for field in fields(Counters)}
    assert told["counters"]["heralds"] == [900] * 8
    assert told["seconds"] == pytest.approx(1, rel=0.01)
    vetoed, plain = told["patterns"][1], told["patterns"][2]
    assert (vetoed["channels"], vetoed["accidentals"]) == ("1,~5,!2=psi-", 400)
    assert vetoed["expected_accidentals"] == pytest.approx(300)
    assert vetoed["net"] == pytest.approx(600)
    assert vetoed["rate_hz"] == pytest.approx(900, rel=0.01)
    assert (plain["channels"], plain["heralds"], plain["net"]) == ("3,7=psi+", 900, None)


@pytest.mark.usefixtures("peer")
def test_reads_for_people_too() -> None:
    words = " ".join(run("ftdi://").output.split())
    assert "patterns, in 1 s" in words
    assert "0 0,~4=phi+ 900 300 0 900 400 300.0" in words
    assert "2 3,7=psi+ 900 300 0 900 - - - -" in words


def test_without_a_time_it_tells_all_since_the_reset(peer: Peer) -> None:
    peer.counters[counter_index(CounterGroup.HERALDS, 0)] = 2**60
    peer.counters[counter_index(CounterGroup.ACCIDENTALS, 0)] = 2**50
    (first, *_) = json.loads(run("ftdi://", "--seconds", "0", "--json").stdout)["patterns"]
    assert (first["heralds"], first["rate_hz"], first["net_rate_hz"]) == (2**60, None, None)
    assert first["net_error"] == pytest.approx(sqrt(2**60 + 2**50))
    assert "since reset" in run("ftdi://", "--seconds", "0").output


def counted_on_twin(url: str, file: Path, seconds: str) -> dict[str, Any]:
    result = run(url, "--config", str(file), "--seconds", seconds, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_accidentals_are_those_of_the_rates_and_the_net_rest_is_that_of_the_pairs(tmp_path: Path) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text('window = 100\naccidental_clocks = 200\npatterns = ["0,~1"]')
    told = counted_on_twin("twin://pairs?pair_hz=500000&efficiency=0.3&arms=1&dead_ps=0", file, "0.01")
    (pattern,), rates = told["patterns"], told["click_rates_hz"]
    by_rates = rates[0] * rates[1] * 201 * 1.25e-9 * told["seconds"]
    assert pattern["accidentals"] == pytest.approx(by_rates, abs=4 * sqrt(by_rates))
    assert pattern["net_rate_hz"] == pytest.approx(500_000 * 0.3**2, abs=4 * pattern["net_rate_error_hz"])


def test_the_example_of_a_gated_link_is_set_off_and_stopped() -> None:
    told = counted_on_twin("twin://heralded?attempt_hz=20000", LINK, "0.05")
    counters = told["counters"]
    heralds = [pattern["heralds"] for pattern in told["patterns"]]
    assert counters["attempts"] > 800
    assert min(heralds) > 0
    assert counters["actions_started"] == [0, counters["heralds"][1], 0, 0]
    assert counters["references_missed"] == counters["references_doubled"] == 0


def test_a_recording_is_refused_in_a_sentence(tmp_path: Path) -> None:
    result = run(f"replay://{tmp_path}/none.qlink")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
