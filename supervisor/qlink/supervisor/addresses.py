"""Where a running supervisor listens: a file in its home, for clients on the same machine."""

import os
from pathlib import Path

import msgspec

from .errors import NoAnswer

FILE = "addresses.json"


class Addresses(msgspec.Struct, frozen=True):
    publications: str
    requests: str
    metrics: str = ""  # URL; empty: none


def write_addresses(home: Path, addresses: Addresses) -> None:
    temporary = home / f".{FILE}.{os.getpid()}"
    temporary.touch(mode=0o600)
    temporary.write_bytes(msgspec.json.encode(addresses))
    temporary.replace(home / FILE)


def read_addresses(home: Path) -> Addresses:
    """Raises `NoAnswer` when no supervisor was ever started there."""
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=Addresses)
    except (OSError, msgspec.DecodeError) as error:
        raise NoAnswer(f"no supervisor runs with {home}: start one with `qlinkctl up`") from error
