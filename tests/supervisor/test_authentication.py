"""With real sockets: who has no key, no row or no right hears nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import zmq

from qlink.supervisor.authentication import PUBLICATIONS, REQUESTS, Authenticator, Clients
from qlink.supervisor.keys import Client, Credentials, KeyPair, KeyStore, Right
from qlink.supervisor.sockets import Frames, LoopSocket, client_socket, server_socket

CONTEXT = zmq.Context[zmq.Socket[bytes]]
PATIENCE_S = 5.0
SILENCE_S = 0.3  # how long nothing has to come before it counts as nothing


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "state")


@pytest.fixture
def context() -> Iterator[CONTEXT]:
    context: CONTEXT = zmq.Context()
    yield context
    context.destroy(linger=0)


class Echo:
    """A server on each kind of socket: echoes requests with the User-Id, tells new subscribers `hello`."""

    def __init__(self, context: CONTEXT, store: KeyStore) -> None:
        self.authenticator = Authenticator(context, Clients(store))
        publications = server_socket(context, zmq.XPUB, store.server, PUBLICATIONS)
        requests = server_socket(context, zmq.ROUTER, store.server, REQUESTS)
        self.addresses = {}
        for domain, socket in ((PUBLICATIONS, publications), (REQUESTS, requests)):
            port = socket.bind_to_random_port("tcp://127.0.0.1")
            self.addresses[domain] = f"tcp://127.0.0.1:{port}"
        self.publications = LoopSocket(publications, self._greet)
        self.requests = LoopSocket(requests, self._echo)

    def _greet(self, frames: Frames) -> None:
        self.publications.send([b"herald", str(frames[0]["User-Id"]).encode()])

    def _echo(self, frames: Frames) -> None:
        self.requests.send([frames[0].bytes, str(frames[-1]["User-Id"]).encode() + b" said " + frames[-1].bytes])

    def close(self) -> None:
        for part in (self.publications, self.requests, self.authenticator):
            part.close()


@pytest.fixture
async def echo(context: CONTEXT, store: KeyStore) -> AsyncIterator[Echo]:
    echo = Echo(context, store)
    yield echo
    echo.close()


async def ask(socket: zmq.Socket[bytes], address: str, patience_s: float = PATIENCE_S) -> list[bytes] | None:
    """Connect, send or subscribe, and return what came back; None for silence."""
    answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        socket.connect(address)
        if socket.type == zmq.SUB:
            socket.subscribe(b"herald")

        def take(frames: Frames) -> None:
            if not answer.done():
                answer.set_result([frame.bytes for frame in frames])

        watched = LoopSocket(socket, take)
        stack.callback(watched.close)
        if socket.type == zmq.DEALER:
            watched.send([b"hello"])
        try:
            return await asyncio.wait_for(answer, patience_s)
        except TimeoutError:
            return None


async def test_who_is_in_the_table_is_let_in_under_its_name(context: CONTEXT, store: KeyStore, echo: Echo) -> None:
    credentials = store.make_client("alice", "qkd", [Right.SUBSCRIBE, Right.REQUEST])
    for domain, kind, answer in (
        (REQUESTS, zmq.DEALER, [b"alice said hello"]),
        (PUBLICATIONS, zmq.SUB, [b"herald", b"alice"]),
    ):
        assert await ask(client_socket(context, kind, credentials), echo.addresses[domain]) == answer


@pytest.mark.parametrize(("domain", "kind"), [(REQUESTS, zmq.DEALER), (PUBLICATIONS, zmq.SUB)])
class TestTurnsAway:
    async def test_who_has_no_key(self, domain: str, kind: int, context: CONTEXT, echo: Echo) -> None:
        bare = context.socket(kind)
        bare.LINGER = 0
        assert await ask(bare, echo.addresses[domain], SILENCE_S) is None

    async def test_who_is_not_in_the_table(
        self, domain: str, kind: int, context: CONTEXT, store: KeyStore, echo: Echo, caplog: pytest.LogCaptureFixture
    ) -> None:
        stranger = Credentials(KeyPair(*zmq.curve_keypair()), store.server.public)
        assert await ask(client_socket(context, kind, stranger), echo.addresses[domain], SILENCE_S) is None
        assert f"key {stranger.keys.public.decode()} is not in the table of clients" in caplog.text

    async def test_who_knows_another_server(
        self, domain: str, kind: int, context: CONTEXT, store: KeyStore, echo: Echo
    ) -> None:
        misled = Credentials(store.local, zmq.curve_keypair()[0])
        assert await ask(client_socket(context, kind, misled), echo.addresses[domain], SILENCE_S) is None

    async def test_who_has_no_right(
        self, domain: str, kind: int, context: CONTEXT, store: KeyStore, echo: Echo, caplog: pytest.LogCaptureFixture
    ) -> None:
        powerless = store.make_client("eve", "eve", [])
        assert await ask(client_socket(context, kind, powerless), echo.addresses[domain], SILENCE_S) is None
        assert f"client 'eve' has no right to {domain}" in caplog.text

    async def test_who_was_taken_out_of_the_table(
        self, domain: str, kind: int, context: CONTEXT, store: KeyStore, echo: Echo
    ) -> None:
        credentials = store.make_client("alice", "qkd", list(Right))
        assert await ask(client_socket(context, kind, credentials), echo.addresses[domain]) is not None
        store.remove("alice")
        assert await ask(client_socket(context, kind, credentials), echo.addresses[domain], SILENCE_S) is None

    async def test_everyone_when_nobody_answers_for_the_table(
        self, domain: str, kind: int, context: CONTEXT, store: KeyStore, echo: Echo
    ) -> None:
        echo.authenticator.close()
        known = client_socket(context, kind, store.credentials())
        assert await ask(known, echo.addresses[domain], SILENCE_S) is None


async def test_the_right_to_request_opens_no_publications(context: CONTEXT, store: KeyStore, echo: Echo) -> None:
    credentials = store.make_client("bob", "bob", [Right.REQUEST])
    sub = client_socket(context, zmq.SUB, credentials)
    assert await ask(sub, echo.addresses[PUBLICATIONS], SILENCE_S) is None


async def test_a_damaged_table_lets_nobody_in(
    context: CONTEXT, store: KeyStore, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    (store.directory / "clients.toml").write_text("nonsense")
    known = client_socket(context, zmq.DEALER, store.credentials())
    assert await ask(known, echo.addresses[REQUESTS], SILENCE_S) is None
    assert "nobody is let in" in caplog.text


def test_the_table_is_read_again_only_when_it_changed(store: KeyStore) -> None:
    clients = Clients(store)
    local = clients.by_name("local")
    assert local is clients.by_name("local")
    store.add(Client("local", store.local.public, "other", frozenset()))
    changed = clients.by_key(store.local.public)
    assert changed is not None
    assert changed.tenant == "other"
