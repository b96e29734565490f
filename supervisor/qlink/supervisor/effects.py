"""What the core decides: for the shell to do, once it is in the journal."""

import msgspec


class HeraldPublished(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="herald"):
    """A pair exists. Goes to every subscriber.

    `pair` counts from 1 without a gap: it is the publication number by which a subscriber notices what it missed.
    """

    time_ns: int
    pair: int
    sequence: int
    attempt: int
    tick: int
    pattern: int
    outcome: int
    flags: int
    fidelity: float


class HeraldIgnored(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ignored"):
    """The board's sequence did not rise: this herald was seen before, or `events.BoardStarted` was not told."""

    time_ns: int
    sequence: int
    reason: str


class Acknowledged(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ack"):
    """The request is taken: `create_id` names it from now on. Said again, unchanged, to the same tenant and key."""

    tenant: str
    key: str
    create_id: int
    probability: float = 1.0  # predicted, of being served whole in time


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="err"):
    """No. Answers a request (`key`), or a cancellation or confirmation (`key` is empty)."""

    tenant: str
    key: str
    code: str  # model.RefusalCode's name
    reason: str  # a sentence that says what to do
    probability: float = 0.0  # predicted, of being served whole in time


class Allocated(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ok"):
    """One pair for one request (the draft's OK)."""

    time_ns: int  # goodness time: when `fidelity` was estimated
    tenant: str
    key: str
    create_id: int
    pair: int
    number: int  # how many of the request's pairs this makes, from 1
    outcome: int
    fidelity: float
    fidelity_low: float
    fidelity_high: float
    lifetime_ns: int  # until fidelity falls below what was asked
    waited_ns: int  # from request to allocation


class RequestExpired(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="expire"):
    tenant: str
    key: str
    create_id: int
    delivered: int  # pairs that it got


class RequestCancelled(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="cancel"):
    """The tenant withdrew it; pairs that it got stay its own."""

    tenant: str
    key: str
    create_id: int
    delivered: int


class Completed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="completed"):
    tenant: str
    key: str
    create_id: int


class Purify(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="purify"):
    """A command to the nodes: one DEJMPS round. They answer with `events.Purified`."""

    keep: int
    spend: int
    success_probability: float


class PairEnded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ended"):
    """A pair is gone: EXPIRED, DISCARDED or CONSUMED, with the reason."""

    pair: int
    state: str
    reason: str


Effect = (
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
)
