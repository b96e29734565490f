"""Patterns with forbidden channels look at clicks a window late, when all that can veto them is known."""

import itertools

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import Slot

TAPS = 3  # delays shorter than this do not go through the memory
SETTLE = 24  # clocks after which nothing that left the delay line is under way any more


class DelayLine(wiring.Component):
    """Delay slots by a number of clocks of its own for each pattern, and one more.

    Members
    -------
    slot : In(Slot)
    clear : In(1), nothing of what has come so far will leave
    clocks : In(array), delay per pattern, 0 to `veto_depth`
    slots : Out(array of Slot), per pattern
    idle : Out(1), nothing that counts is inside, nor was in the last `SETTLE` clocks
    """

    def __init__(self, parameters):
        self.parameters = parameters
        self.bits = parameters.veto_depth.bit_length()
        super().__init__(
            {
                "slot": In(Slot(parameters)),
                "clear": In(1),
                "clocks": In(data.ArrayLayout(self.bits, parameters.patterns)),
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
        place = Signal(range(depth))
        m.d.comb += [write.en.eq(1), write.addr.eq(place), write.data.eq(self.slot)]
        m.d.sync += place.eq(place + 1)

        taps = [self.slot, *(Signal(shape, name=f"tap{clocks}") for clocks in range(1, TAPS))]
        for newer, older in itertools.pairwise(taps):
            m.d.sync += older.eq(newer)

        since_clear = Signal(range(depth + 1))
        with m.If(self.clear):
            m.d.sync += since_clear.eq(0)
        with m.Elif(since_clear != depth):
            m.d.sync += since_clear.eq(since_clear + 1)

        busy = Signal(self.parameters.patterns)
        m.d.comb += self.idle.eq(~busy.any())
        for pattern, clocks in enumerate(self.clocks):
            m.d.comb += busy[pattern].eq(self._watch(m, clocks))
            m.d.sync += self.slots[pattern].eq(self._tap(m, memory, place, taps, clocks, since_clear))

        return m

    def _tap(self, m, memory, place, taps, clocks, since_clear):
        read = memory.read_port()
        offset = Signal.like(place)
        kept = Signal(Slot(self.parameters))  # the memory's own output is late in the clock
        stale = Signal()
        m.d.sync += [
            offset.eq(TAPS - clocks),
            read.addr.eq(place + offset),
            kept.eq(read.data),
            stale.eq(since_clear < clocks),
        ]

        chosen = Signal(TAPS + 1)
        m.d.sync += chosen.eq(Cat(*(clocks == tap for tap in range(TAPS)), clocks >= TAPS))
        masked = Mux(stale, 0, kept.as_value())
        sources = [*(tap.as_value() for tap in taps), masked]
        slot = Signal(len(masked))
        for source, choice in zip(sources, chosen, strict=True):
            with m.If(choice):
                m.d.comb += slot.eq(source)
        return slot

    def _watch(self, m, clocks):
        """Count down from the last slot that held anything."""
        left = Signal(range(self.parameters.veto_depth + SETTLE + 1))
        full = Signal.like(left)
        filled = Signal()
        busy = Signal()
        m.d.sync += [
            full.eq(clocks + SETTLE),
            filled.eq(self.slot.start | Cat(click.valid for click in self.slot.clicks).any() | self.clear),
            busy.eq(left != 0),
        ]
        with m.If(filled):
            m.d.sync += left.eq(full)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return busy | filled
