"""The request socket: calls of docs/messages.md become events or are answered from the journal."""

from collections.abc import Callable
from dataclasses import dataclass

import zmq

from . import events
from .authentication import Clients
from .effects import Acknowledged, Effect, Refused
from .engine import Engine
from .errors import MessageError
from .journal import Journal
from .keys import Client, Right
from .link_clock import Clock
from .messages import (
    MAX_REPLAY,
    REQUEST_TOPIC,
    TOPICS,
    VERSION,
    Answer,
    AnswerBody,
    AskStatus,
    Call,
    Cancel,
    Confirm,
    Create,
    Done,
    Failed,
    Recall,
    Recalled,
    Replay,
    Replayed,
    Status,
    Stop,
    Verb,
    decode,
    encode,
    peek,
    request_topic,
)
from .publisher import Publisher
from .sockets import Frames, LoopSocket, user_id

RIGHTS: dict[type[Verb], frozenset[Right]] = {  # one of these is needed
    Create: frozenset({Right.REQUEST}),
    Cancel: frozenset({Right.REQUEST}),
    Confirm: frozenset({Right.REQUEST}),
    Recall: frozenset({Right.REQUEST}),
    Replay: frozenset({Right.SUBSCRIBE, Right.ADMIN}),
    AskStatus: frozenset(Right),
    Stop: frozenset({Right.ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What calls are answered from."""

    engine: Engine
    journal: Journal
    publisher: Publisher
    clients: Clients
    clock: Clock
    status: Callable[[Client], Status]
    stop: Callable[[], None]


class RequestServer:
    """Answers calls on a ROUTER socket that is bound and authenticated already. Each call gets one answer."""

    def __init__(self, socket: zmq.Socket[bytes], desk: Desk) -> None:
        self._desk = desk
        self._socket = LoopSocket(socket, self._on_message)

    def close(self) -> None:
        self._socket.close()

    def _on_message(self, frames: Frames) -> None:
        route, data = [frame.bytes for frame in frames[:-1]], frames[-1].bytes

        def answer(body: AnswerBody, identity: int) -> None:
            self._socket.send([*route, encode(Answer(VERSION, identity, body))])

        try:
            call = decode(data, Call)
        except MessageError as error:
            version, identity = peek(data)
            code = "BAD_MESSAGE" if version in (None, VERSION) else "BAD_VERSION"
            answer(Failed(code, str(error)), identity or 0)
            return
        client = self._desk.clients.by_name(user_id(frames[-1]))
        refusal = not_permitted(client, call.body)
        if client is None or refusal is not None:
            answer(Failed("NOT_PERMITTED", refusal or "this client was taken out of the table"), call.id)
            return
        self._take(client, call.body, lambda body: answer(body, call.id))

    def _take(self, client: Client, verb: Verb, answer: Callable[[AnswerBody], None]) -> None:
        match verb:
            case Create() | Cancel() | Confirm():
                self._tell(client, verb, answer)
            case Recall():
                answer(Recalled(self._desk.journal.answers(client.tenant, verb.key)))
            case Replay():
                answer(self._replay(client, verb))
            case AskStatus():
                answer(self._desk.status(client))
            case Stop():
                answer(Done())
                self._desk.stop()

    def _tell(self, client: Client, verb: Create | Cancel | Confirm, answer: Callable[[AnswerBody], None]) -> None:
        if self._desk.engine.busy:
            answer(Failed("BUSY", "more is waiting than can be decided: ask again in a second, with the same key"))
            return
        event = as_event(verb, client.tenant, self._desk.clock())
        self._desk.engine.tell(event, lambda effects: answer(answer_in(effects)))

    def _replay(self, client: Client, verb: Replay) -> Replayed | Failed:
        topic = request_topic(client.tenant) if verb.topic == REQUEST_TOPIC else verb.topic
        if not may_hear(client, topic):
            return Failed("NO_SUCH_TOPIC", f"there is no topic {topic!r} for this client: use {', '.join(TOPICS)}")
        publisher = self._desk.publisher
        bodies = publisher.find(topic, max(verb.first, 1), min(max(verb.limit, 0), MAX_REPLAY))
        if bodies is None:
            return Failed("GONE", f"{topic} {verb.first} is no longer kept: go on from {publisher.last(topic)}")
        return Replayed(topic, max(verb.first, 1), publisher.last(topic), bodies)


def not_permitted(client: Client | None, verb: Verb) -> str | None:
    """Return why `client` may not do this; None when it may."""
    if client is None:
        return "this client was taken out of the table"
    needed = RIGHTS[type(verb)]
    if client.rights & needed:
        return None
    rights = " or ".join(f"{right.value!r}" for right in sorted(needed))
    return f"client {client.name!r} may not do this: it needs the right {rights} in the table of clients"


def may_hear(client: Client, topic: str) -> bool:
    """Whether a topic frame is one that reaches `client`."""
    if topic.startswith(f"{REQUEST_TOPIC}/"):
        return Right.ADMIN in client.rights or topic == request_topic(client.tenant)
    return topic in TOPICS and topic != REQUEST_TOPIC


def as_event(verb: Create | Cancel | Confirm, tenant: str, time_ns: int) -> events.Event:
    """What the core is told."""
    match verb:
        case Cancel():
            return events.Cancelled(time_ns, tenant, verb.create_id)
        case Confirm():
            return events.Confirmed(time_ns, tenant, verb.pair, verb.consumed)
        case Create():
            return events.Requested(
                time_ns,
                events.Request(
                    key=verb.key,
                    tenant=tenant,
                    number=verb.number,
                    min_fidelity=verb.min_fidelity,
                    max_time_ns=verb.max_time_ns,
                    min_lifetime_ns=verb.min_lifetime_ns,
                    priority=verb.priority,
                    purpose_id=verb.purpose_id,
                    atomic=verb.atomic,
                    measure_directly=verb.measure_directly,
                ),
            )


def answer_in(effects: list[Effect]) -> AnswerBody:
    """The answer to a call among what it led to. A call that led to no ACK and no ERR is done."""
    return next((effect for effect in effects if isinstance(effect, (Acknowledged, Refused))), Done())
