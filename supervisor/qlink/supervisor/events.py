"""What the core is told. Times are integer nanoseconds of the link's clock, brought in by the shell."""

import msgspec


class Request(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An application's wish for pairs, in the words of draft-dahlberg-ll-quantum-03 section 4.

    `key` makes it idempotent: the same tenant and key is answered as before and never served twice.
    """

    key: str
    tenant: str
    number: int = 1
    min_fidelity: float = 0.5
    max_time_ns: int = 1_000_000_000  # the deadline, from the moment it was made
    min_lifetime_ns: int = 0  # how long a delivered pair has to stay above min_fidelity
    priority: int = 0  # 0 to 7, higher is served first
    purpose_id: int = 0
    atomic: bool = False  # all pairs at once or none
    measure_directly: bool = False  # the pair is used up as it is given: it needs no memory and no `Confirmed`


class Heralded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="heralded"):
    """A herald reached the host. `sequence` rises from one to the next, else it is ignored as already seen."""

    time_ns: int  # when the pair came to be
    sequence: int  # the board's, unwrapped by the shell to 64 bits
    attempt: int
    tick: int
    pattern: int
    outcome: int  # firmware_bridge.configuration.Outcome
    flags: int  # firmware_bridge.wire.HeraldFlag


class BoardStarted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="board"):
    """The board counts from zero again: told at every start of the shell or the board, before its first herald."""

    time_ns: int


class Requested(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="requested"):
    time_ns: int
    request: Request


class Cancelled(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="cancelled"):
    time_ns: int
    tenant: str
    create_id: int


class Purified(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="purified"):
    """The nodes' answer to `effects.Purify`."""

    time_ns: int
    keep: int
    spend: int
    success: bool


class Confirmed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="confirmed"):
    """The application took the pair (DELIVERED) or has used it up (CONSUMED)."""

    time_ns: int
    tenant: str
    pair: int
    consumed: bool


class TelemetryLost(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="lost"):
    """`count` events of `kind` are known to be missing from the board's stream."""

    time_ns: int
    kind: str
    count: int


class Ticked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ticked"):
    """Time has passed: expire what is due, and count attempts since the last tick."""

    time_ns: int
    attempts: int = 0


Event = Heralded | BoardStarted | Requested | Cancelled | Purified | Confirmed | TelemetryLost | Ticked
