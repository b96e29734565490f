"""The shapes that pass between the front end (`Detection`) and the back end (reporting, registers)."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import ACCIDENTAL_CLOCKS, SEGMENTS, TRIGGERS
from qlink.firmware_bridge.wire import BODIES, OUTCOMES, Kind

from .layouts import RecordWord
from .parameters import TICK_BITS

COUNT_BITS = 5  # of a number of channels


def _herald_fields():
    for field in BODIES[Kind.HERALD].fields:
        yield field.name, field.bits if field.count == 1 else data.ArrayLayout(field.bits, field.count)


Action = data.StructLayout({"start": 24, "output": 2, "width": 24})
"""A pulse of feed-forward, as the registers have it."""

Herald = data.StructLayout({"tick": TICK_BITS, **dict(_herald_fields())})
"""One decided herald: `tick` of the completing click, then the body of its record, in the order of the wire."""


def herald_stream(parameters):
    """Return what comes of decided heralds: of a compact board their records, else what these are made of."""
    return stream.Signature(RecordWord if parameters.compact else Herald)


class ClickSlot(data.StructLayout):
    """A channel's part of one clock: whether it clicked, and at which subtick."""

    def __init__(self, parameters):
        super().__init__({"valid": 1, "sub": parameters.sub_bits})


class Now(data.StructLayout):
    """The clicks of a `Slot` spelled out, for those who cannot wait: per channel one bit a subtick."""

    def __init__(self, parameters):
        super().__init__({"clicks": data.ArrayLayout(parameters.samples, parameters.channels), "start": 1, "number": 1})


class Slot(data.StructLayout):
    """What the matcher learns of one clock: the clicks that count, and the attempt that they belong to."""

    def __init__(self, parameters):
        super().__init__(
            {
                "clicks": data.ArrayLayout(ClickSlot(parameters), parameters.channels),
                "start": 1,  # an attempt starts in this clock
                "number": 1,  # the lowest bit of its number
                "flagged": 1,  # another reference has come in it
            }
        )


ActionCounts = data.StructLayout({name: OUTCOMES for name in ("started", "dropped", "refused")})
"""What became of the action tables of the outcomes that were heralded: each bit adds one to the counter of its name."""


class Counts(data.StructLayout):
    """What is to be counted of one clock: each bit adds one to the counter of its name."""

    def __init__(self, parameters):
        super().__init__(
            {
                "clicks": parameters.channels,
                "merged": parameters.channels,
                "gated": parameters.channels,
                "heralds": parameters.patterns,
                "vetoed": parameters.patterns,
                "accidentals": parameters.patterns,  # always 0 on a board without
                "attempts": 1,
                "references_doubled": 1,
                "references_missed": 1,
                **{f"sync_{name}": 1 for name in SyncCounts.members},
            }
        )


SequenceSettings = data.StructLayout(
    {
        "segments": range(SEGMENTS + 1),
        "branches": OUTCOMES,
        "external": 1,
        "stop_on": 4,
        "idle": TRIGGERS,
        "attempts": 32,
        "timeout": 32,
        "manual": TRIGGERS,
        "levels": TRIGGERS,
        "changed": 1,  # one of the registers above, or the program, was written; high for one clock
        "start": 1,  # commanded; high for one clock
        "stop": 1,
    }
)
"""What the registers say of the sequence of attempts; `manual` and `levels` are those of `trigger_manual`."""

SequenceStatus = data.StructLayout({"running": 1, "end": 3, "begun": 32, "branched": 32})
"""What becomes of it; `end` is a `registers.SequenceEnd`."""

BranchChoice = data.StructLayout({"valid": 1, "outcome": range(OUTCOMES)})
"""There is a herald that has a branch, and of which outcome; of several in a clock that of the lowest pattern."""

ProgramBus = wiring.Signature({"address": Out(9), "value": Out(32), "write": Out(1), "read": In(32)})
"""Registers 0x100 to 0x17f and 0x200 to 0x2ff that are kept in the sequencer's memory, by the lowest bits of their
address; `read` is that of two clocks before."""


SyncSettings = data.StructLayout(
    {
        "leader": 1,
        "follower": 1,
        "await_ready": 1,
        "stop_on_success": 1,
        "ready_timeout": 32,
        "number": 64,
        "take": 1,  # the attempt begun last has this number; high for one clock
    }
)
"""What the registers say of the lines to another board."""

SyncCounts = data.StructLayout({"missed": 1, "doubled": 1, "corrupt": 1, "disagreed": 1})
"""What is to be counted of them in one clock, see `wire.GlobalCounter`."""

SyncStatus = data.StructLayout({"number": 8, "attempts": 8, "successes": 8, "agreed": 1})
"""The register `sync_status`."""


class Settings(data.StructLayout):
    """What the registers say. Names and widths are those of `registers.REGISTERS`.

    `restart` is high for one clock when any of the registers meant here was written; the new values stand from that
    clock on.
    """

    def __init__(self, parameters):
        channels, patterns = parameters.channels, parameters.patterns
        super().__init__(
            {
                "restart": 1,
                "run": 1,
                "mode": 1,
                "attempt_clocks": 32,
                "reference_timeout": 32,
                "gate_start": data.ArrayLayout(32, channels),
                "gate_stop": data.ArrayLayout(32, channels),
                "required": data.ArrayLayout(channels, patterns),
                "forbidden": data.ArrayLayout(channels, patterns),
                "window": data.ArrayLayout(parameters.window_bits, patterns),
                "outcome": data.ArrayLayout(2, patterns),
                "delay": data.ArrayLayout(parameters.delay_bits, channels + 1),  # the reference's last
                "sequence": SequenceSettings,
                "minimum": data.ArrayLayout(COUNT_BITS, patterns),
                "maximum": data.ArrayLayout(COUNT_BITS, patterns),
                "guard": data.ArrayLayout(16, patterns),
                "shifted": data.ArrayLayout(channels, patterns),
                "accidental_clocks": range(ACCIDENTAL_CLOCKS + 1),
                "actions": data.ArrayLayout(Action, parameters.pulses * OUTCOMES),
                "sync": SyncSettings,
            }
        )
