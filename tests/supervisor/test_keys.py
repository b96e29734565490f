import stat
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from qlink.supervisor.errors import KeyFileError
from qlink.supervisor.keys import Client, KeyStore, Right, state_directory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_makes_everything_at_first_start_for_its_owner_alone(home: Path) -> None:
    KeyStore(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {
        "server.key": 0o600,
        "local.key": 0o600,
        "clients.toml": 0o600,
    }


def test_keeps_what_it_made(home: Path) -> None:
    assert KeyStore(home).server == KeyStore(home).server


def test_processes_that_start_together_agree_on_the_keys(home: Path) -> None:
    script = f"""
from pathlib import Path
from qlink.supervisor.keys import KeyStore
store = KeyStore(Path({str(home)!r}))
print(store.server.public, store.clients()["local"].public == store.local.public)"""
    command = [sys.executable, "-c", script]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(4)]
    assert {start.communicate(timeout=30)[0] for start in starts} == {
        f"{KeyStore(home).server.public!r} True\n".encode()
    }


def test_the_local_client_may_do_everything_at_once(home: Path) -> None:
    store = KeyStore(home)
    assert store.clients() == {"local": Client("local", store.credentials().keys.public, "local", frozenset(Right))}
    assert store.credentials().server_public == store.server.public


@pytest.mark.parametrize(
    ("name", "mode", "command"),
    [(".", 0o755, "chmod 700"), ("server.key", 0o640, "chmod 600"), ("clients.toml", 0o606, "chmod 600")],
)
def test_refuses_what_others_may_use_and_says_what_to_do(home: Path, name: str, mode: int, command: str) -> None:
    KeyStore(home)
    (home / name).chmod(mode)
    with pytest.raises(KeyFileError, match=f"{command} .*{(home / name).name}"):
        KeyStore(home).clients()


def test_clients_come_and_go(home: Path) -> None:
    store = KeyStore(home)
    store.make_client("alice", "qkd", [Right.SUBSCRIBE])
    assert store.clients()["alice"] == Client(
        "alice", store.credentials("alice").keys.public, "qkd", frozenset({Right.SUBSCRIBE})
    )
    store.remove("alice")
    assert set(store.clients()) == {"local"}
    with pytest.raises(KeyFileError, match="no client 'alice'"):
        store.remove("alice")


@pytest.mark.parametrize("name", ["", "a b", "a\n[admin]", "x" * 65, "../server"])
def test_refuses_names_that_would_not_fit_a_file_or_the_table(home: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="is no client name"):
        KeyStore(home).make_client(name, "tenant", [])


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ('rights = ["subscribe"]', "public_key in .* is no CURVE key"),
        ('public_key = "short"\nrights = []', "public_key in .* is no CURVE key"),
        (f'public_key = "{"~" * 40}"\nrights = []', "public_key in .* is no CURVE key"),
        (f'public_key = "{"0" * 40}"\nrights = ["root"]', "have to be a list of admin, request, subscribe"),
        (f'public_key = "{"0" * 40}"\ntenant = "a/b"', "'a/b' is no tenant name"),
        ("= 3", "cannot be read"),
    ],
)
def test_a_damaged_table_is_refused_whole(home: Path, row: str, complaint: str) -> None:
    store = KeyStore(home)
    (home / "clients.toml").write_text(f"[alice]\n{row}\n")
    with pytest.raises(KeyFileError, match=complaint):
        store.clients()


def test_one_key_cannot_be_two_clients(home: Path) -> None:
    store = KeyStore(home)
    with pytest.raises(KeyFileError, match="same public key"):
        store.add(Client("twin", store.local.public, "other", frozenset()))
    assert set(store.clients()) == {"local"}


def test_a_pair_of_halves_that_do_not_belong_together_is_refused(home: Path) -> None:
    store = KeyStore(home)
    other, _ = zmq.curve_keypair()
    (home / "server.key").write_text(f'public = "{other.decode()}"\nsecret = "{store.server.secret.decode()}"\n')
    with pytest.raises(KeyFileError, match="does not belong to the secret one"):
        KeyStore(home)


def test_secrets_are_not_printed(home: Path) -> None:
    store = KeyStore(home)
    assert store.server.secret.decode() not in repr(store.credentials())


def test_the_state_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QLINK_HOME", str(tmp_path / "here"))
    assert state_directory() == tmp_path / "here"
    monkeypatch.delenv("QLINK_HOME")
    assert state_directory() == Path.home() / ".local" / "state" / "qlink"
