"""What the core decides: for the shell to do, once it is in the journal."""

import msgspec


class HeraldPublished(msgspec.Struct, frozen=True, array_like=True, tag="herald"):
    """A pair exists. Goes to every subscriber."""

    time_ns: int
    pair: int
    sequence: int
    attempt: int
    tick: int
    pattern: int
    outcome: int
    flags: int
    fidelity: float


class Acknowledged(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """The request is taken: `create_id` names it from now on."""

    tenant: str
    key: str
    create_id: int


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="err"):
    tenant: str
    key: str
    code: str  # model.RefusalCode's name
    reason: str  # a sentence that says what to do


class Allocated(msgspec.Struct, frozen=True, array_like=True, tag="ok"):
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


class RequestExpired(msgspec.Struct, frozen=True, array_like=True, tag="expire"):
    tenant: str
    key: str
    create_id: int
    delivered: int  # pairs that it got


class Completed(msgspec.Struct, frozen=True, array_like=True, tag="completed"):
    tenant: str
    key: str
    create_id: int


class Purify(msgspec.Struct, frozen=True, array_like=True, tag="purify"):
    """A command to the nodes: one DEJMPS round. They answer with `events.Purified`."""

    keep: int
    spend: int
    success_probability: float


class PairEnded(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """A pair is gone: EXPIRED, DISCARDED or CONSUMED, with the reason."""

    pair: int
    state: str
    reason: str


Effect = HeraldPublished | Acknowledged | Refused | Allocated | RequestExpired | Completed | Purify | PairEnded
