"""A board behind a socket: `tcp://host:port` or `unix:///path`. For one on another machine, or in another process."""

import socket
from contextlib import suppress
from urllib.parse import SplitResult

from .errors import TransportError

CONNECT_S = 2.0


class SocketTransport:
    """The byte pipe of `transport.Transport` over a connected stream socket, which it owns."""

    def __init__(self, connected: socket.socket, name: str) -> None:
        self._socket = connected
        self._name = name

    def read(self, size: int, timeout_s: float) -> bytes:
        try:
            self._socket.settimeout(max(timeout_s, 0.0))
            data = self._socket.recv(size)
        except (TimeoutError, BlockingIOError):
            return b""
        except OSError as error:
            raise TransportError(f"{self._name} failed: {error.strerror or error}") from error
        if not data:
            raise TransportError(f"{self._name} was closed by the other end: is the board still there?")
        return data

    def write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(CONNECT_S)
            self._socket.sendall(data)
        except OSError as error:
            raise TransportError(f"{self._name} takes nothing more: {error.strerror or error}") from error

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def open_url(parts: SplitResult) -> SocketTransport:
    """Connect to `tcp://host:port` or `unix:///path`. Raises `TransportError`."""
    name = f"{parts.scheme}://{parts.netloc}{parts.path}"
    try:
        if parts.scheme == "unix":
            connected = socket.socket(socket.AF_UNIX)
            try:
                connected.connect(parts.path)
            except OSError:
                connected.close()
                raise
        else:
            if parts.hostname is None or parts.port is None:
                raise TransportError(f"{name} names no host and port: write tcp://HOST:PORT")
            connected = socket.create_connection((parts.hostname, parts.port), CONNECT_S)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, ValueError) as error:
        raise TransportError(f"no board at {name}: {error}") from error
    return SocketTransport(connected, name)
