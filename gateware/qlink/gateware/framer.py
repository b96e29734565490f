"""Frames of records: when one is closed."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import MAX_FRAME_WORDS, MAX_RECORD_WORDS, OFFSET_BITS, Kind

from .frame_store import DirectStore, FrameSource, FrameStore, FrameTag
from .layouts import RecordWord, record_words
from .timer import Timer

__all__ = ["Framer"]


class Framer(wiring.Component):
    """Gather records into frames.

    A frame is closed before a record that does not fit, or is of another page; when it has become `flush_clocks` old;
    on `flush`; and, once it holds a herald or a reply, before the first other record or as soon as nothing waits and
    no frame of this framer is on its way. Heralds that wait for the same way out thus share a frame, and none waits for
    anything else.

    A record is taken whole or not begun: there is room for it, or `records` waits.

    Members
    -------
    records : In(stream of RecordWord)
    flush_clocks : In(32)
    flush : In(1), high for one clock
    skip : In(32), clocks that pass at the coming edge besides the one
    source : Out(FrameSource)
    idle : Out(1), nothing happens before a record comes or the open frame is `deadline` clocks older
    deadline : Out(32)
    """

    def __init__(self, parameters, max_words=MAX_FRAME_WORDS):
        """A compact board's frames are shorter, if its memory is."""
        self._store = DirectStore if parameters.compact else FrameStore
        if parameters.compact:
            max_words = min(max_words, parameters.frame_depth // 2)
        if not MAX_RECORD_WORDS <= max_words <= MAX_FRAME_WORDS:
            raise ValueError(f"max_words must be {MAX_RECORD_WORDS} to {MAX_FRAME_WORDS}, not {max_words}")
        if parameters.frame_depth < 2 * max_words:
            raise ValueError(f"frame_depth must hold two frames of {max_words} words, not {parameters.frame_depth}")
        self._depth = parameters.frame_depth
        self._max_words = max_words
        super().__init__(
            {
                "records": In(stream.Signature(RecordWord)),
                "flush_clocks": In(32),
                "flush": In(1),
                "skip": In(32),
                "source": Out(FrameSource),
                "idle": Out(1),
                "deadline": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = self._store(self._depth, MAX_RECORD_WORDS + 2)
        m.submodules.timer = timer = Timer()
        connect(m, store.source, flipped(self.source))
        m.d.comb += [timer.clocks.eq(self.flush_clocks), timer.skip.eq(self.skip)]
        self._gather(m, store, timer)
        return m

    def _gather(self, m, store, timer):
        """The open frame: `tag` says what it holds so far; none is open when that is nothing."""
        record, tag = self.records.payload, Signal(FrameTag)
        kind = record.word[OFFSET_BITS:]
        is_open, urgent, flushing = Signal(), Signal(), Signal()  # of the open frame
        full, differs, presses = Signal(), Signal(), Signal()  # of the record at the door
        free = Signal()
        due = flushing | timer.fired

        way_is_free = ~store.waiting & ~self.source.sending
        m.d.comb += store.closed.payload.eq(tag)
        m.d.sync += [
            store.write.eq(0),
            store.word.eq(record.word),
            free.eq(way_is_free),
        ]
        with m.If(self.flush):
            m.d.sync += flushing.eq(1)
        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [
                    full.eq(self._is_full(kind, tag.words)),
                    differs.eq(record.page != tag.page),
                    presses.eq((kind == Kind.HERALD) | (kind == Kind.REPLY)),
                ]
                with m.If(is_open & (due | (urgent & free & ~self.records.valid))):
                    m.next = "CLOSE"
                with m.Elif(self.records.valid):
                    m.next = "JUDGE"
                with m.Else():
                    m.d.sync += flushing.eq(self.flush)
                    m.d.comb += self.idle.eq(~urgent & ~flushing & ~self.flush & free & way_is_free)
            with m.State("JUDGE"):
                with m.If(is_open & (differs | full | due | (urgent & ~presses))):
                    m.next = "CLOSE"
                with m.Elif(store.room):
                    m.d.comb += timer.start.eq(~is_open)
                    m.d.sync += [is_open.eq(1), tag.page.eq(record.page), urgent.eq(urgent | presses)]
                    m.next = "COPY"
            with m.State("COPY"):
                m.d.comb += self.records.ready.eq(1)
                m.d.sync += store.write.eq(self.records.valid)
                with m.If(self.records.valid):
                    m.d.sync += tag.words.eq(tag.words + 1)
                    with m.If(record.last):
                        m.next = "SETTLE"
            with m.State("SETTLE"):  # `room` follows behind
                m.next = "WAIT"
            with m.State("CLOSE"):
                m.d.comb += store.closed.valid.eq(1)
                with m.If(store.closed.ready):
                    m.d.sync += [is_open.eq(0), urgent.eq(0), flushing.eq(self.flush), tag.words.eq(0)]
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.next = "WAIT"
        m.d.comb += self.deadline.eq(timer.spare | (~is_open).replicate(32))

    def _is_full(self, kind, words):
        """Return whether a record of `kind` does not fit into a frame that has `words`."""
        longest = {value: self._max_words - record_words(value) for value in Kind}
        full = words > self._max_words - 1  # a click
        for value, most in longest.items():
            full = Mux(kind == value, words > most, full)
        return full
