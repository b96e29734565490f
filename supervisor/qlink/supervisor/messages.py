"""What travels on the supervisor's sockets. See docs/messages.md, whose tables a test compares with this module.

Every message is a msgpack array that begins with the version of this contract. Publications are two frames, the topic
and `[VERSION, first, bodies]`; calls and answers are one frame, `[VERSION, id, body]`. A body is an array that begins
with its kind, such as `"herald"`. Decisions of the core travel as they are in `effects`.
"""

from typing import TypeVar, cast

import msgspec

from .effects import (
    Acknowledged,
    Allocated,
    Completed,
    Effect,
    HeraldIgnored,
    HeraldPublished,
    PairEnded,
    Purify,
    Refused,
    RequestCancelled,
    RequestExpired,
)
from .errors import MessageError

VERSION = 1

HERALD_TOPIC = "herald"
PAIR_TOPIC = "pair"
REQUEST_TOPIC = "request"
SLO_TOPIC = "slo"
TOPICS = (HERALD_TOPIC, PAIR_TOPIC, REQUEST_TOPIC, SLO_TOPIC)
MAX_REPLAY = 1000  # publications in one answer


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """How one objective stands."""

    id: str  # M1 to M10, see docs/messages.md
    name: str
    objective: float  # share of good events that is promised
    value: float | None  # share over the budget's period; None: nothing was measured
    budget_left: float  # share of the error budget; below 0: overdrawn
    burn_rate: float  # over the last hour
    alert: str  # "", "ticket" or "page"


class SloReport(msgspec.Struct, frozen=True, array_like=True, tag="slo"):
    """How the objectives stand. Its number counts windows since 1970: a gap is time without a supervisor."""

    time_ns: int
    standings: list[Standing]


Body = (
    HeraldPublished
    | HeraldIgnored
    | Acknowledged
    | Refused
    | Allocated
    | RequestExpired
    | RequestCancelled
    | Completed
    | Purify
    | PairEnded
    | SloReport
)


class Publication(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The second frame of a message on a topic: what was decided together. Numbers rise by one per topic and body.

    Without bodies it is a heartbeat, sent at intervals and after a subscription: silence is not loss.
    """

    version: int
    first: int  # number of the first body, or of the next one that will be
    bodies: list[Body]


class Create(msgspec.Struct, frozen=True, array_like=True, tag="create"):
    """Ask for pairs: `events.Request` without the tenant, which the key tells. Right: request."""

    key: str  # makes it idempotent: the same key is answered as before and never served twice
    number: int = 1
    min_fidelity: float = 0.5
    max_time_ns: int = 1_000_000_000
    min_lifetime_ns: int = 0
    priority: int = 0
    purpose_id: int = 0
    atomic: bool = False
    measure_directly: bool = False


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Withdraw a request; pairs that it got stay the tenant's own. Right: request."""

    create_id: int


class Confirm(msgspec.Struct, frozen=True, array_like=True, tag="confirm"):
    """Say that a pair was taken, or (`consumed`) used up. Right: request."""

    pair: int
    consumed: bool


class Recall(msgspec.Struct, frozen=True, array_like=True, tag="recall"):
    """Ask for all that was ever said about the request `key`. Right: request."""

    key: str


class Replay(msgspec.Struct, frozen=True, array_like=True, tag="replay"):
    """Ask for publications again, from number `first` on, at most MAX_REPLAY of them. Right: subscribe."""

    topic: str  # the topic frame, as it was received
    first: int
    limit: int = MAX_REPLAY


class AskStatus(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """Ask how link and supervisor are. Any right."""


class Stop(msgspec.Struct, frozen=True, array_like=True, tag="stop"):
    """Ask the supervisor to end. Right: admin."""


Verb = Create | Cancel | Confirm | Recall | Replay | AskStatus | Stop


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A client's message to the request socket. `id` comes back in the answer."""

    version: int
    id: int
    body: Verb


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """It is done, and in the journal."""


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """The call could not be taken: BAD_MESSAGE, BAD_VERSION, NOT_PERMITTED, NO_SUCH_TOPIC, GONE or BUSY."""

    code: str
    reason: str  # a sentence that says what to do


class Recalled(msgspec.Struct, frozen=True, array_like=True, tag="recalled"):
    """All that was said, in order; empty if the key was never used."""

    said: list[Effect]


class Replayed(msgspec.Struct, frozen=True, array_like=True, tag="replayed"):
    """Publications from `first` on, without a gap; fewer than asked for when there are no more."""

    topic: str
    first: int
    last: int  # number of the topic's last publication, as of now
    bodies: list[Body]


class Status(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """How link and supervisor are."""

    time_ns: int
    since_ns: int  # when the supervisor started
    epoch: int  # of the journal: rises with every start
    link: str  # boards.LinkState
    reason: str  # why the link is as it is
    board: str
    heralds: int
    pairs: dict[str, int]  # by what became of them
    requests: dict[str, int]  # by answer
    lost: dict[str, int]  # events known to be lost, by kind
    published: dict[str, int]  # last number by topic, of those that the client may hear
    slos: list[Standing]


AnswerBody = Acknowledged | Refused | Done | Failed | Recalled | Replayed | Status


class Answer(msgspec.Struct, frozen=True, array_like=True):
    version: int
    id: int
    body: AnswerBody


Message = TypeVar("Message", Publication, Call, Answer)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what bytes that are no message raise

_encoder = msgspec.msgpack.Encoder()
_decoders = {kind: msgspec.msgpack.Decoder(kind) for kind in (Publication, Call, Answer)}


def encode(message: Publication | Call | Answer) -> bytes:
    return _encoder.encode(message)


def decode(data: bytes | memoryview, kind: type[Message]) -> Message:
    """Raises `MessageError` for another version, or what is no such message."""
    try:
        message = cast(Message, _decoders[kind].decode(data))
    except UNREADABLE as error:
        version, _ = peek(data)
        if version not in (None, VERSION):
            raise MessageError(f"the other end speaks version {version} of the messages, this one {VERSION}") from error
        raise MessageError(f"no {kind.__name__.lower()} of docs/messages.md: {error}") from error
    if message.version != VERSION:
        raise MessageError(f"the other end speaks version {message.version} of the messages, this one {VERSION}")
    return message


def peek(data: bytes | memoryview) -> tuple[int | None, int | None]:
    """Version and id (or number) of a message that may be anything else."""
    try:
        head = msgspec.msgpack.decode(data, type=list[object])[:2]
    except UNREADABLE:
        return None, None
    version, identity = (value if isinstance(value, int) else None for value in (*head, None, None)[:2])
    return version, identity


def topic_of(effect: Effect) -> str | None:
    """The topic on which a decision is published; those on requests are for their tenant alone. None: not published."""
    match effect:
        case HeraldPublished():
            return HERALD_TOPIC
        case Purify() | PairEnded():
            return PAIR_TOPIC
        case HeraldIgnored():
            return None
        case _:
            return request_topic(effect.tenant)


def request_topic(tenant: str) -> str:
    """The topic of one tenant's requests. The slash at its end keeps `a` from hearing of `ab`."""
    return f"{REQUEST_TOPIC}/{tenant}/"
