"""A long queue of records in block RAM."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import PAGE_BITS

from .layouts import WORD_BITS, RecordWord

__all__ = ["RecordQueue"]


class Tag(enum.Enum, shape=2):
    """What an entry of the queue holds."""

    WORD = 0
    LAST_WORD = 1
    PAGE_LOW = 2
    PAGE_HIGH = 3


Entry = data.StructLayout({"word": WORD_BITS, "tag": Tag})


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
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=Entry.size, depth=self._depth + 1)
        written = Signal(Entry)
        m.d.comb += [fifo.w_data.eq(written)]
        pending = self._write(m, fifo, written)
        fetched = self._read(m, fifo)
        m.d.comb += self.idle.eq(~self.i.valid & ~pending & (fifo.level == 0) & ~fetched & ~self.o.valid)
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
        m.d.sync += room.eq(fifo.level < self._depth - 2)
        m.d.comb += fifo.w_en.eq(holding & room)
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
        m.d.comb += fifo.r_en.eq(room | ~fetched)
        with m.If(fifo.r_en):
            m.d.sync += [entry.eq(fifo.r_data), fetched.eq(fifo.r_rdy)]
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
