"""From events to the words of their records, and from many sources to one stream of records."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import KIND_BITS, OFFSET_BITS

from .layouts import WORD_BITS, RecordWord, head_word, record_words, stamped

__all__ = ["Merger", "Serialiser"]


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
        record = self.records.payload
        held, holding = Signal(self.events.payload.shape()), Signal()
        position = Signal(range(count))
        at_end = position == count - 1
        head = head_word(Const(self._kind, KIND_BITS), held.tick)
        bits = Cat(head, held.as_value()[len(held.tick) :])
        words = Array(bits.word_select(n, WORD_BITS) for n in range(count))
        room = ~self.records.valid | self.records.ready

        m.d.comb += self.events.ready.eq(~holding)
        with m.If(~holding):  # whether it is valid or not: so that nothing but a register enables so many bits
            m.d.sync += [held.eq(self.events.payload), holding.eq(self.events.valid)]
        with m.If(room):
            m.d.sync += [
                self.records.valid.eq(holding),
                record.word.eq(words[position]),
                record.page.eq(held.tick[OFFSET_BITS:]),
                record.last.eq(at_end),
            ]
        with m.If(room & holding):
            m.d.sync += position.eq(Mux(at_end, 0, position + 1))
            with m.If(at_end):
                m.d.sync += holding.eq(0)
        return m


class Merger(wiring.Component):
    """Merge streams of records into one, record by record: a source of a lower number goes first.

    A record takes one clock more than it has words. The output is registered.

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
        chosen = Signal(RecordWord)
        offered = Signal()
        room = ~self.records.valid | self.records.ready

        m.d.comb += [
            chosen.eq(_select(granted, [source.payload for source in self.sources])),
            offered.eq((granted & waiting).any()),
            self.idle.eq(~waiting.any() & ~granted.any() & ~self.records.valid),
        ]
        for grant, source in zip(granted, self.sources, strict=True):
            m.d.comb += source.ready.eq(grant & room)

        with m.If(room):
            m.d.sync += [self.records.valid.eq(offered), self.records.payload.eq(chosen)]
        with m.If(~granted.any()):
            m.d.sync += granted.eq(waiting & (~waiting + 1))
        with m.Elif(offered & room & chosen.last):
            m.d.sync += granted.eq(0)
        return m


def _select(one_hot, values):
    """Return the value whose bit is set."""
    result = 0
    for bit, value in zip(one_hot, values, strict=True):
        result = result | Mux(bit, value.as_value(), 0)
    return result
