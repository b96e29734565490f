"""The register map: the one description of what the host can read and set on a board.

Addresses count 32-bit registers. A register that exists per channel or per pattern takes consecutive addresses.
Gateware builds its register file from this table; `Board` and the documentation take names and limits from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag, unique

from .wire import MAX_CHANNELS, MAX_PATTERNS, OUTCOMES

MAGIC = int.from_bytes(b"QLNK", "little")
SEGMENTS = 65  # of a sequence's program: 8 outputs with 4 windows each have at most 64 edges
SEGMENTS_A_WORD = 4
BRANCH_SEGMENTS = 64  # of the program that a herald of an outcome can have the next attempt play
TRIGGERS = 8
ACCIDENTAL_CLOCKS = 2047  # the longest offset of an accidental counter: boards that have them keep so many
WINDOW_BITS = 16  # of a coincidence window in ticks, on most boards
TICKS_MAX = 2**16 - 1  # what a register of a delay or a vicinity can hold at most
MAX_BINS = 2**15  # of a histogram
HISTOGRAM_WIDTH_MAX = 15  # a bin is at most 2 to this power of ticks wide
HISTOGRAM_OFFSET_CLOCKS = 2000  # the largest offset of a histogram
OUTPUTS = 4  # of feed-forward
MAX_PULSES = 4  # of an outcome's action table
VETO_DECISION_CLOCKS = 5  # that a pattern with forbidden channels takes to be decided, besides its window
SYNC_NUMBER_BITS = 8  # of an attempt's number, and of a message's, on such a line
SYNC_CRC_BITS = 8
SYNC_CRC_POLYNOMIAL = 0x07  # finds any three wrong bits of a message, and any eight in a row
SYNC_TOLD_BYTES = (1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 2, 1, 2)
"""Which byte of an attempt's number, 0 the lowest, is told with the attempt after it: by its lowest bits."""
SYNC_FRAME_BITS = 1 + 2 * SYNC_NUMBER_BITS + SYNC_CRC_BITS  # the start bit first
SYNC_BIT_CLOCKS = 4
SYNC_MESSAGE_CLOCKS = (SYNC_FRAME_BITS + 2) * SYNC_BIT_CLOCKS  # from one message to the next, at least
VETO_CLOCKS = 2048  # the longest window, in clocks, of a pattern with forbidden channels: most boards keep so many


class SyncLine(IntEnum):
    """The lines between two boards, each way."""

    READY = 0
    TRIGGER = 1
    SUCCESS = 2


SYNC_LINES = len(SyncLine)


class Access(Enum):
    READ = "r"
    WRITE = "rw"
    STROBE = "w"  # a written 1 acts once and is not kept; reads as 0


@unique
class Repeat(Enum):
    """How often a register stands in the map."""

    ONCE = "once"
    CHANNEL = "per channel"
    PATTERN = "per pattern"
    SEGMENT = "per segment"
    SEGMENT_WORD = "per four segments"
    BRANCH = "per segment of an outcome's branch"  # index = outcome * 64 + segment
    BIN = "per bin"
    ACTION = "per pulse of an outcome"  # index = pulse * 4 + outcome


MOST = {
    Repeat.ONCE: 1,
    Repeat.CHANNEL: MAX_CHANNELS,
    Repeat.PATTERN: MAX_PATTERNS,
    Repeat.SEGMENT: SEGMENTS,
    Repeat.ACTION: MAX_PULSES * OUTCOMES,
    Repeat.SEGMENT_WORD: -(-SEGMENTS // SEGMENTS_A_WORD),
    Repeat.BRANCH: OUTCOMES * BRANCH_SEGMENTS,
    Repeat.BIN: MAX_BINS,
}


@unique
class Part(Enum):
    """What a board may be built without."""

    HISTOGRAM = "histogram"


class Width(Enum):
    """Field widths that depend on the board."""

    CHANNELS = "channels"  # one bit a channel
    FORBIDDEN = "forbidden channels"  # likewise, on a board that can have them forbidden
    WINDOW = "window"  # of ticks of a coincidence window
    DELAY = "delay"  # of ticks by which the board can delay an input
    VICINITY = "vicinity"  # of ticks from a herald within which the board can choose clicks


WIDEST = {
    Width.CHANNELS: MAX_CHANNELS,
    Width.FORBIDDEN: MAX_CHANNELS,
    Width.WINDOW: WINDOW_BITS,
    Width.DELAY: TICKS_MAX.bit_length(),
    Width.VICINITY: TICKS_MAX.bit_length(),
}


@dataclass(frozen=True, slots=True)
class RegisterField:
    """`width` bits, from bit `low` up. A `Width` is taken from the board's parameters."""

    name: str
    low: int
    width: int | Width


@dataclass(frozen=True, slots=True)
class Register:
    name: str
    address: int
    fields: tuple[RegisterField, ...]
    doc: str
    access: Access = Access.WRITE
    repeat: Repeat = Repeat.ONCE
    reset: int = 0
    part: Part | None = None  # that a board has to have for it
    absent: int | None = None  # what is taken to be said by a board of this contract from before the register was there

    @property
    def addresses(self) -> range:
        """Where it can stand. Not all of these exist on a board with fewer channels, patterns or bins."""
        return range(self.address, self.address + MOST[self.repeat])

    def bits(self, widths: Mapping[Width, int] = WIDEST) -> int:
        """The bits that can be set on a board with these widths; a written value with others does not fit."""
        return sum(((1 << _width(field, widths)) - 1) << field.low for field in self.fields)

    def unpack(self, value: int, channels: int = MAX_CHANNELS) -> dict[str, int]:
        """The fields of a register's value."""
        widths = {**WIDEST, Width.CHANNELS: channels, Width.FORBIDDEN: channels}
        return {field.name: value >> field.low & ((1 << _width(field, widths)) - 1) for field in self.fields}

    def pack(self, **values: int) -> int:
        """A register's value from its fields; those not named are 0. Their widths are not checked."""
        lows = {field.name: field.low for field in self.fields}
        return sum(value << lows[name] for name, value in values.items())


def _width(field: RegisterField, widths: Mapping[Width, int]) -> int:
    return widths[field.width] if isinstance(field.width, Width) else field.width


class Keep(IntEnum):
    """Which clicks of a streamed channel are streamed."""

    ALL = 0
    SHARE = 1
    NEAR_HERALDS = 2


class Feature(IntFlag):
    """What patterns can have."""

    ACCIDENTALS = 1  # accidental counters
    MULTIPLICITY = 2  # multiplicities and guard times


class Mode(IntEnum):
    FREE_RUNNING = 0
    GATED = 1


class SequenceEnd(IntEnum):
    """Why a sequence of attempts ended."""

    NONE = 0  # none has run since reset, or one is running
    DONE = 1  # all of its attempts are over
    HERALD = 2
    TIMEOUT = 3
    STOPPED = 4  # by command
    INTERRUPTED = 5  # a register that it works by was written, or the board was stopped
    REFUSED = 6  # it was not begun: the board does not run in gated mode, or there is no program


def _whole(name: str, address: int, doc: str, *, bits: int = 32, reset: int = 0) -> Register:
    return Register(name, address, (RegisterField("value", 0, bits),), doc, reset=reset)


def _identity(name: str, address: int, doc: str) -> Register:
    return Register(name, address, (RegisterField("value", 0, 32),), doc, Access.READ)


def _histogram(
    name: str,
    address: int,
    doc: str,
    *fields: RegisterField,
    access: Access = Access.READ,
    repeat: Repeat = Repeat.ONCE,
) -> Register:
    fields = fields or (RegisterField("value", 0, 32),)
    return Register(name, address, fields, doc, access, repeat, part=Part.HISTOGRAM)


HISTOGRAM = (
    _histogram(
        "histogram_channels",
        0x180,
        "whose delays are counted. This and the next two may be changed only while histogram_run is 0",
        RegisterField("start", 0, 8),
        RegisterField("stop", 8, 8),
        access=Access.WRITE,
    ),
    _histogram(
        "histogram_width",
        0x181,
        "a bin is 2 to this power of ticks wide",
        RegisterField("value", 0, 4),
        access=Access.WRITE,
    ),
    _histogram(
        "histogram_offset",
        0x182,
        "by how many clocks the starts are taken to be late; of_stop: the stops",
        RegisterField("clocks", 0, 11),
        RegisterField("of_stop", 16, 1),
        access=Access.WRITE,
    ),
    _histogram("histogram_run", 0x183, "count", RegisterField("value", 0, 1), access=Access.WRITE),
    _histogram("histogram_clear", 0x184, "set all counts to 0", RegisterField("value", 0, 1), access=Access.STROBE),
    _histogram(
        "histogram_status",
        0x185,
        "clearing: not yet all 0; saturated: a count is at its end",
        RegisterField("clearing", 0, 1),
        RegisterField("saturated", 1, 1),
    ),
    _histogram("histogram_starts", 0x186, "clicks that took part. All ones, here and below: so many, or more"),
    _histogram("histogram_stops", 0x187, "clicks that took part"),
    _histogram("histogram_outside", 0x188, "of these: without a partner, or with a delay outside the bins"),
    _histogram("histogram_bin", 0x8000, "clicks by delay; means nothing while histogram_run is 1", repeat=Repeat.BIN),
)

REGISTERS: tuple[Register, ...] = (
    _identity("magic", 0x00, "MAGIC: there is a board of ours at this end"),
    _identity("contract_version", 0x01, "wire.CONTRACT_VERSION of the gateware"),
    _identity("board", 0x02, "which board profile: first four letters of its name, in ASCII"),
    Register(
        "geometry",
        0x03,
        (
            RegisterField("channels", 0, 8),
            RegisterField("patterns", 8, 8),
            RegisterField("samples", 16, 8),
        ),
        "channels, patterns, samples a system clock",
        Access.READ,
    ),
    _identity("tick_fs", 0x04, "one tick in femtoseconds"),
    _identity("clock_hz", 0x05, "system clock"),
    _identity("herald_latency", 0x06, "system clocks from the completing click's clock to the pin"),
    _identity("build", 0x07, "hash of the gateware's source"),
    _whole("scratch", 0x08, "keeps what is written, does nothing: to try the link"),
    _identity("features", 0x0D, "what patterns can have on this board, see Feature"),
    _identity("delay_ticks", 0x09, "longest delay of an input in ticks; 0: inputs have no delays"),
    _identity("histogram_bins", 0x0A, "bins of the histogram; 0: there is none"),
    _identity("vicinity_ticks", 0x0B, "how far from a herald clicks may be to be chosen; 0: they cannot be"),
    Register(
        "pins",
        0x0C,
        (
            RegisterField("triggers", 0, 8),
            RegisterField("outputs", 8, 8),
            RegisterField("pps", 16, 1),
            RegisterField("ten_mhz", 17, 1),
        ),
        "what leads to a pin on this board: so many of the triggers and of the outputs of feed-forward, from 0 on; the "
        "PPS and the 10 MHz input",
        Access.READ,
        absent=TRIGGERS | OUTPUTS << 8 | 1 << 16 | 1 << 17,
    ),
    Register(
        "veto_clocks",
        0x0E,
        (RegisterField("value", 0, 32),),
        "longest window, or guard time, in clocks, of a pattern that something can veto; 0: nothing can",
        Access.READ,
        absent=VETO_CLOCKS,
    ),
    Register(
        "window_ticks",
        0x0F,
        (RegisterField("value", 0, 32),),
        "longest coincidence window in ticks",
        Access.READ,
        absent=2**WINDOW_BITS - 1,
    ),
    Register(
        "control",
        0x10,
        (RegisterField("run", 0, 1), RegisterField("mode", 1, 1)),
        "run: take clicks (0 after reset: nothing is counted, streamed or matched); mode: see Mode",
    ),
    Register(
        "command",
        0x11,
        (RegisterField("snapshot", 0, 1), RegisterField("flush", 1, 1)),
        "snapshot: latch and send all counters now; flush: send the open frame now",
        Access.STROBE,
    ),
    _whole("flush_clocks", 0x12, "an open frame is sent at most so many clocks after it was opened", reset=200_000),
    _whole("snapshot_clocks", 0x13, "latch and send all counters every so many clocks; 0: on command only"),
    Register(
        "stream_channels",
        0x14,
        (RegisterField("mask", 0, Width.CHANNELS),),
        "channels whose clicks are streamed; the clicks of others are matched and counted all the same",
    ),
    Register(
        "vicinity",
        0x15,
        (RegisterField("ticks", 0, Width.VICINITY),),
        "a click is near a herald up to so many ticks before and after it. In force, like filter, once no click waits",
    ),
    Register(
        "filter_status",
        0x16,
        (RegisterField("waiting", 0, 1), RegisterField("pending", 1, 1), RegisterField("late", 16, 16)),
        "waiting: clicks wait to be judged; pending: filter or vicinity is not yet in force; "
        "late: clocks that each click waits, before it counts in CLICKS, too",
        Access.READ,
    ),
    _whole("attempt_clocks", 0x20, "gated mode: an attempt ends so many clocks after its reference's clock"),
    _whole(
        "reference_timeout",
        0x21,
        "gated mode: clocks without a reference after which one counts as missed, again and again; 0: never",
    ),
    _whole(
        "accidental_clocks",
        0x26,
        "how many clocks shifted channels are late for the accidental counters; 0: these do not count",
        bits=ACCIDENTAL_CLOCKS.bit_length(),
    ),
    Register(
        "gate_start",
        0x40,
        (RegisterField("value", 0, 32),),
        "first tick after the reference at which a click counts",
        repeat=Repeat.CHANNEL,
    ),
    Register(
        "gate_stop",
        0x50,
        (RegisterField("value", 0, 32),),
        "first tick after the reference at which a click counts no more",
        repeat=Repeat.CHANNEL,
    ),
    Register(
        "pattern_channels",
        0x60,
        (RegisterField("required", 0, Width.CHANNELS), RegisterField("forbidden", 16, Width.FORBIDDEN)),
        "required and forbidden channels; no required channel: the pattern never fires",
        repeat=Repeat.PATTERN,
    ),
    Register(
        "pattern_decision",
        0x70,
        (RegisterField("window", 0, Width.WINDOW), RegisterField("outcome", 16, 2)),
        "coincidence window in ticks, and the outcome (Bell state, see configuration.Outcome) that it heralds",
        repeat=Repeat.PATTERN,
    ),
    Register(
        "delay",
        0x80,
        (RegisterField("ticks", 0, Width.DELAY),),
        "by how much the input is delayed before its edges are looked for",
        repeat=Repeat.CHANNEL,
    ),
    Register("reference_delay", 0x90, (RegisterField("ticks", 0, Width.DELAY),), "the same for the reference"),
    Register(
        "sequence_levels",
        0x100,
        tuple(RegisterField(f"segment{n}", 8 * n, TRIGGERS) for n in range(SEGMENTS_A_WORD)),
        "which triggers are on in each of four segments, one bit a trigger",
        repeat=Repeat.SEGMENT_WORD,
    ),
    Register(
        "sequence_clocks",
        0x111,
        (RegisterField("value", 0, 32),),
        "how long a segment of an attempt's program lasts; 0 counts like 1",
        repeat=Repeat.SEGMENT,
    ),
    Register(
        "sequence_setup",
        0x152,
        (
            RegisterField("segments", 0, 7),
            RegisterField("external", 7, 1),
            RegisterField("stop_on", 8, 4),
            RegisterField("idle", 16, TRIGGERS),
        ),
        "segments of the program (0: no sequence); external: begin with the reference input's attempts, otherwise one "
        "after the other, each being its own reference; stop_on: outcomes (one bit each) whose herald ends the "
        "sequence; idle: the level of each trigger when it is not on",
    ),
    _whole("sequence_attempts", 0x153, "the sequence ends after so many attempts; 0: never"),
    _whole("sequence_timeout", 0x154, "it ends when there was no herald for so many clocks; 0: never"),
    Register(
        "trigger_manual",
        0x155,
        (RegisterField("mask", 0, TRIGGERS), RegisterField("levels", 8, TRIGGERS)),
        "triggers in the mask have the level given here, whatever the sequence does",
    ),
    Register(
        "sequence_command",
        0x156,
        (RegisterField("start", 0, 1), RegisterField("stop", 1, 1)),
        "start: begin the sequence with its first attempt; stop: end it at once, all triggers at their idle level",
        Access.STROBE,
    ),
    Register(
        "sequence_status",
        0x157,
        (RegisterField("running", 0, 1), RegisterField("end", 1, 3)),
        "whether a sequence runs, and why the last one ended: see SequenceEnd",
        Access.READ,
    ),
    _identity("sequence_begun", 0x158, "attempts that the sequence has begun since its start, modulo 2**32"),
    Register(
        "sequence_branches",
        0x159,
        (RegisterField("outcomes", 0, OUTCOMES),),
        "outcomes (one bit each) whose herald has an attempt play their branch instead of the program: the first one "
        "that begins no sooner than branches.latency says",
    ),
    _identity("sequence_branched", 0x15A, "of the attempts in sequence_begun: that played a branch, modulo 2**32"),
    Register(
        "branches",
        0x15D,
        (RegisterField("segments", 0, 8), RegisterField("latency", 8, 8)),
        "segments that each branch can have, 0: there are none; clocks from a herald's pin to the first trigger of the "
        "soonest attempt that can play its branch, and that a branch's last segment has to last",
        Access.READ,
        absent=0,
    ),
    _identity("sequence_segments", 0x15E, "segments that a program can have; 0: this board has no sequencer"),
    _identity("trigger_latency", 0x15F, "clocks from that of an accepted reference to the first of its triggers"),
    Register(
        "branch_segment",
        0x200,
        (RegisterField("clocks", 0, 23), RegisterField("last", 23, 1), RegisterField("on", 24, TRIGGERS)),
        "of an outcome's branch: how long the segment lasts, 0 counts like 1; whether it is the last one; which "
        "triggers are on, one bit each. The 64th is always the last one",
        repeat=Repeat.BRANCH,
    ),
    Register(
        "sync_setup",
        0x160,
        (
            RegisterField("leader", 0, 1),
            RegisterField("follower", 1, 1),
            RegisterField("await_ready", 2, 1),
            RegisterField("stop_on_success", 3, 1),
        ),
        "leader: tell the other board of every attempt; follower: begin attempts when told; await_ready: a leader's "
        "sequence waits until the follower is ready; stop_on_success: a herald of the other board ends the sequence",
    ),
    _whole("sync_ready_timeout", 0x161, "clocks that a leader waits for the follower at most; 0: for ever"),
    _whole("sync_number_low", 0x162, "for sync_command: lower half of an attempt's number"),
    _whole("sync_number_high", 0x163, "for sync_command: upper half of an attempt's number"),
    Register(
        "sync_command",
        0x164,
        (RegisterField("number", 0, 1),),
        "number: the attempt begun last has the number in the two registers before, the next one the number after it",
        Access.STROBE,
    ),
    Register(
        "sync_status",
        0x165,
        (
            RegisterField("number", 0, 8),
            RegisterField("attempts", 8, 8),
            RegisterField("successes", 16, 8),
            RegisterField("agreed", 24, 1),
        ),
        "lowest bits of: the number of the attempt begun last, that in the message heard last about attempts, the "
        "order of the last one about heralds; agreed: a number was given by sync_command, and nothing heard since then "
        "contradicts it, without which a follower begins no attempts",
        Access.READ,
    ),
    _identity(
        "sync_latency",
        0x16F,
        "clocks from a leader's reference to that of its follower, cables not counted; 0: this board has no such lines",
    ),
    _whole(
        "time_pps", 0x170, "1: every edge of the PPS input gives a TIME record, whether the board runs or not", bits=1
    ),
    _whole("time_ten_mhz", 0x171, "every so many edges of the 10 MHz input one gives a TIME record; 0: none does"),
    _whole(
        "epoch", 0x172, "of the timebase; 0 after reset, until a host writes another one, see wire.next_epoch", bits=8
    ),
    Register(
        "pattern_limits",
        0xB0,
        (RegisterField("minimum", 0, 5), RegisterField("maximum", 8, 5), RegisterField("guard", 16, 16)),
        "so many of the required channels are enough (0: all), more than that veto (0: never), and so do clicks on "
        "them within so many ticks before the first and after the last (0: never; else not less than the window)",
        repeat=Repeat.PATTERN,
    ),
    Register(
        "pattern_shifted",
        0xC0,
        (RegisterField("mask", 0, Width.CHANNELS),),
        "which required channels are late for the accidental counter; none: it does not count",
        repeat=Repeat.PATTERN,
    ),
    Register(
        "filter",
        0xA0,
        (RegisterField("keep", 0, 2), RegisterField("share", 16, 16)),
        "which clicks of a streamed channel are streamed: all (0), one in share + 1 (1), those near heralds (2)",
        repeat=Repeat.CHANNEL,
    ),
    *HISTOGRAM,
    Register(
        "action_pulse",
        0x1A0,
        (RegisterField("start", 0, 24), RegisterField("output", 24, 2)),
        "feed-forward: ticks from a herald's completing click to the pulse, and the output",
        repeat=Repeat.ACTION,
    ),
    Register(
        "action_width",
        0x1B0,
        (RegisterField("value", 0, 24),),
        "ticks that the pulse lasts; 0: there is none",
        repeat=Repeat.ACTION,
    ),
    Register(
        "feed_forward",
        0x1C0,
        (RegisterField("pulses", 0, 8), RegisterField("latency", 8, 8)),
        "pulses of an outcome's action table; system clocks from the completing click's clock to the first one that a "
        "pulse may begin in, without forbidden channels",
        Access.READ,
    ),
    Register(
        "coding",
        0x190,
        (RegisterField("coding", 0, 1),),
        "how clicks are coded from now on, see Coding; heralds, counters, losses and replies are always PLAIN",
    ),
    _identity("codings", 0x191, "bit n: the board has the coding of number n; 0: it streams no clicks"),
)

BY_NAME = {register.name: register for register in REGISTERS}
