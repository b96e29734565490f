"""Herald records, made one at a time of what was noted when they were decided."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import HeraldFlag

from .capture import STAMP_BITS, Capture
from .interface import Herald
from .order import Decisions
from .sampler import first_set


class Compact(data.StructLayout):
    """A `Herald` without the bits that are always zero."""

    def __init__(self, parameters):
        super().__init__(
            {
                "tick": 64,
                "sequence": 32,
                "attempt": 64,
                "channels": parameters.channels,
                "pattern": 4,
                "outcome": 2,
                "flags": 4,
                "position": 32,
                "ages": data.ArrayLayout(STAMP_BITS, parameters.channels),
            }
        )


class HeraldWriter(wiring.Component):
    """Turn decisions into records: about eight clocks each, and one per channel.

    Members
    -------
    queue : In(stream of Decisions)
    heads : In(array of Capture), the oldest herald of each pattern
    take : Out(patterns), it is no longer needed
    heralds : Out(stream of Herald), from a queue of `herald_depth`
    idle : Out(1), there is nothing to do
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "queue": In(stream.Signature(Decisions(parameters))),
                "heads": In(data.ArrayLayout(Capture(parameters), parameters.patterns)),
                "take": Out(parameters.patterns),
                "heralds": Out(stream.Signature(Herald)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters

        shape = Compact(parameters)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=shape.size, depth=parameters.herald_depth)
        record, out = Signal(shape), data.View(shape, fifo.r_data)
        m.d.comb += [
            fifo.w_data.eq(record),
            self.heralds.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.heralds.ready),
            *(self.heralds.payload[name].eq(out[name]) for name in shape.members if name != "ages"),
            *(self.heralds.payload.ages[c].eq(out.ages[c]) for c in range(parameters.channels)),
        ]

        entry, captured = Signal(Decisions(parameters)), Signal(Capture(parameters))
        chosen = Signal(parameters.patterns)  # one bit, of the pattern whose herald is written
        reference = Signal(32)  # tick of the herald's attempt's reference, its lower bits
        lost, missed = Signal(), Signal()
        left = Signal(range(parameters.channels + 1))
        busy = Signal(init=1)
        m.d.comb += self.idle.eq(~busy & ~self.queue.valid & (fifo.level == 0))

        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += [self.queue.ready.eq(1), busy.eq(0)]
                with m.If(self.queue.valid):
                    m.d.sync += [
                        entry.eq(self.queue.payload),
                        record.sequence.eq(self.queue.payload.sequence),
                        lost.eq(lost | self.queue.payload.lost),
                        missed.eq(missed | self.queue.payload.missed),
                    ]
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.d.sync += [
                    chosen.eq(entry.decided & -entry.decided),
                    entry.decided.eq(entry.decided & (entry.decided - 1)),
                ]
                m.next = "TAKE"
                with m.If(~entry.decided.any()):
                    m.next = "WAIT"
            with m.State("TAKE"):
                heads = (Mux(choice, head.as_value(), 0) for choice, head in zip(chosen, self.heads, strict=True))
                m.d.sync += captured.eq(reduce(or_, heads))
                with m.If((entry.kept & chosen).any()):
                    m.d.comb += self.take.eq(chosen)
                    m.next = "TIME"
                with m.Else():
                    m.d.sync += [lost.eq(1), record.sequence.eq(record.sequence + 1)]
                    m.next = "CHOOSE"
            with m.State("TIME"):
                sub = captured.tick[: parameters.sub_bits]
                m.d.sync += [
                    record.tick.eq(Cat(sub, (entry.clock - captured.delay)[: parameters.clock_bits])),
                    record.attempt.eq(entry.attempt - (captured.number != entry.attempt[0])),
                    record.pattern.eq(first_set(m, chosen)),
                    record.outcome.eq(captured.outcome),
                    record.channels.eq(captured.channels),
                    left.eq(parameters.channels),
                ]
                m.d.sync += reference.eq(Mux(captured.number, entry.references[1], entry.references[0]))
                m.next = "PLACE"
            with m.State("PLACE"):
                m.d.sync += [
                    record.position.eq(Mux(captured.gated, record.tick - reference, 0)),
                    record.flags.eq(self._flags(captured, lost, missed)),
                ]
                with m.If(~captured.gated):
                    m.d.sync += record.attempt.eq(0)
                m.next = "AGE"
            with m.State("AGE"):
                age = Mux(captured.channels[0], (captured.tick - captured.stamps[0])[:STAMP_BITS], 0)
                m.d.sync += [
                    Cat(*record.ages).eq(Cat(*list(record.ages)[1:], age)),
                    Cat(*captured.stamps).eq(Cat(*list(captured.stamps)[1:])),
                    captured.channels.eq(captured.channels >> 1),
                    left.eq(left - 1),
                ]
                with m.If(left == 1):
                    m.next = "PUT"
            with m.State("PUT"):
                m.d.comb += fifo.w_en.eq(1)
                with m.If(fifo.w_rdy):
                    m.d.sync += [lost.eq(0), missed.eq(0), record.sequence.eq(record.sequence + 1)]
                    m.next = "CHOOSE"

        return m

    def _flags(self, captured, lost, missed):
        flags = {
            HeraldFlag.GATED: captured.gated,
            HeraldFlag.REFERENCE_DOUBLED: captured.gated & captured.flagged,
            HeraldFlag.REFERENCE_MISSED: captured.gated & missed,
            HeraldFlag.HERALDS_LOST: lost,
        }
        return Cat(flags[HeraldFlag(1 << bit)] for bit in range(len(flags)))
