"""The wire contract: every layout that crosses the link between board and host.

The one description. Gateware builds its structs from it, `csrc/build.py` writes the C decoder's header from it,
and Python its numpy types. All integers are little-endian; fields follow each other without padding, first field
in the lowest bits. See `docs/wire.md` for the reasons.

Upstream, the board sends frames:

    header (16 bytes) | `words` 32-bit words of records | CRC-32 (4 bytes)

The CRC is CRC-32/ISO-HDLC (that of zlib) over everything between the sync mark and itself. Each record starts with
a head word: `kind` in its upper 5 bits and, in the lower 27, the tick's offset within the frame's `page`:
`tick = page << 27 | offset`. A record never crosses frames, and all records of a frame share one page, so each
frame is decoded by itself. Downstream, the host sends requests of 16 bytes.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import accumulate

CONTRACT_VERSION = 3

OFFSET_BITS = 27
KIND_BITS = 5
PAGE_BITS = 64 - OFFSET_BITS
MAX_CHANNELS = 16
MAX_PATTERNS = 16
MAX_FRAME_WORDS = 256

FRAME_SYNC = int.from_bytes(b"QL", "little")
REQUEST_SYNC = int.from_bytes(b"QR", "little")
SYNC_BYTES = 2
CRC_BYTES = 4


@dataclass(frozen=True, slots=True)
class Field:
    """An unsigned integer of `bits` bits, or an array of `count` of them. Always whole bytes."""

    name: str
    bits: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Fields in the order in which their bytes travel."""

    name: str
    fields: tuple[Field, ...]

    @property
    def bytes(self) -> int:
        return sum(field.bits * field.count for field in self.fields) // 8

    @property
    def offsets(self) -> dict[str, int]:
        """The first byte of each field."""
        sizes = [field.bits * field.count // 8 for field in self.fields]
        starts = accumulate(sizes, initial=0)
        return dict(zip((field.name for field in self.fields), starts, strict=False))


class Coding(IntEnum):
    """How a frame's payload is coded."""

    PLAIN = 0  # the records of this module, one after the other
    RICE = 1  # clicks and nothing else, in a few bits each: see rice.py


HEADER = Layout(
    "header",
    (
        Field("sync", 16),
        Field("words", 16),  # payload length in 32-bit words, 1 to MAX_FRAME_WORDS
        Field("sequence", 32),  # counts frames sent since reset, wraps
        Field("page", 40),  # tick >> OFFSET_BITS of every record inside
        Field("epoch", 8),  # of the timebase, its lower bits, see `next_epoch`
        Field("coding", 8),
        Field("parameter", 8),  # of the coding, PLAIN: 0; RICE: k at the frame's start, then RICE_CHANNEL_LOW
    ),
)

# RICE: a frame's first word is a click as in PLAIN. Each other click is coded by its ticks since the one before.
RICE_QUOTIENTS = 16  # so many ones: the ticks follow as they are, in OFFSET_BITS
RICE_K_BITS = 5
RICE_K_MAX = OFFSET_BITS - 4  # with it there is no quotient of RICE_QUOTIENTS
RICE_K_RESET = 10  # of the first frame since reset
RICE_STEP_BITS = 5  # k moves in steps of 2**-5
RICE_GAINS = (-1, 1, 1, 2, 4, 8)  # steps that k moves by, behind a quotient of so many bits
RICE_CHANNEL_BITS_MAX = (MAX_CHANNELS - 1).bit_length()

REQUEST = Layout(
    "request",
    (
        Field("sync", 16),
        Field("operation", 8),
        Field("id", 8),  # chosen by the host, returned in the reply
        Field("address", 16),
        Field("reserved", 16),
        Field("value", 32),
        Field("crc", 32),  # over the ten bytes between sync and crc
    ),
)


class Operation(IntEnum):
    READ = 1
    WRITE = 2


class Status(IntEnum):
    """What became of a register request."""

    OK = 0
    NO_SUCH_REGISTER = 1
    READ_ONLY = 2
    NO_SUCH_OPERATION = 3
    DOES_NOT_FIT = 4  # the value has bits that the register has not; nothing was written


class Kind(IntEnum):
    """Kinds of record. 0 to 15 is a click on that channel: a head word and nothing more."""

    HERALD = 16
    COUNTER = 17
    LOSS = 18
    REPLY = 19
    TIME = 20


class TimeSource(IntEnum):
    """Which input a TIME record is about."""

    PPS = 0  # one pulse a second
    TEN_MHZ = 1


class HeraldFlag(IntFlag):
    GATED = 1  # decided in gated mode: `attempt` and `position` mean something
    REFERENCE_DOUBLED = 2  # another reference came in this attempt
    REFERENCE_MISSED = 4  # at least one was missed since the herald before
    HERALDS_LOST = 8  # heralds were lost just before this one, see the loss bracket
    SYNC_ERROR = 16  # something went wrong on the lines to the other board since the herald before


BODIES: dict[Kind, Layout] = {
    Kind.HERALD: Layout(
        "herald",  # the head word's offset is that of the completing click
        (
            Field("sequence", 32),  # counts decided heralds, lost ones too; wraps
            Field("attempt", 64),
            Field("channels", 16),  # bit mask: which channels' clicks made it
            Field("pattern", 8),
            Field("outcome", 8),
            Field("flags", 16),
            Field("reserved", 16),
            Field("position", 32),  # ticks from this attempt's reference to the completing click
            Field("ages", 16, MAX_CHANNELS),  # ticks by which each contributing click precedes it
        ),
    ),
    Kind.COUNTER: Layout(
        "counter",  # the offset is that of the moment at which all counters were latched
        (Field("snapshot", 16), Field("index", 16), Field("value", 64)),
    ),
    Kind.LOSS: Layout(
        "loss",  # the offset is that of the last event lost
        (Field("begin", 64), Field("count", 48), Field("source", 16)),
    ),
    Kind.REPLY: Layout(
        "reply",  # `value`: the register's, of a read that is OK; else the request's own
        (Field("id", 8), Field("status", 8), Field("address", 16), Field("value", 32)),
    ),
    Kind.TIME: Layout(
        "time",  # the offset is that of an edge of a clock that is not the board's
        (
            Field("source", 8),  # a `TimeSource`
            Field("reserved", 24),
            Field("number", 32),  # of this record, by source; lost ones have theirs, too; wraps
            Field("edges", 64),  # edges of the 10 MHz input so far; this one included if it is one
        ),
    ),
}

MAX_RECORD_WORDS = 1 + max(body.bytes for body in BODIES.values()) // 4


class CounterGroup(IntEnum):
    """Counters come in groups of up to 16, `index = group * 16 + channel or pattern`.

    A loss bracket's `source` is the index of the counter that counts the same losses: `CLICKS_LOST`, `HERALDS_LOST` or
    `GLOBAL`'s that end in `_LOST`. Per channel `clicks == delivered + CLICKS_FILTERED + CLICKS_LOST`; heralds alike.
    A board that streams no clicks has neither of these two groups: all of them are filtered.
    """

    CLICKS = 0  # per channel: rising edges, merged ones not included
    MERGED = 1  # per channel: second edges within one system clock
    GATED = 2  # per channel: clicks that lay in their gate (all of them in free-running mode)
    CLICKS_LOST = 3  # per channel: clicks bracketed as lost
    CLICKS_FILTERED = 4  # per channel: clicks that the stream's filter leaves out
    HERALDS = 5  # per pattern: decided heralds, lost ones included
    VETOED = 6  # per pattern: completions that a forbidden click vetoed
    HERALDS_LOST = 7  # per pattern: heralds bracketed as lost
    GLOBAL = 8
    ACCIDENTALS = 9  # per pattern: completions with one side shifted; on boards that count them
    ACTIONS = 10  # see `action_counter`


class GlobalCounter(IntEnum):
    """Members of `CounterGroup.GLOBAL`."""

    ATTEMPTS = 0
    REFERENCES_DOUBLED = 1
    REFERENCES_MISSED = 2
    REQUESTS_BAD = 3  # requests with a wrong CRC
    SNAPSHOTS_LOST = 4  # snapshots that fell due while one was being sent
    TIMES_MERGED = 5  # system clocks in which the PPS or the 10 MHz input rose twice: the second edge is not counted
    PPS_LOST = 6  # TIME records of the PPS input bracketed as lost
    TEN_MHZ_LOST = 7  # likewise of the 10 MHz input
    SYNC_MISSED = 8  # messages of the other board that have not come, or not in time
    SYNC_DOUBLED = 9  # those that came again
    SYNC_CORRUPT = 10  # whatever else was on its lines; each may be a missed one, too
    SYNC_DISAGREED = 11  # intact ones about another attempt than the one that they should be about


TIMES_LOST = {TimeSource.PPS: GlobalCounter.PPS_LOST, TimeSource.TEN_MHZ: GlobalCounter.TEN_MHZ_LOST}
"""Which counter, and so which source of loss brackets, has the lost TIME records of an input."""


class ActionCounter(IntEnum):
    """What `CounterGroup.ACTIONS` counts of each outcome: heralds by what became of its action table.

    One that is empty is not counted, and patterns that fire in one clock with one outcome make one herald.
    """

    STARTED = 0
    DROPPED = 1  # the table was still being played
    REFUSED = 2  # a pulse would have had to begin before the herald was decided


GROUP_SIZE = 16
OUTCOMES = 4


def counter_index(group: CounterGroup, member: int = 0) -> int:
    return group * GROUP_SIZE + member


def action_counter(what: ActionCounter, outcome: int) -> int:
    """Its index."""
    return counter_index(CounterGroup.ACTIONS, what * OUTCOMES + outcome)


UNNAMED = 0
"""The epoch of a timebase that no host has named: it is that after every reset of the board."""


def next_epoch(epoch: int) -> int:
    """The epoch after this one. The lower eight bits, which headers carry, are never `UNNAMED`.

    A host writes these to the register `epoch` when it finds `UNNAMED` there. The board goes on to the next by itself
    when its ticks wrap, and frames with ticks from before that carry the one before.
    """
    return epoch + 1 if (epoch + 1) % 2**8 != UNNAMED else epoch + 2
