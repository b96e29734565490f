"""Who is who: the CURVE keys of this supervisor, and the table of clients that may talk to it.

All of it lies in one directory, `$QLINK_HOME` or `~/.local/state/qlink`, made at first use:

    server.key       the supervisor's own key pair
    local.key        the key pair of the client `local`, so that tools on this machine work at once
    clients.toml     the table of clients: name -> public key, tenant, rights

The directory has mode 0700, every file 0600; what others can read or write is refused.
"""

import os
import re
import tempfile
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import zmq
from zmq.utils import z85

from .errors import KeyFileError

SERVER_KEY = "server.key"
LOCAL_CLIENT = "local"
CLIENTS = "clients.toml"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Right(StrEnum):
    """What a client may do."""

    SUBSCRIBE = "subscribe"  # hear heralds, pairs, SLOs and its own tenant's requests; ask for what it missed
    REQUEST = "request"  # ask for pairs for its tenant, confirm and cancel
    ADMIN = "admin"  # hear of every tenant's requests, and stop the supervisor


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair, both halves in Z85 (40 characters)."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Client:
    """One row of the table of clients."""

    name: str
    public: bytes
    tenant: str
    rights: frozenset[Right]


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that a client needs to open a socket to a supervisor."""

    keys: KeyPair
    server_public: bytes


def state_directory() -> Path:
    """Where keys and journal lie: `$QLINK_HOME`, else `~/.local/state/qlink`."""
    home = os.environ.get("QLINK_HOME")
    return Path(home) if home else Path.home() / ".local" / "state" / "qlink"


class KeyStore:
    """The keys and the table in one directory. What is missing is made; what others can read is refused.

    Raises `KeyFileError`, whose message names the file and what to do.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_open_to_others(directory, "700")
        self.server = self._keys(SERVER_KEY)
        self.local = self._keys(f"{LOCAL_CLIENT}.key")
        rights = frozenset(Right)
        _create(directory / CLIENTS, _as_toml([Client(LOCAL_CLIENT, self.local.public, LOCAL_CLIENT, rights)]))

    def credentials(self, name: str = LOCAL_CLIENT) -> Credentials:
        """The credentials of a client whose key pair lies here, in `NAME.key`."""
        path = self.directory / f"{name}.key"
        if not path.exists():
            raise KeyFileError(f"there is no key {path}: make one with `qlinkctl keys add {name}`")
        return Credentials(read_keys(path), self.server.public)

    def clients(self) -> dict[str, Client]:
        """The table as it is now, by name."""
        return read_clients(self.directory / CLIENTS)

    def table_version(self) -> tuple[int, int]:
        """Changes when the table does."""
        status = (self.directory / CLIENTS).stat()
        return status.st_mtime_ns, status.st_ino

    def add(self, client: Client) -> None:
        """Enter `client` into the table, or change its row. Takes effect at its next connection."""
        _check_name(client.name, "client")
        _check_name(client.tenant, "tenant")
        table = _distinct(self.clients() | {client.name: client}, self.directory / CLIENTS)
        _replace(self.directory / CLIENTS, _as_toml(table.values()))

    def make_client(self, name: str, tenant: str, rights: Iterable[Right]) -> Credentials:
        """Make a key pair for a client of this machine, in `NAME.key`, and enter it into the table."""
        _check_name(name, "client")
        keys = self._keys(f"{name}.key")
        self.add(Client(name, keys.public, tenant, frozenset(rights)))
        return Credentials(keys, self.server.public)

    def remove(self, name: str) -> None:
        """Take a client out of the table: its requests are refused at once, its subscriptions when it reconnects."""
        table = self.clients()
        if name not in table:
            raise KeyFileError(f"there is no client {name!r} in {self.directory / CLIENTS}")
        del table[name]
        _replace(self.directory / CLIENTS, _as_toml(table.values()))

    def _keys(self, name: str) -> KeyPair:
        path = self.directory / name
        if not path.exists():
            public, secret = zmq.curve_keypair()
            _create(path, f'public = "{public.decode()}"\nsecret = "{secret.decode()}"\n')
        return read_keys(path)


def read_keys(path: Path) -> KeyPair:
    """Read a key pair. Raises `KeyFileError`."""
    table = _read_toml(path)
    keys = KeyPair(_z85(table.get("public"), path, "public"), _z85(table.get("secret"), path, "secret"))
    if zmq.curve_public(keys.secret) != keys.public:
        raise KeyFileError(
            f"in {path} the public key does not belong to the secret one: delete the file to make a new pair"
        )
    return keys


def read_clients(path: Path) -> dict[str, Client]:
    """Read the table of clients, by name. Raises `KeyFileError`."""
    return _distinct({name: _client(name, row, path) for name, row in _read_toml(path).items()}, path)


def _distinct(table: dict[str, Client], path: Path) -> dict[str, Client]:
    if len({client.public for client in table.values()}) != len(table):
        raise KeyFileError(f"two clients in {path} would have the same public key: give each its own")
    return table


def _client(name: str, row: object, path: Path) -> Client:
    if not isinstance(row, dict):
        raise KeyFileError(f"{name!r} in {path} has to be a table with public_key, tenant and rights")
    rights, tenant = row.get("rights", []), row.get("tenant", name)
    known = {right.value for right in Right}
    if not isinstance(rights, list) or not known.issuperset(rights):
        raise KeyFileError(f"the rights of {name!r} in {path} have to be a list of {', '.join(sorted(known))}")
    _check_name(name, "client")
    _check_name(tenant, "tenant")
    return Client(name, _z85(row.get("public_key"), path, "public_key"), tenant, frozenset(map(Right, rights)))


def _as_toml(clients: Iterable[Client]) -> str:
    return "# Who may talk to this supervisor. Rights: subscribe, request, admin.\n" + "".join(map(_row, clients))


def _row(client: Client) -> str:
    rights = ", ".join(f'"{right}"' for right in sorted(client.rights))
    return f"""
[{client.name}]
public_key = "{client.public.decode()}"
tenant = "{client.tenant}"
rights = [{rights}]
"""


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise KeyFileError(f"{name!r} is no {what} name: use 1 to 64 letters, digits, - and _")


def _z85(value: object, path: Path, what: str) -> bytes:
    if isinstance(value, str) and len(value) == 40:
        try:
            z85.decode(value)
        except (KeyError, ValueError):
            pass
        else:
            return value.encode()
    raise KeyFileError(f"{what} in {path} is no CURVE key: 40 characters of Z85 are needed")


def _read_toml(path: Path) -> dict[str, object]:
    _refuse_open_to_others(path, "600")
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise KeyFileError(f"{path} cannot be read: {error}") from error


def _refuse_open_to_others(path: Path, mode: str) -> None:
    try:
        found = path.stat().st_mode & 0o777
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from error
    if found & 0o077:
        raise KeyFileError(f"others may use {path} (its mode is {found:04o}): run `chmod {mode} {path}`")


def _create(path: Path, text: str) -> None:
    """Make a file with all of its content at once, unless it is there: two processes may start together."""
    temporary = _write_beside(path, text)
    with suppress(FileExistsError):
        os.link(temporary, path)
    os.unlink(temporary)


def _replace(path: Path, text: str) -> None:
    os.replace(_write_beside(path, text), path)


def _write_beside(path: Path, text: str) -> str:
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    with os.fdopen(file, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return name
