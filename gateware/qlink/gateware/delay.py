"""Patterns with forbidden channels look at clicks a window late, when all that can veto them is known."""

from functools import reduce
from itertools import pairwise
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import Slot

TAPS = 3  # delays shorter than this do not go through the memory


class DelayLine(wiring.Component):
    """Delay slots by a number of clocks of its own for each pattern, and one more.

    Members
    -------
    slot : In(Slot)
    clear : In(1), nothing of what has come so far will leave
    clocks : In(array), delay per pattern, 0 to `veto_depth`; may change only while `clear`
    channels : In(array of channels), per pattern: those whose clicks it looks at
    slots : Out(array of Slot), per pattern
    idle : Out(1), nothing that counts is inside
    """

    def __init__(self, parameters):
        self.parameters = parameters
        self.bits = parameters.veto_depth.bit_length()
        super().__init__(
            {
                "slot": In(Slot(parameters)),
                "clear": In(1),
                "clocks": In(data.ArrayLayout(self.bits, parameters.patterns)),
                "channels": In(data.ArrayLayout(parameters.channels, parameters.patterns)),
                "slots": Out(data.ArrayLayout(Slot(parameters), parameters.patterns)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        depth = self.parameters.veto_depth
        shape = Slot(self.parameters)
        m.submodules.memory = memory = Memory(shape=shape, depth=depth, init=[])
        write = memory.write_port()
        m.d.comb += [write.en.eq(1), write.data.eq(self.slot)]
        m.d.sync += write.addr.eq(Mux(self.clear, -TAPS, write.addr + 1))

        taps = [self.slot, *(Signal(shape, name=f"tap{clocks}") for clocks in range(1, TAPS))]
        for newer, older in pairwise(taps):
            m.d.sync += older.eq(newer)

        filled = Signal(init=1)
        m.d.sync += filled.eq(self.slot.start | Cat(click.valid for click in self.slot.clicks).any() | self.clear)
        since_clear = self._clocks_since(m, self.clear)
        since_filled = self._clocks_since(m, filled)

        busy = Signal(self.parameters.patterns)
        m.d.comb += self.idle.eq(~busy.any() & ~filled)
        for pattern, clocks in enumerate(self.clocks):
            m.d.comb += busy[pattern].eq(self._pending(m, filled, since_filled, clocks))
            stale = self._pending(m, self.clear, since_clear, clocks)
            slot = self._tap(m, memory, taps, clocks, stale)
            m.d.sync += self.slots[pattern].eq(slot)
            for channel, click in enumerate(self.slots[pattern].clicks):
                m.d.sync += click.valid.eq(slot.clicks[channel].valid & self.channels[pattern][channel])

        return m

    def _clocks_since(self, m, event):
        """Count up to `veto_depth`."""
        count = Signal(self.bits)
        with m.If(event):
            m.d.sync += count.eq(0)
        with m.Elif(~count[-1]):
            m.d.sync += count.eq(count + 1)
        return count

    def _pending(self, m, event, since, clocks):
        """Return whether `event` was in the last `clocks`."""
        pending = Signal(init=1)
        with m.If(event):
            m.d.sync += pending.eq(1)
        with m.Elif(since == clocks):
            m.d.sync += pending.eq(0)
        return pending

    def _tap(self, m, memory, taps, clocks, stale):
        read = memory.read_port()
        kept = Signal(Slot(self.parameters))  # the memory's own output is late in the clock
        m.d.sync += [
            read.addr.eq(Mux(self.clear, ~clocks, read.addr + 1)),
            kept.eq(read.data),
        ]

        chosen = Signal(TAPS + 1)
        m.d.sync += chosen.eq(Cat(*(clocks == tap for tap in range(TAPS)), clocks >= TAPS))
        ways = zip([*taps, kept], [*chosen[:TAPS], chosen[TAPS] & ~stale], strict=True)
        tapped = reduce(or_, (Mux(choice, slot.as_value(), 0) for slot, choice in ways))
        return data.View(Slot(self.parameters), tapped)
