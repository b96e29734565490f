"""Frames: when one is closed, and the memory in which it waits."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import MAX_FRAME_WORDS, MAX_RECORD_WORDS, OFFSET_BITS, Kind

from .layouts import WORD_BITS, RecordWord, record_words
from .sender import FrameSender, FrameTag
from .timer import Timer

__all__ = ["Framer"]

FRAMES = 16  # closed frames that may wait


class Framer(wiring.Component):
    """Gather records into frames and send them.

    A frame is closed before a record that does not fit, or is of another page; when it has become `flush_clocks` old;
    on `flush`; and, once it holds a herald or a reply, before the first other record or as soon as nothing waits and
    the way out is free. Heralds that wait for the same way out thus share a frame, and none waits for anything else.

    A record is taken whole or not begun: there is room for it, or `records` waits.

    Members
    -------
    records : In(stream of RecordWord)
    flush_clocks : In(32)
    flush : In(1), high for one clock
    skip : In(32), clocks that pass at the coming edge besides the one
    epoch, wrapped : as in `FrameSender`
    bytes : Out(stream of 8)
    idle : Out(1), nothing happens before a record comes or the open frame is `deadline` clocks older
    deadline : Out(32)
    """

    def __init__(self, parameters, max_words=MAX_FRAME_WORDS):
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
                "epoch": In(8),
                "wrapped": In(1),
                "bytes": Out(stream.Signature(8)),
                "idle": Out(1),
                "deadline": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=WORD_BITS, depth=self._depth, init=[])
        m.submodules.sender = sender = FrameSender(self._depth)
        m.submodules.waiting = waiting = SyncFIFOBuffered(width=FrameTag.size, depth=FRAMES + 1)
        m.submodules.timer = timer = Timer()
        read = store.read_port()
        connect(m, flipped(self.bytes), sender.bytes)
        m.d.comb += [
            read.addr.eq(sender.address),
            sender.word.eq(read.data),
            sender.epoch.eq(self.epoch),
            sender.wrapped.eq(self.wrapped),
            sender.frames.payload.eq(waiting.r_data),
            sender.frames.valid.eq(waiting.r_rdy),
            waiting.r_en.eq(sender.frames.ready),
            timer.clocks.eq(self.flush_clocks),
            timer.skip.eq(self.skip),
        ]
        used = Signal(range(self._depth + 1))
        room = Signal()
        write = store.write_port()
        m.d.sync += [used.eq(used + write.en - sender.taken), room.eq(used < self._depth - MAX_RECORD_WORDS - 2)]
        with m.If(write.en):
            m.d.sync += write.addr.eq(write.addr + 1)
        self._gather(m, write, room, timer, waiting, sender.idle & (waiting.level == 0))
        return m

    def _gather(self, m, write, room, timer, waiting, way_is_free):
        """The open frame: `tag` says what it holds so far; none is open when that is nothing."""
        record, tag = self.records.payload, Signal(FrameTag)
        kind = record.word[OFFSET_BITS:]
        is_open, urgent, flushing = Signal(), Signal(), Signal()  # of the open frame
        full, differs, presses = Signal(), Signal(), Signal()  # of the record at the door
        free = Signal()
        due = flushing | timer.fired

        m.d.comb += waiting.w_data.eq(tag)
        m.d.sync += [
            write.en.eq(0),
            write.data.eq(record.word),
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
                with m.Elif(room):
                    m.d.comb += timer.start.eq(~is_open)
                    m.d.sync += [is_open.eq(1), tag.page.eq(record.page), urgent.eq(urgent | presses)]
                    m.next = "COPY"
            with m.State("COPY"):
                m.d.comb += self.records.ready.eq(1)
                m.d.sync += write.en.eq(self.records.valid)
                with m.If(self.records.valid):
                    m.d.sync += tag.words.eq(tag.words + 1)
                    with m.If(record.last):
                        m.next = "SETTLE"
            with m.State("SETTLE"):  # `room` follows behind
                m.next = "WAIT"
            with m.State("CLOSE"):
                m.d.comb += waiting.w_en.eq(1)
                with m.If(waiting.w_rdy):
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
