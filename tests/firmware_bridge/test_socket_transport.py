import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from qlink.firmware_bridge.errors import TransportError
from qlink.firmware_bridge.socket_transport import SocketTransport, open_url


@pytest.fixture(params=["tcp", "unix"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens, and its URL."""
    if request.param == "unix":
        path = str(tmp_path / "board")
        with socket.create_server(path, family=socket.AF_UNIX) as server:
            yield server, f"unix://{path}"
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield server, f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def ends(listening: tuple[socket.socket, str]) -> Iterator[tuple[socket.socket, SocketTransport]]:
    """The board's end, and the transport."""
    server, url = listening
    with closing(open_url(urlsplit(url))) as transport:
        board, _ = server.accept()
        with board:
            yield board, transport


def test_bytes_go_both_ways(ends: tuple[socket.socket, SocketTransport]) -> None:
    board, transport = ends
    board.sendall(b"up")
    transport.write(b"down")
    assert (transport.read(100, 5.0), board.recv(100)) == (b"up", b"down")


@pytest.mark.parametrize("timeout_s", [0.0, 0.01])
def test_silence_is_no_bytes(ends: tuple[socket.socket, SocketTransport], timeout_s: float) -> None:
    assert ends[1].read(100, timeout_s) == b""


def test_an_end_that_went_away_is_an_error(ends: tuple[socket.socket, SocketTransport]) -> None:
    board, transport = ends
    board.close()
    with pytest.raises(TransportError, match="was closed by the other end"):
        transport.read(100, 5.0)
    with pytest.raises(TransportError, match="takes nothing more"):
        transport.write(bytes(50_000_000))


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("unix:///nowhere/board", "no board at unix:///nowhere/board"),
        ("tcp://127.0.0.1:1", "no board at tcp://127.0.0.1:1"),
        ("tcp://127.0.0.1", "names no host and port: write tcp://HOST:PORT"),
        ("tcp://127.0.0.1:99999999", "no board at"),
    ],
)
def test_what_cannot_be_reached_is_named(url: str, complaint: str) -> None:
    with pytest.raises(TransportError, match=complaint):
        open_url(urlsplit(url))
