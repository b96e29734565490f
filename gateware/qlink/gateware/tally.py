"""Bins in block RAM that take one event a clock."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["COUNT_BITS", "LOOK_CLOCKS", "STEPS", "Tally"]

COUNT_BITS = 32
STEPS = 5  # from the clock of a hit to the one in which its sum is written
LOOK_CLOCKS = 4


class Tally(wiring.Component):
    """Count hits by place: one a clock, any place in any clock.

    A sum is written some clocks after it was read, so it lacks the hits in between. A hit adds those at its own place
    besides itself, and no sums are passed on but one: of the hit that is written just when this one is read, as nothing
    is said of a word that is read then.

    Members
    -------
    hit : In(1), index : In, count one there
    zero : In(1), set the bin at `index` to 0 instead; `STEPS` clocks before the next hit at the latest
    look : In, the bin that `value` shows `LOOK_CLOCKS` clocks later, if there are no hits meanwhile
    value : Out(32), all ones: so many, or more
    full : Out(1), high for one clock: a bin could not count a hit any more
    """

    def __init__(self, depth, start=0):
        """The bins begin at `start`."""
        self._depth = depth
        self._start = start
        super().__init__(
            {
                "hit": In(1),
                "zero": In(1),
                "index": In(range(depth)),
                "look": In(range(depth)),
                "value": Out(COUNT_BITS),
                "full": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = [Signal(range(self._depth), name=f"place{n}") for n in range(STEPS)]
        hits = [Signal(name=f"hit{n}") for n in range(STEPS)]
        zeros = [Signal(name=f"zero{n}") for n in range(STEPS)]
        m.d.sync += [
            places[0].eq(Mux(self.hit | self.zero, self.index, self.look)),
            hits[0].eq(self.hit),
            zeros[0].eq(self.zero),
        ]
        for line in (places, hits, zeros):
            m.d.sync += [line[n].eq(line[n - 1]) for n in range(1, STEPS)]
        addend, collided = self._look_back(m, places, hits)

        total = Signal(COUNT_BITS + 1)  # the highest bit: more than can be counted, and stays
        kept, base, added = Signal.like(total), Signal.like(total), Signal.like(total)
        written, written_before = Signal.like(total), Signal.like(total)
        carry = Signal()
        m.submodules.bins = bins = Memory(shape=len(total), depth=self._depth, init=[self._start] * self._depth)
        write, read = bins.write_port(), bins.read_port()
        m.d.comb += [
            read.addr.eq(places[0]),
            write.addr.eq(places[-1]),
            write.data.eq(total),
            write.en.eq(hits[-1] | zeros[-1]),
            Cat(added[:-1], carry).eq(base[:-1] + addend),
            added[-1].eq(base[-1] | carry),
        ]
        m.d.sync += [
            kept.eq(read.data),  # the memory's own output is late in the clock
            written.eq(total),
            written_before.eq(written),
            base.eq(Mux(collided, written_before, kept)),
            total.eq(Mux(zeros[3], 0, added)),
            self.full.eq(hits[-1] & total[-1]),
            self.value.eq(kept[:-1] | kept[-1].replicate(COUNT_BITS)),
        ]
        return m

    def _look_back(self, m, places, hits):
        """Return what the hit at place 3 adds, and whether the one at place 2 was read while its bin was written."""
        same = [Signal(name=f"same{n}") for n in range(1, STEPS)]
        m.d.sync += [signal.eq(hits[n] & (places[n] == places[0])) for n, signal in enumerate(same, 1)]
        before, addend, collided = Signal(2), Signal(3), Signal()
        m.d.sync += [
            before.eq(sum(same[:-1])),
            addend.eq(before + 1),
            collided.eq(same[-1]),
        ]
        return addend, collided
