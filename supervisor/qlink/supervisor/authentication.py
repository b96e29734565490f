"""Who may connect: the answer to every ZAP question that libzmq asks, from the table of clients.

Deny by default: another mechanism than CURVE, a socket that is not in `DOMAINS`, a key that is not in the table or a
client without a right for that socket is turned away. See RFC 27 of ZeroMQ (ZAP).
"""

import logging
from collections.abc import Callable

import zmq
from zmq.utils import z85

from .errors import KeyFileError
from .keys import Client, KeyStore, Right
from .sockets import Frames, LoopSocket

log = logging.getLogger(__name__)

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_VERSION = b"1.0"
PUBLICATIONS = "publications"
REQUESTS = "requests"
DOMAINS: dict[str, frozenset[Right]] = {  # one of these rights opens the socket; verbs have their own
    PUBLICATIONS: frozenset({Right.SUBSCRIBE, Right.ADMIN}),
    REQUESTS: frozenset(Right),
}


class Clients:
    """The table of clients as it stands in the file now; read again when the file changes."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._version: tuple[int, int] | None = None
        self._by_name: dict[str, Client] = {}

    def by_key(self, public: bytes) -> Client | None:
        return next((client for client in self._table().values() if client.public == public), None)

    def by_name(self, name: str) -> Client | None:
        return self._table().get(name)

    def _table(self) -> dict[str, Client]:
        version = self._store.table_version()
        if version != self._version:
            try:
                self._by_name = self._store.clients()
            except KeyFileError as error:
                self._by_name = {}
                log.error("nobody is let in: %s", error)  # noqa: TRY400 (the sentence says it all)
            self._version = version
        return self._by_name


class Authenticator:
    """Answers libzmq's questions in the running loop. A client's User-Id is its name in the table.

    Has to stand before the first server socket of `context` is bound, and to outlive the last one.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], clients: Clients) -> None:
        self._clients = clients
        socket = context.socket(zmq.ROUTER)
        socket.LINGER = 0
        socket.bind(ZAP_ENDPOINT)
        self._socket = LoopSocket(socket, self._on_message)

    def close(self) -> None:
        self._socket.close()

    def _on_message(self, frames: Frames) -> None:
        parts = [frame.bytes for frame in frames]
        try:
            blank = parts.index(b"")
            version, request, domain, address, _, mechanism, *credentials = parts[blank + 1 :]
        except ValueError:
            return  # not ZAP; libzmq itself sends no such thing
        verdict = judge(self._clients.by_key, domain.decode(), mechanism, credentials)
        if isinstance(verdict, Client):
            answer = [b"200", b"OK", verdict.name.encode(), b""]
        else:
            log.warning("turned away from %s at %s: %s", domain.decode(), address.decode(), verdict)
            answer = [b"400", verdict.encode(), b"", b""]
        self._socket.send([*parts[: blank + 1], version, request, *answer])


def judge(
    by_key: Callable[[bytes], Client | None], domain: str, mechanism: bytes, credentials: list[bytes]
) -> Client | str:
    """Return who it is that may come in, or the reason why not."""
    if mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != 32:
        return "only CURVE is spoken here"
    client = by_key(z85.encode(credentials[0]))
    if client is None:
        return f"key {z85.encode(credentials[0]).decode()} is not in the table of clients"
    if not client.rights & DOMAINS.get(domain, frozenset()):
        return f"client {client.name!r} has no right to {domain}"
    return client
