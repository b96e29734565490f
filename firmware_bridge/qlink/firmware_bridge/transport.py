"""Byte transports to a board, by URL."""

import time
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable
from urllib.parse import SplitResult, urlsplit

from .errors import TransportError

ENTRY_POINT_GROUP = "qlink.transports"


class Transport(Protocol):
    """A byte pipe to and from a board. Not thread-safe: one owner at a time."""

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return up to `size` bytes, as soon as there are any; b"" when none came in `timeout_s`.

        Raises `EndOfStream` when none can ever come again, `TransportError` when the link failed.
        """
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises `TransportError`."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Recorded(Protocol):
    """A transport with no board behind it, which knows what the board's registers were: a recording."""

    @property
    def recorded_registers(self) -> Mapping[int, int]:
        """Values by address, as far as they are known."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A transport with a time of its own, which passes in `read` as fast as it can be computed: a simulation."""

    def now_s(self) -> float:
        """That time, in seconds. Timeouts are measured by it."""
        ...


def clock_of(transport: Transport) -> Callable[[], float]:
    """The clock by which `transport`'s timeouts pass."""
    return transport.now_s if isinstance(transport, Timed) else time.monotonic


Opener = Callable[[SplitResult], Transport]


def open_transport(url: str) -> Transport:
    """Open the transport that `url`'s scheme names: an entry point of the group `qlink.transports`."""
    parts = urlsplit(url)
    schemes = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if parts.scheme not in schemes:
        known = ", ".join(f"{name}://" for name in sorted(schemes))
        raise TransportError(f"no transport for {url!r}: the URL has to begin with one of {known}")
    opener: Opener = schemes[parts.scheme].load()
    return opener(parts)
