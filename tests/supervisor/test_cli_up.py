"""`qlinkctl up` with a whole configuration from a file, on a twin with simulated photons."""

import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from qlink.supervisor.cli.main import main

from .test_cli_processes import QLINKCTL, ROOT, environment, lines, qlinkctl

LINK = ROOT / "docs" / "examples" / "link.toml"
TWIN = "twin://heralded?attempt_hz=5000&seed=3"
FREE = ("--publications", "tcp://127.0.0.1:*", "--requests", "tcp://127.0.0.1:*", "--metrics-port", "0")
PATIENCE_S = 20.0


@contextmanager
def running(home: Path, file: Path, *options: str) -> Iterator[None]:
    """A supervisor that ends at SIGINT without an error."""
    command = [*QLINKCTL, "up", "--json", *FREE, "--board", TWIN, "--config", str(file), "--rate", "80", *options]
    with subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE) as supervisor:
        try:
            assert supervisor.stdout is not None
            assert supervisor.stdout.readline()
            yield
        finally:
            supervisor.send_signal(signal.SIGINT)
            assert supervisor.wait(20) == 0


def status(home: Path) -> dict[str, Any]:
    (told,) = lines(qlinkctl(home, "status", "--json"))
    return told


def counted(home: Path) -> dict[str, float]:
    """The board's own counters, as the supervisor's metrics have them."""
    with urllib.request.urlopen(status(home)["addresses"]["metrics"], timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {sample.name: sample.value for family in families for sample in family.samples if sample.value}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_gated_sequenced_link_with_feed_forward_runs_under_the_supervisor(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home, LINK, "--number", "1000000"):
        heralds = lines(qlinkctl(home, "watch", "--json", "--after", "0", "--count", "20"))
        assert {herald["outcome"] for herald in heralds} == {1, 2}
        assert 1_000_000 <= heralds[0]["attempt"] < heralds[-1]["attempt"] < 1_100_000
        until(lambda: "qlink_board_actions_started_total" in counted(home))
        now = counted(home)
        assert now["qlink_board_attempts_total"] > 100
        assert "qlink_board_actions_refused_total" not in now
        _, pair = lines(qlinkctl(home, "request", "--json", "--min-fidelity", "0.85", "--deadline", "10"))
        assert pair["fidelity"] >= 0.85


def test_a_sequence_that_ends_is_told_as_the_reason(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "burst.toml"
    file.write_text(LINK.read_text().replace("[sequence]", "[sequence]\nattempts = 30"))
    with running(home, file):
        until(lambda: "sequence" in status(home)["reason"])
        told = status(home)
        assert told["reason"] == "its sequence has ended after 30 attempts: DONE"
        assert told["link"] == "up"
        assert "its sequence has ended" in qlinkctl(home, "status").stdout


def test_a_configuration_that_the_board_cannot_take_ends_it_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "link.toml"
    file.write_text(LINK.read_text().replace('"0,!1=psi+"', '"9,!1=psi+"'))
    command = ("up", "--board", TWIN, "--config", str(file), *FREE)
    *_, last = qlinkctl(tmp_path / "home", *command, status=1).stderr.splitlines()
    assert last == (
        "Error: the board cannot be set to its configuration: pattern 0, required: channel 9 does not exist, "
        "the board has 0 to 7"
    )


@pytest.mark.parametrize(
    "option", [("--pattern", "0,4"), ("--window", "4"), ("--delay", "4=7"), ("--accidental-clocks", "9")]
)
def test_options_that_a_file_says_are_refused_beside_it(option: tuple[str, str]) -> None:
    result = CliRunner().invoke(main, ["up", "--config", str(LINK), *option])
    assert result.exit_code == 2
    assert f"{option[0]} and --config exclude each other: write it into {LINK}" in result.output


def test_options_from_the_environment_are_refused_too() -> None:
    result = CliRunner().invoke(main, ["up", "--config", str(LINK)], env={"QLINK_UP_WINDOW": "4"})
    assert (result.exit_code, "--window and --config exclude" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [("window = 4", "it has no patterns, so nothing would ever be heralded"), ("widow = 4", "'widow' is unknown")],
)
def test_a_file_that_makes_no_link_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "link.toml"
    file.write_text(text)
    result = CliRunner().invoke(main, ["up", "--config", str(file)])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {file}: {message}")


def test_help_says_what_only_a_file_can_tell() -> None:
    words = " ".join(CliRunner().invoke(main, ["up", "--help"]).output.split())
    assert "multiplicities, guard times and patterns with windows of their own only a file can tell" in words
