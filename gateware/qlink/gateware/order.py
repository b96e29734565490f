"""In which order heralds were decided, and during which attempt."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

REFERENCE_BITS = 32  # of a reference's tick, enough for a position


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
                "references": data.ArrayLayout(REFERENCE_BITS, 2),  # of the newest even and odd attempt
                "missed": 1,  # a reference was missed since the last kept
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
    missed : In(1), a reference is missed in this clock
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
                "missed": In(1),
                "queue": Out(stream.Signature(Decisions(parameters))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = Decisions(self.parameters)

        noted = Signal(shape)
        missed = Signal()
        m.d.sync += [
            noted.clock.eq(self.clock),
            noted.decided.eq(self.decided),
            noted.kept.eq(self.kept),
            missed.eq(self.missed),
        ]
        with m.If(self.start):
            coming = ~noted.attempt[0]
            m.d.sync += [
                noted.attempt.eq(noted.attempt + 1),
                noted.references[coming].eq(Cat(self.sub, self.clock)),
            ]

        entry = Signal(shape)
        number = Signal(range(self.parameters.patterns + 1))
        sequence = Signal(32)
        missed_since, lost_since = Signal(), Signal()
        last_missed = Signal()
        m.d.sync += [
            entry.eq(noted),
            number.eq(sum(noted.decided)),
            sequence.eq(sequence + number),
            last_missed.eq(missed),
        ]
        with m.If(entry.kept.any()):
            m.d.sync += [missed_since.eq(0), lost_since.eq(0)]
        with m.Else():
            m.d.sync += [
                missed_since.eq(missed_since | last_missed),
                lost_since.eq(lost_since | entry.decided.any()),
            ]

        depth = self.parameters.patterns * self.parameters.pattern_depth  # never full: each entry holds a kept herald
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=shape.size, depth=depth)
        written = Signal(shape)
        m.d.comb += [
            written.eq(entry),
            written.sequence.eq(sequence),
            written.missed.eq(missed_since | last_missed),
            written.lost.eq(lost_since),
            fifo.w_data.eq(written),
            fifo.w_en.eq(entry.kept.any()),
            self.queue.payload.eq(fifo.r_data),
            self.queue.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.queue.ready),
            self.idle.eq((fifo.level == 0) & ~noted.kept.any() & ~entry.kept.any()),
        ]

        return m
