"""From events to the words of their records, and from many sources to one stream of records."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import KIND_BITS, OFFSET_BITS

from .layouts import WORD_BITS, RecordWord, head_word, record_words, stamped

__all__ = ["Merger", "Serialiser"]

QUEUED = 16  # words that may wait behind the merger: as many as a LUT holds
IN_FLIGHT = 4  # that still come when there is said to be no room


class Serialiser(wiring.Component):
    """Turn events of one kind into the words of their records, one word a clock.

    `events` is ready when all words but the last of the event before have gone.

    Members
    -------
    events : In(stream of stamped(kind))
    records : Out(stream of RecordWord)
    """

    def __init__(self, kind):
        self._kind = kind
        super().__init__({"events": In(stream.Signature(stamped(kind))), "records": Out(stream.Signature(RecordWord))})

    def elaborate(self, platform):
        m = Module()
        count = record_words(self._kind)
        record, event = self.records.payload, self.events.payload
        held, page = Signal(count * WORD_BITS), Signal.like(record.page)  # the next word is at the low end
        position, holding = Signal(range(count)), Signal()
        at_end = position == count - 1
        room = ~self.records.valid | self.records.ready

        m.d.comb += self.events.ready.eq(~holding)
        with m.If(~holding):  # whether it is valid or not: so that nothing but a register enables so many bits
            head = head_word(Const(self._kind, KIND_BITS), event.tick)
            m.d.sync += [
                held.eq(Cat(head, event.as_value()[len(event.tick) :])),
                page.eq(event.tick[OFFSET_BITS:]),
                holding.eq(self.events.valid),
            ]
        with m.If(room):
            m.d.sync += [
                self.records.valid.eq(holding),
                record.word.eq(held[:WORD_BITS]),
                record.page.eq(page),
                record.last.eq(at_end),
            ]
        with m.If(room & holding):
            m.d.sync += [held.eq(held[WORD_BITS:]), position.eq(Mux(at_end, 0, position + 1))]
            with m.If(at_end):
                m.d.sync += holding.eq(0)
        return m


class Merger(wiring.Component):
    """Merge streams of records into one, record by record: a source of a lower number goes first.

    A record takes one clock more than it has words. What is taken goes through a short queue, so that a stall of
    `records` reaches the sources by one register.

    Members
    -------
    sources : In(stream of RecordWord), `count` times
    records : Out(stream of RecordWord)
    idle : Out(1), nothing is under way or waiting
    """

    def __init__(self, count):
        words = stream.Signature(RecordWord)
        super().__init__({"sources": In(words).array(count), "records": Out(words), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        waiting = Cat(source.valid for source in self.sources)
        granted = Signal(len(self.sources))  # one of them, or none
        chosen, taken = Signal(RecordWord), Signal(RecordWord)
        offered, taking, room = Signal(), Signal(), Signal()
        m.d.comb += [
            chosen.eq(_select(granted, [source.payload for source in self.sources])),
            offered.eq((granted & waiting).any()),
        ]
        for grant, source in zip(granted, self.sources, strict=True):
            m.d.comb += source.ready.eq(grant & room)
        with m.If(~granted.any()):
            m.d.sync += granted.eq(waiting & (~waiting + 1))
        with m.Elif(offered & room & chosen.last):
            m.d.sync += granted.eq(0)
        m.d.sync += [taken.eq(chosen), taking.eq(offered & room)]

        level = self._queue(m, taken, taking)
        m.d.sync += room.eq(level < QUEUED - IN_FLIGHT)
        m.d.comb += self.idle.eq(~waiting.any() & ~granted.any() & ~taking & (level == 0) & ~self.records.valid)
        return m

    def _queue(self, m, word, writing):
        """Queue `word`; return how many there are."""
        m.submodules.memory = memory = Memory(shape=RecordWord, depth=QUEUED, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        level = Signal(range(QUEUED + 1))
        reading = (~self.records.valid | self.records.ready) & (level != 0)
        m.d.comb += [write.en.eq(writing), write.data.eq(word)]
        m.d.sync += [
            write.addr.eq(write.addr + writing),
            read.addr.eq(read.addr + reading),
            level.eq(level + writing - reading),
        ]
        with m.If(~self.records.valid | self.records.ready):
            m.d.sync += [self.records.valid.eq(level != 0), self.records.payload.eq(read.data)]
        return level


def _select(one_hot, values):
    """Return the value whose bit is set."""
    result = 0
    for bit, value in zip(one_hot, values, strict=True):
        result = result | Mux(bit, value.as_value(), 0)
    return result
