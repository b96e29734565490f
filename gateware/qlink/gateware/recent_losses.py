"""What each source has lost since it was looked at last."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block_ram import BLOCK_RAM
from .parameters import TICK_BITS
from .shift_counter import ShiftCounter

__all__ = ["RecentLosses"]

LATE = 4  # clocks from a visit on in which what was before it is still looked up


class RecentLosses(wiring.Component):
    """Count what each source has lost since its last visit, and know when the first and the last of it was.

    Sources have turns of two clocks. A source's visit takes what it lost before the first clock of its turn.
    So few bits do for a source. The ticks come from a memory of the last clocks.

    Members
    -------
    lost : In(number of sources), an event of this source was lost in the clock before
    subs : In, their subticks
    clock : In, the number of this clock
    second : In(1), it is the second clock of a turn
    visited : In(number of sources), whose second clock it is, if any's
    some : Out(1), the source had lost something; in the turn after its own
    count : Out, how much; from the second clock of that turn on, two clocks
    tick : Out(TICK_BITS), when: in the turn after that, first of the first of it, then of the last
    """

    def __init__(self, parameters, count, turns):
        self._parameters = parameters
        self._bits = (2 * turns + LATE - 1).bit_length()
        self._counter = ShiftCounter(2 * turns)
        super().__init__(
            {
                "lost": In(count),
                "subs": In(data.ArrayLayout(parameters.sub_bits, count)),
                "clock": In(parameters.clock_bits),
                "second": In(1),
                "visited": In(count),
                "some": Out(1),
                "count": Out(range(2 * turns + 1)),
                "tick": Out(TICK_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place, placed = Signal(self._bits), Signal(self._bits)  # in the memory: of this clock, of the one before
        stamp = data.StructLayout({"sub": self._parameters.sub_bits, "place": self._bits})
        note = data.StructLayout({"some": 1, "state": self._counter.bits, "first": stamp, "last": stamp})
        notes = [self._take_note(m, note, Cat(sub, placed), n) for n, sub in enumerate(self.subs)]
        shown = Signal(note)
        with m.If(self.second):
            m.d.sync += shown.eq(_selected(self.visited, notes))
        m.d.sync += [
            place.eq(place + 1),
            placed.eq(place),
            self.count.eq(Array(self._counter.counts())[shown.state]),
        ]
        m.d.comb += self.some.eq(shown.some)
        self._look_up(m, place, stamp(Mux(self.second, shown.last, shown.first)))
        return m

    def _take_note(self, m, shape, stamp, number):
        counter = self._counter
        note = Signal(shape, name=f"note{number}", init={"state": counter.one})  # what `begins` makes it: no LUT
        begins = Signal(name=f"begins{number}")
        lost, visited = self.lost[number], self.visited[number]
        m.d.comb += begins.eq(lost & (visited | ~note.some))
        m.d.sync += note.some.eq(lost | note.some & ~visited)
        with m.If(begins):
            m.d.sync += [note.first.eq(stamp), note.state.eq(counter.one)]
        with m.Elif(lost):
            m.d.sync += note.state.eq(counter.next(note.state))
        with m.If(lost):
            m.d.sync += note.last.eq(stamp)
        return note

    def _look_up(self, m, place, stamp):
        """Keep each clock for a while, and make the tick of `stamp`."""
        bits = self._parameters.clock_bits
        m.submodules.clocks = clocks = Memory(shape=bits, depth=1 << self._bits, init=[], attrs=BLOCK_RAM)
        write, read = clocks.write_port(), clocks.read_port()
        clock, sub, sub_before = Signal(bits), Signal.like(stamp.sub), Signal.like(stamp.sub)
        m.d.comb += [
            write.en.eq(1),
            write.addr.eq(place),
            write.data.eq(self.clock),
            read.addr.eq(stamp.place),
            self.tick.eq(Cat(sub, clock)),
        ]
        m.d.sync += [
            clock.eq(read.data),  # the memory's own output is late in the clock
            sub_before.eq(stamp.sub),
            sub.eq(sub_before),
        ]


def _selected(one_hot, values):
    result = 0
    for bit, value in zip(one_hot, values, strict=True):
        result = result | Mux(bit, value.as_value(), 0)
    return result
