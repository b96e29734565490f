"""The Python client against a real service: gaps, strangers' messages, and a supervisor that goes away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from qlink.supervisor.addresses import Addresses, read_addresses
from qlink.supervisor.authentication import PUBLICATIONS, REQUESTS, Authenticator, Clients
from qlink.supervisor.client import Client, News, Subscription, open_client
from qlink.supervisor.errors import MessageError, NoAnswer, PublicationsLost
from qlink.supervisor.keys import KeyStore
from qlink.supervisor.messages import VERSION, Answer, Failed, decode
from qlink.supervisor.service import bound
from qlink.supervisor.sockets import Frames, LoopSocket, client_socket, server_socket

from .running import Processes, Supervisor

RATE_HZ = 1000.0
FROM_THE_BEGINNING = {"herald": 0}


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Processes(tmp_path_factory.mktemp("client")) as processes:
        yield processes.start_all(RATE_HZ)


@pytest.fixture
async def client(supervisor: Supervisor) -> AsyncIterator[Client]:
    async with open_client(supervisor.home) as client:
        yield client


async def take(news: AsyncIterator[News], count: int, pause_s: float = 0.0) -> list[News]:
    """The next `count` publications; after the first one nothing is taken for a while."""
    taken: list[News] = []
    async with asyncio.timeout(20):
        async for item in news:
            taken.append(item)
            if len(taken) == 1:
                await asyncio.sleep(pause_s)
            if len(taken) == count:
                break
    return taken


def numbers(news: list[News]) -> list[int]:
    return [item.number for item in news]


async def test_who_takes_its_time_misses_nothing(client: Client) -> None:
    news = await take(client.subscribe("herald", backlog=2), 600, pause_s=0.3)
    assert numbers(news) == list(range(news[0].number, news[0].number + 600))
    assert any(item.replayed for item in news)  # how many, the machine's speed decides
    assert [item.body.pair for item in news] == numbers(news)  # type: ignore[union-attr]


async def test_who_comes_late_begins_at_the_beginning(client: Client) -> None:
    assert numbers(await take(client.subscribe("herald", after=FROM_THE_BEGINNING), 3000)) == list(range(1, 3001))


async def test_a_replay_is_cut_to_what_there_is(client: Client) -> None:
    last = (await client.replay("herald", 1, 1)).last
    replayed = await client.replay("herald", last + 10_000, 5)
    assert replayed.bodies == []
    assert len((await client.replay("herald", 1, 100_000)).bodies) <= 1000


async def test_objectives_that_are_no_longer_kept_are_said_to_be_gone(client: Client) -> None:
    await take(client.subscribe("slo"), 1)
    with pytest.raises(PublicationsLost, match="slo 1 is no longer kept: go on from"):
        await client.replay("slo", 1)
    assert len(await take(client.subscribe("slo", after={"slo": 1}), 1)) == 1


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (b"", "BAD_MESSAGE"),
        (b"\xc1", "BAD_MESSAGE"),
        (msgspec.msgpack.encode([VERSION, 7, ["dance"]]), "BAD_MESSAGE"),
        (msgspec.msgpack.encode([VERSION + 1, 7, ["status"]]), "BAD_VERSION"),
    ],
)
async def test_what_is_no_call_is_answered_with_a_sentence(
    client: Client, supervisor: Supervisor, message: bytes, answer: str
) -> None:
    received: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    credentials = KeyStore(supervisor.home).credentials()
    raw = LoopSocket(
        client_socket(context, zmq.DEALER, credentials),
        lambda frames: received.set_result(decode(frames[-1].bytes, Answer)),
    )
    raw.socket.connect(read_addresses(supervisor.home).requests)
    raw.send([message])
    failed = (await asyncio.wait_for(received, 5)).body
    assert isinstance(failed, Failed)
    assert failed.code == answer
    assert len(failed.reason) > 20
    raw.close()
    context.destroy(linger=0)


async def test_a_topic_that_does_not_exist_is_named(client: Client) -> None:
    with pytest.raises(MessageError, match="no topic heralds: use herald, pair, request, slo"):
        await anext(client.subscribe("herald", "heralds"))


@pytest.mark.parametrize("topic", ["", "her", "secret", "request/qkd/"])
async def test_a_subscription_that_nobody_may_have_brings_nothing(supervisor: Supervisor, topic: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    address, credentials = read_addresses(supervisor.home).publications, KeyStore(supervisor.home).credentials()
    subscription = Subscription(context, address, credentials, [topic], backlog=10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(subscription.next(), 0.3)
    subscription.close()
    context.destroy(linger=0)


async def test_what_wants_to_be_a_publication_is_no_subscription(client: Client, supervisor: Supervisor) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    raw = client_socket(context, zmq.XSUB, KeyStore(supervisor.home).credentials())
    raw.connect(read_addresses(supervisor.home).publications)
    for message in (b"", b"\x02", b"herald", b"\x01herald"):
        raw.send(message)
    assert numbers(await take(client.subscribe("herald"), 5))
    assert (await client.status()).link == "up"
    context.destroy(linger=0)


class Stranger:
    """A server with the right key that speaks otherwise."""

    def __init__(self, store: KeyStore, reply: bytes) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._authenticator = Authenticator(self.context, Clients(store))
        self._reply = reply
        self._publications = LoopSocket(
            server_socket(self.context, zmq.XPUB, store.server, PUBLICATIONS), self._on_subscription
        )
        self._requests = LoopSocket(server_socket(self.context, zmq.ROUTER, store.server, REQUESTS), self._on_call)
        self.addresses = Addresses(
            bound(self._publications.socket, "tcp://127.0.0.1:*"), bound(self._requests.socket, "tcp://127.0.0.1:*")
        )

    def _on_subscription(self, frames: Frames) -> None:
        self._publications.send([frames[0].bytes[1:], self._reply])

    def _on_call(self, frames: Frames) -> None:
        self._requests.send([frames[0].bytes, self._reply])

    def close(self) -> None:
        for part in (self._publications, self._requests, self._authenticator):
            part.close()
        self.context.destroy(linger=0)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [(b"noise", r"no (answer|publication) of docs/messages.md"), (b"\x93\x05\x01\x90", "speaks version 5")],
)
async def test_a_supervisor_of_another_kind_is_named(tmp_path: Path, reply: bytes, complaint: str) -> None:
    store = KeyStore(tmp_path / "state")
    stranger = Stranger(store, reply)
    client = Client(stranger.addresses, store.credentials())
    with pytest.raises(MessageError, match=complaint):
        await client.status()
    with pytest.raises(MessageError, match=complaint):
        await anext(client.subscribe("herald"))
    client.close()
    stranger.close()


async def test_a_supervisor_that_goes_away_is_missed(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        supervisor = processes.start_all(RATE_HZ)
        async with open_client(supervisor.home, patience_s=3) as client:
            await client.status()
            supervisor.process.kill()
            supervisor.process.wait()
            with pytest.raises(NoAnswer, match="does a supervisor run there"):
                await client.status()
