"""ZeroMQ sockets in an asyncio loop: CURVE on each of them, and one callback a message.

Plain sockets watched by the loop, not `zmq.asyncio`: at 10,000 messages a second a future per message is what costs.
"""

import asyncio
from collections.abc import Callable, Sequence

import zmq

from .keys import Credentials, KeyPair

MAX_BYTES = 1 << 20  # of one message to a server socket; who sends more is cut off
LINGER_MS = 200  # how long a closed server socket goes on sending what is on its way
NOBLOCK, SEND_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
BURST = 256  # messages taken in before others in the loop have their turn

Frames = Sequence[zmq.Frame]
OnMessage = Callable[[Frames], None]


class LoopSocket:
    """Calls `on_message` in the running loop for every message that comes in; sends without waiting.

    A message that cannot be sent at once is dropped (the peer is slow, or gone): `send` tells so.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_message: OnMessage) -> None:
        self.socket = socket
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._descriptor = socket.FD
        self._loop.add_reader(self._descriptor, self._drain)
        self._due: asyncio.Handle | None = None
        self._look_again()

    def send(self, frames: Sequence[bytes]) -> bool:
        try:
            for frame in frames[:-1]:
                self.socket.send(frame, SEND_MORE)
            self.socket.send(frames[-1], NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        finally:
            self._look_again()
        return True

    def close(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._loop.remove_reader(self._descriptor)
        self.socket.close()

    def _drain(self) -> None:
        self._due = None
        for _ in range(BURST):
            if self.socket.closed:
                return
            try:
                frames = self.socket.recv_multipart(NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._on_message(frames)
        self._look_again()

    def _look_again(self) -> None:
        """See to it that the socket is read in the loop's next round.

        Its descriptor tells of changes only, and any send or receive may have used one up.
        """
        if self._due is None:
            self._due = self._loop.call_soon(self._drain)


def user_id(frame: zmq.Frame) -> str:
    """The name of the client that sent it, by `authentication.Authenticator`; empty for what libzmq made up itself."""
    try:
        return str(frame["User-Id"])
    except zmq.ZMQError:
        return ""


def server_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, keys: KeyPair, domain: str) -> zmq.Socket[bytes]:
    """A socket that speaks CURVE alone, and asks `authentication.Authenticator` about everyone who comes."""
    socket = context.socket(kind)
    socket.LINGER = LINGER_MS
    socket.MAXMSGSIZE = MAX_BYTES
    socket.CURVE_SERVER = 1
    socket.CURVE_PUBLICKEY = keys.public
    socket.CURVE_SECRETKEY = keys.secret
    socket.ZAP_DOMAIN = domain.encode()
    socket.ZAP_ENFORCE_DOMAIN = 1  # without it libzmq lets everyone in when nobody answers ZAP
    return socket


def client_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, credentials: Credentials) -> zmq.Socket[bytes]:
    """The other end of a `server_socket`."""
    socket = context.socket(kind)
    socket.LINGER = 0
    socket.CURVE_SERVERKEY = credentials.server_public
    socket.CURVE_PUBLICKEY = credentials.keys.public
    socket.CURVE_SECRETKEY = credentials.keys.secret
    return socket
