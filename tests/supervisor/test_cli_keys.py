"""Letting clients in and out."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qlink.supervisor.cli.main import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def keys(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments], env={"QLINK_HOME": str(home)})


def test_an_added_client_is_listed_with_its_tenant(home: Path) -> None:
    assert keys(home, "add", "alice", "--tenant", "alice-qkd").exit_code == 0
    listed = json.loads(keys(home, "list", "--json").output)
    alice = next(client for client in listed["clients"] if client["name"] == "alice")
    assert alice["tenant"] == "alice-qkd"
    assert alice["rights"] == ["request", "subscribe"]
    assert alice["public_key"] in (home / "alice.key").read_text()


def test_a_client_elsewhere_gives_its_public_key_only(home: Path) -> None:
    public = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    result = keys(home, "add", "bob", "--public-key", public)
    assert "server's public key" in result.output
    assert not (home / "bob.key").exists()
    assert public in keys(home, "list", "--json").output


def test_a_removed_client_is_gone(home: Path) -> None:
    keys(home, "add", "alice")
    assert keys(home, "remove", "alice").exit_code == 0
    assert '"alice"' not in keys(home, "list", "--json").output


def test_a_bad_name_and_an_unknown_client_are_told_in_a_sentence(home: Path) -> None:
    for result in (keys(home, "add", "../alice"), keys(home, "remove", "nobody")):
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert "Traceback" not in result.output
