"""What the triggers do in an attempt: segments, fetched ahead so that each may last a single clock."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import BRANCH_SEGMENTS, BY_NAME, SEGMENTS, SEGMENTS_A_WORD, TRIGGERS
from qlink.firmware_bridge.wire import OUTCOMES

from .block_ram import BLOCK_RAM
from .interface import ProgramBus
from .pipeline import delayed

__all__ = ["FILLING", "BranchPlayer", "Player", "Segment"]

WORDS = 512  # behind the bus
PROGRAM, PROGRAM_WORDS = 256, 128  # where the program is in these
FIRST_CLOCKS = BY_NAME["sequence_clocks"].address % PROGRAM_WORDS
LEVEL_WORDS = 32  # a copy of the program's first words, which are `sequence_levels`
FILLING = 4  # clocks from `rewind` to the first segment

Segment = data.StructLayout({"on": TRIGGERS, "left": signed(33), "first": 1, "last": 1})
"""Which triggers are on, and for how long: counted down every clock, `left` is negative in the last one."""

Place = data.StructLayout({"first": 1, "last": 1, "within": range(SEGMENTS_A_WORD)})

BranchWord = data.StructLayout({field.name: field.width for field in BY_NAME["branch_segment"].fields})


class Player(wiring.Component):
    """Give the segments of the program, one after the other, round and round.

    Each `advance` moves all that have been fetched on by one: what is read by now is `FILLING - 1` segments ahead.

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
        move = _moving(m, self)
        clocks, levels = self._remember(m, move)
        read, held = Signal(Place), Signal(Place)
        held_clocks, held_levels = Signal(32), Signal(32)  # a memory takes its time: nothing is done behind it
        place = self._walk(m, move, clocks.addr, levels.addr)
        with m.If(move):
            m.d.sync += [
                read.eq(place),
                Cat(held, held_clocks, held_levels).eq(Cat(read, clocks.data, levels.data)),
                self.segment.on.eq(held_levels.word_select(held.within, TRIGGERS)),
                self.segment.left.eq(held_clocks - 2),
                self.segment.first.eq(held.first),
                self.segment.last.eq(held.last),
            ]
        return m

    def _remember(self, m, move):
        """Keep what is written, once for each that reads. Returns the ports of the segments' clocks and levels."""
        bus, ports = self.bus, {}
        for name, depth in {"clocks": PROGRAM_WORDS, "levels": LEVEL_WORDS, "read_back": WORDS}.items():
            m.submodules[name] = memory = Memory(shape=32, depth=depth, init=[], attrs=BLOCK_RAM)
            write, ports[name] = memory.write_port(), memory.read_port()
            bits = len(write.addr)
            m.d.comb += [
                write.addr.eq(bus.address),
                write.data.eq(bus.value),
                write.en.eq(bus.write & (bus.address[bits:] == PROGRAM >> bits)),
            ]
        m.d.comb += [ports["read_back"].addr.eq(bus.address), bus.read.eq(delayed(m, ports["read_back"].data, 1))]
        m.d.comb += [ports[name].en.eq(move) for name in ("clocks", "levels")]
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


class BranchPlayer(wiring.Component):
    """Give the segments of an outcome's branch, one after the other, as a `Player` those of the program.

    What comes after the last one means nothing.

    Members
    -------
    bus : In(ProgramBus), only written to
    outcome : In(2), taken with `rewind`
    rewind : In(1), begin this outcome's: the first segment is there `FILLING` clocks later
    advance : In(1), the next segment is wanted in the next clock
    segment : Out(Segment), `first` means nothing
    """

    bus: In(ProgramBus)
    outcome: In(range(OUTCOMES))
    rewind: In(1)
    advance: In(1)
    segment: Out(Segment)

    def elaborate(self, platform):
        m = Module()
        bus, move = self.bus, _moving(m, self)
        m.submodules.words = memory = Memory(shape=BranchWord, depth=OUTCOMES * BRANCH_SEGMENTS, init=[])
        write, read = memory.write_port(), memory.read_port()
        number, outcome = Signal(range(BRANCH_SEGMENTS)), Signal.like(self.outcome)
        held = Signal(BranchWord)
        ends = Signal(2)  # the last of all, read and held
        m.d.comb += [
            write.addr.eq(bus.address),
            write.data.eq(bus.value),
            write.en.eq(bus.write & ~bus.address[8]),
            read.addr.eq(Cat(number, outcome)),
            read.en.eq(move),
        ]
        with m.If(self.rewind):
            m.d.sync += [number.eq(0), outcome.eq(self.outcome)]
        with m.Elif(move):
            m.d.sync += number.eq(number + 1)
        with m.If(move):
            m.d.sync += [
                ends.eq(Cat(number.all(), ends)),
                held.eq(read.data),
                self.segment.on.eq(held.on),
                self.segment.left.eq(held.clocks - 2),
                self.segment.last.eq(held.last | ends[-1]),
            ]
        return m


def _moving(m, player):
    """Return whether what has been fetched moves on: as it is wanted, and while the way is filled anew."""
    filling = Signal(range(FILLING))
    with m.If(player.rewind):
        m.d.sync += filling.eq(FILLING - 1)
    with m.Elif(filling != 0):
        m.d.sync += filling.eq(filling - 1)
    return player.advance | (filling != 0)
