"""What the triggers do in an attempt: segments, fetched ahead so that each may last a single clock."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import BY_NAME, SEGMENTS, SEGMENTS_A_WORD, TRIGGERS

from .interface import ProgramBus
from .pipeline import delayed

__all__ = ["FILLING", "Player", "Segment"]

WORDS = 128  # behind the bus
FIRST_CLOCKS = BY_NAME["sequence_clocks"].address % WORDS
LEVEL_WORDS = 32  # a copy of the first words, which are `sequence_levels`
QUEUED = 16  # segments fetched ahead: as many as a LUT holds
IN_FLIGHT = 6  # that still come when there is no room
FILLING = 8  # clocks from `rewind` to the first segment

Segment = data.StructLayout({"on": TRIGGERS, "left": signed(33), "first": 1, "last": 1})
"""Which triggers are on, and for how long: counted down every clock, `left` is negative in the last one."""

Place = data.StructLayout({"first": 1, "last": 1, "within": range(SEGMENTS_A_WORD)})


class Player(wiring.Component):
    """Give the segments of a program, one after the other, round and round.

    Members
    -------
    bus : In(ProgramBus)
    segments : In(bits), how many the program has; changes only before a `rewind`
    rewind : In(1), begin anew: the first segment is there `FILLING` clocks later
    advance : In(1), the next segment is wanted in the next clock
    segment : Out(Segment)
    """

    bus: In(ProgramBus)
    segments: In(range(SEGMENTS + 1))
    rewind: In(1)
    advance: In(1)
    segment: Out(Segment)

    def elaborate(self, platform):
        m = Module()
        filling, room = Signal(range(FILLING)), Signal()
        load = self.advance | (filling == 1)
        with m.If(self.rewind):
            m.d.sync += filling.eq(FILLING - 1)
        with m.Elif(filling != 0):
            m.d.sync += filling.eq(filling - 1)

        clocks, levels = self._remember(m)
        read, held, entry = Signal(Place), Signal(Place), Signal(Segment)
        held_clocks, held_levels = Signal(32), Signal(32)  # a memory takes its time: nothing is done behind it
        place = self._walk(m, room, clocks.addr, levels.addr)
        m.d.sync += [
            read.eq(place),
            Cat(held, held_clocks, held_levels).eq(Cat(read, clocks.data, levels.data)),
            entry.on.eq(held_levels.word_select(held.within, TRIGGERS)),
            entry.left.eq(held_clocks - 2),
            entry.first.eq(held.first),
            entry.last.eq(held.last),
        ]
        on_its_way = Signal(3)  # read, held, an entry
        with m.If(self.rewind):
            m.d.sync += on_its_way.eq(0)
        with m.Else():
            m.d.sync += on_its_way.eq(Cat(room, on_its_way))
        level = self._queue(m, entry, on_its_way[-1], load)
        m.d.sync += room.eq(level < QUEUED - IN_FLIGHT)
        return m

    def _queue(self, m, entry, write_it, load):
        """Keep segments that have been fetched; `load` shows the next. Returns how many there are."""
        m.submodules.queue = memory = Memory(shape=Segment, depth=QUEUED, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        level = Signal(range(QUEUED + 1))
        m.d.comb += [write.data.eq(entry), write.en.eq(write_it)]
        with m.If(self.rewind):
            m.d.sync += [level.eq(0), write.addr.eq(0), read.addr.eq(0)]
        with m.Else():
            m.d.sync += [
                level.eq(level + write_it - load),
                write.addr.eq(write.addr + write_it),
                read.addr.eq(read.addr + load),
            ]
        with m.If(load):
            m.d.sync += self.segment.eq(read.data)
        return level

    def _remember(self, m):
        """Keep what is written, once for each that reads. Returns the ports of the segments' clocks and levels."""
        bus, ports = self.bus, {}
        for name, depth in {"clocks": WORDS, "levels": LEVEL_WORDS, "read_back": WORDS}.items():
            m.submodules[name] = memory = Memory(shape=32, depth=depth, init=[])
            write, ports[name] = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(bus.address),
                write.data.eq(bus.value),
                write.en.eq(bus.write & ~bus.address[len(write.addr) :].any()),
            ]
        m.d.comb += [ports["read_back"].addr.eq(bus.address), bus.read.eq(delayed(m, ports["read_back"].data, 1))]
        return ports["clocks"], ports["levels"]

    def _walk(self, m, move, clocks_address, levels_address):
        """Address one segment after the other."""
        number, place = Signal(range(SEGMENTS)), Signal(Place)
        final = Signal.like(number)
        m.d.sync += final.eq(self.segments - 1)
        m.d.comb += [
            place.first.eq(number == 0),
            place.last.eq(number == final),
            place.within.eq(number),
            levels_address.eq(number[len(place.within) :]),
        ]
        with m.If(self.rewind | move & place.last):
            m.d.sync += [number.eq(0), clocks_address.eq(FIRST_CLOCKS)]
        with m.Elif(move):
            m.d.sync += [number.eq(number + 1), clocks_address.eq(clocks_address + 1)]
        return place
