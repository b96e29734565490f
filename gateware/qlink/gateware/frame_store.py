"""Frames on their way out: the memory in which one is filled while others wait to be sent."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import MAX_FRAME_WORDS, PAGE_BITS, Coding

from .layouts import WORD_BITS

__all__ = ["DirectStore", "FrameSource", "FrameStore", "FrameTag"]

FRAMES = 16  # closed frames that may wait

FrameTag = data.StructLayout(
    {"words": range(MAX_FRAME_WORDS + 1), "page": PAGE_BITS, "coding": range(max(Coding) + 1), "parameter": 8}
)
"""What is known of a closed frame, besides its payload."""

FrameSource = wiring.Signature(
    {
        "frames": Out(stream.Signature(FrameTag)),
        "word": Out(WORD_BITS),  # the oldest word of all; three clocks after `taken`, the next one
        "taken": In(1),  # it is no longer needed
        "sending": In(1),  # the frame that was taken last is not sent yet
    }
)


STORE = {
    "word": In(WORD_BITS),
    "write": In(1),
    "closed": In(stream.Signature(FrameTag)),
    "room": Out(1),
    "waiting": Out(1),
    "source": Out(FrameSource),
}


class FrameStore(wiring.Component):
    """Keep words of frames, and the tags of those that are closed, until they are sent.

    Members
    -------
    word : In(32), write : In(1), append a word; only with room
    closed : In(stream of FrameTag), of the words since the last one
    room : Out(1), `spare` words and one more fit; seen two clocks late
    waiting : Out(1), a closed frame waits
    source : Out(FrameSource)
    """

    def __init__(self, depth, spare):
        self._depth = depth
        self._spare = spare
        super().__init__(STORE)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=WORD_BITS, depth=self._depth, init=[])
        m.submodules.tags = tags = SyncFIFOBuffered(width=FrameTag.size, depth=FRAMES + 1)
        write, read = store.write_port(), store.read_port()
        used = Signal(range(self._depth + 1))
        source = self.source

        m.d.comb += [
            write.en.eq(self.write),
            write.data.eq(self.word),
            source.word.eq(read.data),
            self.waiting.eq(tags.level != 0),
        ]
        m.d.comb += [
            tags.w_data.eq(self.closed.payload),
            tags.w_en.eq(self.closed.valid),
            self.closed.ready.eq(tags.w_rdy),
            source.frames.payload.eq(tags.r_data),
            source.frames.valid.eq(tags.r_rdy),
            tags.r_en.eq(source.frames.ready),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.write),
            read.addr.eq(read.addr + source.taken),
            used.eq(used + self.write - source.taken),
            self.room.eq(used < self._depth - self._spare),
        ]
        return m


class DirectStore(wiring.Component):
    """Keep words of frames like a `FrameStore`; but a closed frame has to wait where it was closed, with its tag.

    Members
    -------
    as of `FrameStore`
    """

    def __init__(self, depth, spare):
        self._depth = depth
        self._spare = spare
        super().__init__(STORE)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=WORD_BITS, depth=self._depth, init=[])
        write, read = store.write_port(), store.read_port()
        used = Signal(range(self._depth + 1))
        connect(m, flipped(self.closed), flipped(self.source.frames))
        m.d.comb += [
            write.en.eq(self.write),
            write.data.eq(self.word),
            self.source.word.eq(read.data),
            self.waiting.eq(self.closed.valid),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.write),
            read.addr.eq(read.addr + self.source.taken),
            used.eq(used + self.write - self.source.taken),
            self.room.eq(used < self._depth - self._spare),
        ]
        return m
