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
from .order import JUMP_BITS, REFERENCE_BITS, Decisions
from .sampler import first_set

MAKING = 3  # clocks that a record takes, if there are fewer channels

Step = data.StructLayout({name: 1 for name in ("wait", "open", "choose", "take", "make", "put")})
"""What the writer is at; one bit is set, so that every step hangs on a single register."""


def go(at, step):
    return at.eq(Step.const({step: 1}))


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
                "flags": len(HeraldFlag),
                "position": 32,
                "ages": data.ArrayLayout(STAMP_BITS, parameters.channels),
            }
        )


class HeraldWriter(wiring.Component):
    """Turn decisions into records: five clocks each, and one per channel.

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

        at = Signal(Step, init={"wait": 1})
        m.d.comb += self.idle.eq(at.wait & ~self.queue.valid & (fifo.level == 0))
        entry, chosen, kept, captured = self._choose(m, at, record.sequence)
        lack = self._lack(m, at, entry, kept, fifo.w_rdy)
        with m.If(at.put):
            m.d.comb += fifo.w_en.eq(1)
            with m.If(fifo.w_rdy):
                m.d.sync += [record.sequence.eq(record.sequence + 1), go(at, "choose")]

        self._place(m, record, entry, captured)
        self._age(m, at, record.ages, captured)
        m.d.sync += [
            record.pattern.eq(first_set(m, chosen)),
            record.outcome.eq(captured.outcome),
            record.channels.eq(captured.channels),
            record.flags.eq(self._flags(captured, lack)),
        ]

        return m

    def _choose(self, m, at, sequence):
        """Walk through the heralds of one clock, and fetch those that are kept."""
        entry, captured = Signal(Decisions(self.parameters)), Signal(Capture(self.parameters))
        left = Signal(self.parameters.patterns)
        chosen = Signal(self.parameters.patterns)  # one bit, of the herald at work
        kept = Signal()  # it has a record
        m.d.comb += self.queue.ready.eq(at.open)
        with m.If(at.wait):
            m.d.sync += entry.eq(self.queue.payload)
            with m.If(self.queue.valid):
                m.d.sync += go(at, "open")
        with m.If(at.open):
            m.d.sync += [sequence.eq(entry.sequence), left.eq(entry.decided), go(at, "choose")]
        with m.If(at.choose):
            m.d.sync += [chosen.eq(left & -left), left.eq(left & (left - 1)), go(at, "take")]
            with m.If(~left.any()):
                m.d.sync += go(at, "wait")

        m.d.sync += [kept.eq((entry.kept & left & -left).any()), self.take.eq(Mux(at.take & kept, chosen, 0))]
        with m.If(at.take):
            heads = (Mux(choice, head.as_value(), 0) for choice, head in zip(chosen, self.heads, strict=True))
            m.d.sync += [captured.eq(reduce(or_, heads)), go(at, "make")]
            with m.If(~kept):
                m.d.sync += [sequence.eq(sequence + 1), go(at, "choose")]
        return entry, chosen, kept, captured

    def _lack(self, m, at, entry, kept, written):
        """Keep in mind what the next record has to tell: what was lost, missed or slipped since the last."""
        lost, missed, slipped = Signal(), Signal(), Signal()
        with m.If(at.open):
            m.d.sync += [lost.eq(lost | entry.lost), missed.eq(missed | entry.missed)]
            m.d.sync += slipped.eq(slipped | entry.slipped)
        with m.If(at.take & ~kept):
            m.d.sync += lost.eq(1)
        with m.If(at.put & written):
            m.d.sync += [lost.eq(0), missed.eq(0), slipped.eq(0)]
        return lost, missed, slipped

    def _place(self, m, record, entry, captured):
        """Tell tick, attempt and position, at most `MAKING` clocks after what they are made of stands."""
        sub = captured.tick[: self.parameters.sub_bits]
        back = Signal(JUMP_BITS + 1)  # from the newest attempt's number, for one made in the attempt before
        reference = Signal(REFERENCE_BITS)
        m.d.sync += [
            back.eq(Mux(captured.number ^ entry.odd, entry.jump + 1, 0)),
            reference.eq(Mux(captured.number, entry.references[1], entry.references[0])),
            record.tick.eq(Cat(sub, (entry.clock - captured.delay)[: self.parameters.clock_bits])),
            record.attempt.eq(Mux(captured.gated, entry.attempt - back, 0)),
            record.position.eq(Mux(captured.gated, record.tick - reference, 0)),
        ]

    def _age(self, m, at, ages, captured):
        """Subtract the clicks' ticks from that of the herald, one channel a clock."""
        channels = self.parameters.channels
        making = max(channels, MAKING)
        left = Signal(range(making + 1))
        stamps, contributing = Signal.like(captured.stamps), Signal(channels)
        begun = Signal()
        age = Mux(contributing[0], (captured.tick - stamps[0])[:STAMP_BITS], 0)
        m.d.sync += begun.eq(at.make)
        with m.If(begun):
            m.d.sync += [Cat(*stamps).eq(Cat(*list(stamps)[1:])), contributing.eq(contributing >> 1), left.eq(left - 1)]
            with m.If(left > making - channels):
                m.d.sync += Cat(*ages).eq(Cat(*list(ages)[1:], age))
        with m.Else():
            m.d.sync += [stamps.eq(captured.stamps), contributing.eq(captured.channels), left.eq(making)]
        with m.If(at.make & begun & (left == 1)):
            m.d.sync += [begun.eq(0), go(at, "put")]

    def _flags(self, captured, lack):
        lost, missed, slipped = lack
        flags = {
            HeraldFlag.GATED: captured.gated,
            HeraldFlag.REFERENCE_DOUBLED: captured.gated & captured.flagged,
            HeraldFlag.REFERENCE_MISSED: captured.gated & missed,
            HeraldFlag.HERALDS_LOST: lost,
            HeraldFlag.SYNC_ERROR: captured.gated & slipped,
        }
        return Cat(flags[HeraldFlag(1 << bit)] for bit in range(len(flags)))
