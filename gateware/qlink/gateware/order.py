"""In which order heralds were decided, and during which attempt."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import SYNC_NUMBER_BITS

REFERENCE_BITS = 32  # of a reference's tick, enough for a position
JUMP_BITS = SYNC_NUMBER_BITS


class Decisions(data.StructLayout):
    """The heralds decided in one clock."""

    def __init__(self, parameters):
        super().__init__(
            {
                "decided": parameters.patterns,
                "kept": parameters.patterns,  # those of them that have a record
                "clock": parameters.clock_bits,
                "sequence": 32,  # of the first of them
                "attempt": 64,  # the newest attempt's number
                "odd": 1,  # it is the second of two on this board
                "jump": JUMP_BITS,  # numbers left out before it
                "references": data.ArrayLayout(REFERENCE_BITS, 2),  # of the newest even and odd attempt
                "missed": 1,  # a reference was missed since the last kept
                "slipped": 1,  # something went wrong between two boards since then
                "lost": 1,  # heralds were lost since the last kept
            }
        )


class DecisionQueue(wiring.Component):
    """Number the decided heralds and queue them, those of one clock in one entry.

    Members
    -------
    clock : In
    decided, kept : In(patterns), in this clock; every kept one has its place in a queue of `pattern_depth`
    start : In(1), an attempt starts in this clock
    sub : In, its reference's subtick
    jump : In(bits), so many numbers are left out before that attempt's
    take : In(1), the attempt begun last has this `number` from now on
    missed : In(1), a reference is missed in this clock
    slipped : In(1), something goes wrong between two boards
    attempt : Out(64), the number of the attempt begun last, a clock after `start`
    queue : Out(stream of Decisions)
    idle : Out(1), nothing is queued or about to be
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "clock": In(parameters.clock_bits),
                "decided": In(parameters.patterns),
                "kept": In(parameters.patterns),
                "start": In(1),
                "sub": In(parameters.sub_bits),
                "jump": In(JUMP_BITS),
                "take": In(1),
                "number": In(64),
                "missed": In(1),
                "slipped": In(1),
                "attempt": Out(64),
                "queue": Out(stream.Signature(Decisions(parameters))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = Decisions(self.parameters)

        noted = Signal(shape)
        missed, slipped, step = Signal(), Signal(), Signal(JUMP_BITS + 1, init=1)
        m.d.sync += [
            noted.clock.eq(self.clock),
            noted.decided.eq(self.decided),
            noted.kept.eq(self.kept),
            missed.eq(self.missed),
            slipped.eq(self.slipped),
            step.eq(self.jump + 1),
        ]
        with m.If(self.take):
            m.d.sync += noted.attempt.eq(self.number)
        with m.Elif(self.start):
            m.d.sync += noted.attempt.eq(noted.attempt + step)
        with m.If(self.start):
            coming = ~noted.odd
            m.d.sync += [
                noted.odd.eq(coming),
                noted.jump.eq(self.jump),
                noted.references[coming].eq(Cat(self.sub, self.clock)),
            ]

        m.d.comb += self.attempt.eq(noted.attempt)

        entry = Signal(shape)
        number = Signal(range(self.parameters.patterns + 1))
        sequence = Signal(32)
        missed_since, slipped_since, lost_since = Signal(), Signal(), Signal()
        last_missed, last_slipped = Signal(), Signal()
        m.d.sync += [
            entry.eq(noted),
            number.eq(sum(noted.decided)),
            sequence.eq(sequence + number),
            last_missed.eq(missed),
            last_slipped.eq(slipped),
        ]
        with m.If(entry.kept.any()):
            m.d.sync += [missed_since.eq(0), slipped_since.eq(0), lost_since.eq(0)]
        with m.Else():
            m.d.sync += [
                missed_since.eq(missed_since | last_missed),
                slipped_since.eq(slipped_since | last_slipped),
                lost_since.eq(lost_since | entry.decided.any()),
            ]

        depth = self.parameters.patterns * self.parameters.pattern_depth  # never full: each entry holds a kept herald
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=shape.size, depth=depth)
        written = Signal(shape)
        m.d.comb += [
            written.eq(entry),
            written.sequence.eq(sequence),
            written.missed.eq(missed_since | last_missed),
            written.slipped.eq(slipped_since | last_slipped),
            written.lost.eq(lost_since),
            fifo.w_data.eq(written),
            fifo.w_en.eq(entry.kept.any()),
            self.queue.payload.eq(fifo.r_data),
            self.queue.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.queue.ready),
            self.idle.eq((fifo.level == 0) & ~noted.kept.any() & ~entry.kept.any()),
        ]

        return m
