"""Records out of events of several kinds, with few registers: one kind after the other, and nothing waits here."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import KIND_BITS, OFFSET_BITS

from .layouts import WORD_BITS, RecordWord, head_word, record_words, stamped

__all__ = ["RecordWriter"]


class RecordWriter(wiring.Component):
    """Do what a `Serialiser` for each kind and a `Merger` do, on a slower clock.

    An event is taken with the last word of its record. It may be withdrawn, and its tick may change, before the first.

    Members
    -------
    a stream for each of `kinds`, by its name in lower case: of stamped(kind), or of RecordWord for those of `written`;
    the first of those that wait goes first
    records : Out(stream of RecordWord)
    idle : Out(1), nothing is under way or waiting
    """

    def __init__(self, kinds, written):
        """The records of the kinds of `written` come written, word by word."""
        self._kinds = tuple(kinds)
        self._written = frozenset(written)
        shapes = {kind: RecordWord if kind in self._written else stamped(kind) for kind in self._kinds}
        events = {kind.name.lower(): In(stream.Signature(shape)) for kind, shape in shapes.items()}
        super().__init__({**events, "records": Out(stream.Signature(RecordWord)), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        position = Signal(range(max(record_words(kind) for kind in self._kinds)))
        room = Signal()
        sources = [self._source(kind, position) for kind in self._kinds]
        waiting = Cat(events.valid for events, *_ in sources)
        granted = Signal(len(sources))  # one of them, or none
        chosen = Signal(RecordWord)
        going, begun = Signal(), Signal()  # a word is there; not the first one of its record
        for n, name in enumerate(("word", "page", "last"), 1):
            ways = (Mux(grant, source[n], 0) for grant, source in zip(granted, sources, strict=True))
            m.d.comb += chosen[name].eq(reduce(or_, ways))
        m.d.comb += [
            room.eq(~self.records.valid | self.records.ready),
            going.eq((granted & waiting).any()),
            *(
                events.ready.eq(grant & room & (last | (kind in self._written)))
                for grant, kind, (events, *_, last) in zip(granted, self._kinds, sources, strict=True)
            ),
            self.idle.eq(~waiting.any() & ~granted.any() & ~self.records.valid),
        ]
        with m.If(~going & ~begun):
            m.d.sync += granted.eq(waiting & (~waiting + 1))
        with m.Elif(going & room & chosen.last):
            m.d.sync += granted.eq(0)
        with m.If(room):
            m.d.sync += [self.records.valid.eq(going), self.records.payload.eq(chosen)]
        with m.If(going & room):
            m.d.sync += [position.eq(Mux(chosen.last, 0, position + 1)), begun.eq(~chosen.last)]
        return m

    def _source(self, kind, position):
        """Return the stream of a kind, the word of its record at `position`, its page, and whether it is the last."""
        events, count = getattr(self, kind.name.lower()), record_words(kind)
        event = events.payload
        if kind in self._written:
            return events, event.word, event.page, event.last
        bits = Cat(head_word(Const(kind, KIND_BITS), event.tick), event.as_value()[len(event.tick) :])
        words = Array(bits.word_select(n, WORD_BITS) for n in range(count))
        return events, words[position], event.tick[OFFSET_BITS:], position == count - 1
