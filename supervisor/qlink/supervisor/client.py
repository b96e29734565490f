"""A client of a supervisor, for applications and `qlinkctl`: ask for pairs, and hear of everything without a gap.

async with open_client() as client:
    async for news in client.subscribe("herald", "request"):
        print(news.number, news.body)
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import zmq

from .addresses import Addresses, read_addresses
from .effects import Acknowledged, Effect, Refused
from .errors import AccessDenied, MessageError, NoAnswer, PublicationsLost, RequestRefused, SupervisorError
from .gaps import Gap, NumberCheck
from .keys import LOCAL_CLIENT, Credentials, KeyStore, state_directory
from .messages import (
    MAX_REPLAY,
    SLO_TOPIC,
    TOPICS,
    VERSION,
    Answer,
    AnswerBody,
    AskStatus,
    Body,
    Call,
    Cancel,
    Confirm,
    Create,
    Failed,
    Publication,
    Recall,
    Recalled,
    Replay,
    Replayed,
    Status,
    Stop,
    Verb,
    decode,
    encode,
)
from .sockets import Frames, LoopSocket, client_socket

PATIENCE_S = 5.0
BACKLOG = 100_000  # messages


@dataclass(frozen=True, slots=True)
class News:
    """One publication. Numbers rise by one per topic."""

    topic: str
    number: int
    body: Body
    replayed: bool = False  # it was missed, and asked for again


class Client:
    """Calls and subscriptions of one client, in the running loop. Made by `open_client`.

    Calls raise `AccessDenied`, `NoAnswer` or `RequestRefused`. After `NoAnswer` a request may be made again with the
    same key: it is served once.
    """

    def __init__(self, addresses: Addresses, credentials: Credentials, patience_s: float = PATIENCE_S) -> None:
        self.addresses = addresses
        self._credentials = credentials
        self._patience_s = patience_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._ids = count(1)
        self._calls: dict[int, asyncio.Future[AnswerBody]] = {}
        self._denied = False
        socket = client_socket(self._context, zmq.DEALER, credentials)
        self._watch = LoopSocket(socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH), self._on_denial)
        self._socket = LoopSocket(socket, self._on_answer)
        socket.connect(addresses.requests)

    async def request(self, wish: Create) -> Acknowledged:
        """Ask for pairs. The answer to the same key is always the same."""
        answer = await self.call(wish)
        if not isinstance(answer, Acknowledged):
            raise MessageError(f"the supervisor answered a request with {answer!r}")
        return answer

    async def cancel(self, create_id: int) -> None:
        await self.call(Cancel(create_id))

    async def confirm(self, pair: int, consumed: bool = True) -> None:
        """Say that a pair was taken, or used up: its memory is free then."""
        await self.call(Confirm(pair, consumed))

    async def recall(self, key: str) -> list[Effect]:
        """All that was ever said about a request; empty if it was never made."""
        answer = await self.call(Recall(key))
        return answer.said if isinstance(answer, Recalled) else []

    async def status(self) -> Status:
        answer = await self.call(AskStatus())
        if not isinstance(answer, Status):
            raise MessageError(f"the supervisor answered a question for its status with {answer!r}")
        return answer

    async def stop_supervisor(self) -> None:
        await self.call(Stop())

    async def replay(self, topic: str, first: int, limit: int = MAX_REPLAY) -> Replayed:
        """Publications from number `first` on. Raises `PublicationsLost` when they are no longer kept."""
        try:
            answer = await self.call(Replay(topic, first, limit))
        except RequestRefused as error:
            if error.code == "GONE":
                raise PublicationsLost(str(error)) from error
            raise
        if not isinstance(answer, Replayed):
            raise MessageError(f"the supervisor answered a replay with {answer!r}")
        return answer

    async def call(self, verb: Verb) -> AnswerBody:
        """Make any call of docs/messages.md."""
        identity = next(self._ids)
        answer = self._calls[identity] = asyncio.get_running_loop().create_future()
        if self._denied:
            answer.set_exception(self._denial())
        elif not self._socket.send([encode(Call(VERSION, identity, verb))]):
            answer.set_exception(self._silence())
        try:
            body: AnswerBody = await asyncio.wait_for(answer, self._patience_s)
        except TimeoutError as error:
            raise self._silence() from error
        finally:
            del self._calls[identity]
        if isinstance(body, (Failed, Refused)):
            denied = isinstance(body, Failed) and body.code == "NOT_PERMITTED"
            raise AccessDenied(body.reason) if denied else RequestRefused(body.code, body.reason)
        return body

    async def subscribe(
        self, *topics: str, after: dict[str, int] | None = None, backlog: int = BACKLOG
    ) -> AsyncGenerator[News, None]:
        """Every publication on `topics` from now on (or after the numbers given, by topic frame), without a gap.

        What was missed is asked for again and comes in its place; so it is with what comes while `backlog` messages
        wait to be taken. The topic `request` brings those of the own tenant. Raises `AccessDenied` when the supervisor
        lets us not in, `MessageError` when it speaks otherwise, `PublicationsLost` when a gap cannot be filled.
        """
        unknown = set(topics).difference(TOPICS)
        if unknown or not topics:
            raise MessageError(f"there is no topic {', '.join(sorted(unknown)) or '(none)'}: use {', '.join(TOPICS)}")
        subscription = Subscription(self._context, self.addresses.publications, self._credentials, topics, backlog)
        check = NumberCheck(after or {})
        try:
            while True:
                topic, publication = await subscription.next()
                first, bodies = publication.first, publication.bodies
                gap, known = check.take(topic, first, len(bodies))
                if gap is not None:
                    async for news in self._fill(gap):
                        yield news
                for number, body in enumerate(bodies[known:], first + known):
                    yield News(topic, number, body)
        finally:
            subscription.close()

    def close(self) -> None:
        self._watch.close()
        self._socket.close()
        self._context.destroy(linger=0)

    async def _fill(self, gap: Gap) -> AsyncIterator[News]:
        first = gap.first
        while first <= gap.last:
            try:
                replayed = await self.replay(gap.topic, first, min(gap.last - first + 1, MAX_REPLAY))
            except PublicationsLost:
                if gap.topic == SLO_TOPIC:
                    return  # nobody judged while there was no supervisor
                raise
            if not replayed.bodies:
                raise PublicationsLost(f"publications {first} to {gap.last} of {gap.topic} cannot be had any more")
            for number, body in enumerate(replayed.bodies, first):
                yield News(gap.topic, number, body, replayed=True)
            first += len(replayed.bodies)

    def _on_answer(self, frames: Frames) -> None:
        try:
            answer = decode(frames[-1].bytes, Answer)
        except MessageError as error:
            self._fail(error)
            return
        waiting = self._calls.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.body)

    def _on_denial(self, frames: Frames) -> None:
        self._denied = True
        self._fail(self._denial())

    def _fail(self, error: SupervisorError) -> None:
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(error)

    def _denial(self) -> AccessDenied:
        return denial(self.addresses.requests, self._credentials)

    def _silence(self) -> NoAnswer:
        return NoAnswer(
            f"no answer from {self.addresses.requests} within {self._patience_s:g} s: does a supervisor run there "
            "(`qlinkctl up`), and is the server's public key its own?"
        )


class Subscription:
    """One SUB socket and what has come in on it."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        credentials: Credentials,
        topics: Iterable[str],
        backlog: int,
    ) -> None:
        self._denial = denial(address, credentials)
        self._backlog = backlog
        self._arrived: asyncio.Queue[tuple[str, Publication] | SupervisorError] = asyncio.Queue()
        socket = client_socket(context, zmq.SUB, credentials)
        socket.RCVHWM = backlog
        self._watch = LoopSocket(socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH), self._on_denial)
        self._socket = LoopSocket(socket, self._on_message)
        for topic in topics:
            socket.subscribe(topic)
        socket.connect(address)

    async def next(self) -> tuple[str, Publication]:
        """Topic frame and publication, in the order in which they came."""
        arrived = await self._arrived.get()
        if isinstance(arrived, SupervisorError):
            raise arrived
        return arrived

    def close(self) -> None:
        self._watch.close()
        self._socket.close()

    def _on_message(self, frames: Frames) -> None:
        if self._arrived.qsize() >= self._backlog:
            return  # the next one that is taken tells by its number that this one was missed
        try:
            self._arrived.put_nowait((frames[0].bytes.decode(), decode(frames[-1].bytes, Publication)))
        except MessageError as error:
            self._arrived.put_nowait(error)

    def _on_denial(self, frames: Frames) -> None:
        self._arrived.put_nowait(self._denial)


def denial(address: str, credentials: Credentials) -> AccessDenied:
    key = credentials.keys.public.decode()
    return AccessDenied(
        f"the supervisor at {address} turns us away: enter the public key {key} into its table of clients, with the "
        "right that is needed (`qlinkctl keys add`)"
    )


@asynccontextmanager
async def open_client(
    home: Path | None = None, name: str = LOCAL_CLIENT, patience_s: float = PATIENCE_S
) -> AsyncIterator[Client]:
    """A client of the supervisor with this home on this machine, under the name of a key that lies there."""
    home = home or state_directory()
    client = Client(read_addresses(home), KeyStore(home).credentials(name), patience_s)
    try:
        yield client
    finally:
        client.close()
