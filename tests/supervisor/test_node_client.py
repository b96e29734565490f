"""A client in another language, from docs/messages.md alone: no gap, replay of what was missed, a pair granted."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .running import Processes, Supervisor

HERE = Path(__file__).parent / "node_client"
RATE_HZ = 500.0


@pytest.fixture(scope="module")
def node_client() -> Path:
    """The client with its packages, installed once per lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (Debian packages nodejs, npm)")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    place = cache / "qlink" / f"node-client-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (place / "installed").exists():
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, place)
        npm = subprocess.run(
            ["npm", "ci", "--ignore-scripts"], cwd=place, capture_output=True, text=True, timeout=240, check=False
        )
        assert npm.returncode == 0, npm.stderr
        (place / "installed").touch()
    return Path(shutil.copy(HERE / "client.mjs", place))


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Processes(tmp_path_factory.mktemp("node")) as processes:
        yield processes.start_all(RATE_HZ)


def run(client: Path, supervisor: Supervisor, *arguments: str, name: str = "local") -> dict[str, Any]:
    command = ["node", str(client), str(supervisor.home), name, *arguments]
    node = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert node.returncode == 0, node.stderr
    seen: dict[str, Any] = json.loads(node.stdout)
    return seen


def test_hears_every_herald_and_is_granted_a_pair(node_client: Path, supervisor: Supervisor) -> None:
    seen = run(node_client, supervisor, "500")
    assert seen["numbers"] == seen["last"] - seen["first"] + 1 >= 500
    assert seen["gaps"] == seen["replayed"] == 0
    assert seen["heartbeats"] > 0
    assert (seen["request"], seen["again"], seen["confirmed"]) == ("ack", "ack", "done")
    assert seen["granted"]["tenant"] == "local"
    assert 0.6 <= seen["granted"]["low"] <= seen["granted"]["fidelity"] <= seen["granted"]["high"] <= 1
    assert seen["recalled"] == ["ack", "ok", "completed"]


def test_who_comes_late_gets_what_was_before(node_client: Path, supervisor: Supervisor) -> None:
    seen = run(node_client, supervisor, "200", "--after", "0")
    assert seen["first"] == 1
    assert seen["gaps"] == 1
    assert seen["replayed"] > 0
    assert seen["numbers"] == seen["last"]


def test_who_was_deaf_for_a_while_notices_and_fills_the_gap(node_client: Path, supervisor: Supervisor) -> None:
    seen = run(node_client, supervisor, "400", "--deaf", "300")
    assert seen["gaps"] == 1
    assert seen["replayed"] > 0
    assert seen["numbers"] == seen["last"] - seen["first"] + 1
