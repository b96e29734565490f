"""A long queue of records in block RAM."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import PAGE_BITS

from .layouts import WORD_BITS, RecordWord

__all__ = ["RecordQueue"]

IN_FLIGHT = 4  # entries that still come when there is said to be no room


class Tag(enum.Enum, shape=2):
    """What an entry of the queue holds."""

    WORD = 0
    LAST_WORD = 1
    PAGE_LOW = 2
    PAGE_HIGH = 3


Entry = data.StructLayout({"word": WORD_BITS, "tag": Tag})


class _Store(wiring.Component):
    """A queue without a guard: who writes sees to it that there is room. Its memory hangs on registers.

    Members
    -------
    word : In(Entry)
    write : In(1)
    level : Out, entries held; follows `write` by two clocks
    oldest, valid : Out, what is to be taken next, and whether there is anything
    take : In(1), show the next
    empty : Out(1), there is nothing, nor on its way
    """

    def __init__(self, depth):
        self._depth = depth
        super().__init__(
            {
                "word": In(Entry),
                "write": In(1),
                "level": Out(range(depth + 1)),
                "oldest": Out(Entry),
                "valid": Out(1),
                "take": In(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=Entry, depth=self._depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        one, more, was_read = Signal(), Signal(), Signal()  # of the level a clock ago, and whether that clock read
        m.d.sync += [one.eq(self.level == 1), more.eq(self.level > 1), was_read.eq(read.en)]
        m.d.sync += [write.en.eq(self.write), write.data.eq(self.word), write.addr.eq(write.addr + write.en)]
        m.d.comb += [
            read.en.eq((more | one & ~was_read) & (~self.valid | self.take)),
            self.oldest.eq(read.data),
            self.empty.eq((self.level == 0) & ~write.en & ~self.valid),
        ]
        m.d.sync += [
            self.level.eq(self.level + write.en - read.en),
            read.addr.eq(read.addr + read.en),
            self.valid.eq(read.en | self.valid & ~self.take),
        ]
        return m


class RecordQueue(wiring.Component):
    """Hold records until they are taken. A page is kept once, where it changes, and takes two of the entries.

    Takes a word a clock as long as there is room and the page stays.

    Members
    -------
    i, o : In and Out(stream of RecordWord)
    idle : Out(1), empty
    """

    i: In(stream.Signature(RecordWord))
    o: Out(stream.Signature(RecordWord))
    idle: Out(1)

    def __init__(self, depth):
        self._depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = _Store(self._depth)
        pending = self._write(m, fifo, fifo.word)
        fetched = self._read(m, fifo)
        m.d.comb += self.idle.eq(~self.i.valid & ~pending & fifo.empty & ~fetched & ~self.o.valid)
        return m

    def _write(self, m, fifo, written):
        held, holding = Signal(RecordWord), Signal()
        same = Signal(2)  # has the page of the word before: lower half, upper half
        known = Signal()  # there was a word before
        room = Signal()  # a register, with entries to spare: `i.ready` hangs on it
        half = PAGE_BITS // 2
        page = self.i.payload.page

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                held.eq(self.i.payload),
                same.eq(Cat(page[:half] == held.page[:half], (page[half:] == held.page[half:]) & known)),
                known.eq(1),
            ]
        with m.If(self.i.ready):
            m.d.sync += holding.eq(self.i.valid)
        m.d.sync += room.eq(fifo.level < self._depth - IN_FLIGHT)
        m.d.comb += fifo.write.eq(holding & room)
        with m.FSM():
            with m.State("WORDS"):
                with m.If(same.all() | ~holding):
                    m.d.comb += [
                        self.i.ready.eq(room | ~holding),
                        written.word.eq(held.word),
                        written.tag.eq(held.last),
                    ]
                with m.Else():
                    m.d.comb += [written.word.eq(held.page), written.tag.eq(Tag.PAGE_LOW)]
                    with m.If(room):
                        m.next = "PAGE"
            with m.State("PAGE"):
                m.d.comb += [written.word.eq(held.page[WORD_BITS:]), written.tag.eq(Tag.PAGE_HIGH)]
                with m.If(room):
                    m.d.sync += same.eq(-1)
                    m.next = "WORDS"
        return holding

    def _read(self, m, fifo):
        """Take an entry to a register first: out of a deep memory it comes late."""
        entry, fetched = Signal(Entry), Signal()
        tag = entry.tag.as_value()
        record = self.o.payload
        room = ~self.o.valid | self.o.ready
        m.d.comb += fifo.take.eq(room | ~fetched)
        with m.If(fifo.take):
            m.d.sync += [entry.eq(fifo.oldest), fetched.eq(fifo.valid)]
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(fetched & ~tag[1]),
                record.word.eq(entry.word),
                record.last.eq(tag[0]),
            ]
        with m.If(room & fetched & (tag == Tag.PAGE_LOW.value)):
            m.d.sync += record.page[:WORD_BITS].eq(entry.word)
        with m.If(room & fetched & (tag == Tag.PAGE_HIGH.value)):
            m.d.sync += record.page[WORD_BITS:].eq(entry.word)
        return fetched
