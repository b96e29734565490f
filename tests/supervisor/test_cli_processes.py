"""qlinkctl's commands against a supervisor in a process of its own, on a twin with simulated photons."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
AREAS = ("firmware_bridge", "gateware", "sim", "supervisor")
QLINKCTL = [sys.executable, "-m", "qlink.supervisor.cli.main"]


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"QLINK_HOME": str(home), "PYTHONPATH": os.pathsep.join(str(ROOT / area) for area in AREAS)}


def qlinkctl(home: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*QLINKCTL, *arguments], env=environment(home), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a supervisor that runs, and ends at SIGINT without an error."""
    home = tmp_path_factory.mktemp("supervisor") / "home"
    free = ["--publications", "tcp://127.0.0.1:*", "--requests", "tcp://127.0.0.1:*", "--metrics-port", "0"]
    command = [*QLINKCTL, "up", "--json", *free]
    with subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, text=True) as supervisor:
        try:
            assert supervisor.stdout is not None
            assert json.loads(supervisor.stdout.readline())["home"] == str(home)
            yield home
        finally:
            supervisor.send_signal(signal.SIGINT)
            assert supervisor.wait(20) == 0


def test_watch_prints_heralds_one_after_the_other(home: Path) -> None:
    heralds = lines(qlinkctl(home, "watch", "--json", "--count", "4"))
    first = heralds[0]["number"]
    assert [herald["number"] for herald in heralds] == [first, first + 1, first + 2, first + 3]
    assert {herald["outcome"] for herald in heralds} <= {1, 2}


def test_watch_reads_for_people_too(home: Path) -> None:
    assert "Ψ" in qlinkctl(home, "watch", "--count", "1").stdout


def test_watch_goes_back_to_a_number(home: Path) -> None:
    heralds = lines(qlinkctl(home, "watch", "--json", "--after", "1", "--count", "2"))
    assert [herald["number"] for herald in heralds] == [2, 3]


def test_status_tells_link_and_levels(home: Path) -> None:
    qlinkctl(home, "watch", "--count", "1")
    (status,) = lines(qlinkctl(home, "status", "--json"))
    assert status["link"] == "up"
    assert status["heralds"] > 0
    assert {"M1", "M2", "M3", "M4"} <= {level["id"] for level in status["slos"]}
    assert "link up" in qlinkctl(home, "status").stdout


def test_metrics_are_served_where_status_says(home: Path) -> None:
    (status,) = lines(qlinkctl(home, "status", "--json"))
    with urllib.request.urlopen(status["addresses"]["metrics"], timeout=10) as answer:
        assert b"qlink_link_up 1.0" in answer.read()


def test_request_is_given_its_pairs(home: Path) -> None:
    acknowledged, *pairs = lines(
        qlinkctl(home, "request", "--json", "--number", "3", "--min-fidelity", "0.8", "--deadline", "20")
    )
    assert acknowledged["answer"] == "ack"
    assert [pair["number"] for pair in pairs] == [1, 2, 3]
    assert len({pair["pair"] for pair in pairs}) == 3
    assert all(pair["fidelity"] >= 0.8 for pair in pairs)


def test_request_with_the_same_key_is_served_once(home: Path) -> None:
    arguments = ("request", "--json", "--key", "once", "--deadline", "20")
    assert lines(qlinkctl(home, *arguments)) == lines(qlinkctl(home, *arguments))


def test_request_beyond_the_link_is_refused_in_a_sentence(home: Path) -> None:
    done = qlinkctl(home, "request", "--min-fidelity", "1", status=1)
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_client_that_was_let_in_asks_for_its_tenant(home: Path) -> None:
    qlinkctl(home, "keys", "add", "alice", "--tenant", "alice-qkd")
    acknowledged, _ = lines(qlinkctl(home, "request", "--client", "alice", "--json", "--deadline", "20"))
    assert acknowledged["tenant"] == "alice-qkd"


def test_a_client_without_a_key_is_told_how_to_get_one(home: Path) -> None:
    done = qlinkctl(home, "status", "--client", "nobody", status=1)
    assert "qlinkctl keys add nobody" in done.stderr


def test_where_no_supervisor_runs_every_command_says_so(tmp_path: Path) -> None:
    for command in ("status", "watch", "request"):
        done = qlinkctl(tmp_path / "empty", command, status=1)
        assert "qlinkctl up" in done.stderr


def test_up_with_a_wrong_url_says_what_is_wrong(tmp_path: Path) -> None:
    done = qlinkctl(tmp_path / "home", "up", "--board", "twin://heralded?colour=red", status=1)
    assert "colour" in done.stderr


def test_broken_pipe_ends_quietly(home: Path) -> None:
    command = " ".join((*QLINKCTL, "watch", "--json", "|", "head", "-n", "1"))
    done = subprocess.run(command, shell=True, env=environment(home), capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_demo_sums_up(tmp_path: Path) -> None:
    for duration in (2, 10, 40):  # by the clock on the wall: on a busy machine the first pair takes longer
        (summary,) = lines(qlinkctl(tmp_path, "demo", "--duration", str(duration), "--seed", "7", "--json"))
        assert summary["seed"] == 7
        assert summary["lost"] == 0
        assert {tenant["name"] for tenant in summary["tenants"]} == {"alice-qkd", "sensing"}
        pairs = sum(tenant["pairs"] for tenant in summary["tenants"])
        if pairs:
            break
    assert pairs > 0
