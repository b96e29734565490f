"""The way out of a compact board: what `FrameSender` does, for one source, a bit a clock."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import FRAME_SYNC, HEADER, MAX_FRAME_WORDS

from .frame_store import FrameSource
from .layouts import WORD_BITS, shape_of
from .serial_crc import SerialCrc32

__all__ = ["SerialSender"]

BYTE_BITS = 8
HEADER_WORDS = HEADER.bytes * BYTE_BITS // WORD_BITS
SETTLING = 4  # clocks, at least those from `taken` to the next word


class SerialSender(wiring.Component):
    """Send the closed frames of a source, a byte in 13 clocks or more. A frame is taken when its header has gone.

    Members
    -------
    source : In(FrameSource)
    epoch, wrapped : In, as `FrameSender` has them
    bytes : Out(stream of 8)
    idle : Out(1), no frame is under way or waiting
    """

    source: In(FrameSource)
    epoch: In(8)
    wrapped: In(1)
    bytes: Out(stream.Signature(BYTE_BITS))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = checksum = SerialCrc32()
        tag, word = self.source.frames.payload, self.source.word
        header = Signal(shape_of(HEADER))
        sequence, epoch, left = Signal(32), Signal(8), Signal(range(MAX_FRAME_WORDS + 1))
        place = Signal(range(WORD_BITS // BYTE_BITS))  # of the byte in its word
        step = Signal(range(-SETTLING, BYTE_BITS + 1))  # the bit of the byte that goes into the CRC, or all have
        shown, covered, ends = Signal(WORD_BITS), Signal(init=1), Signal()
        begun, offered = Signal(), step == BYTE_BITS
        m.d.comb += [
            header.sync.eq(FRAME_SYNC),
            header.words.eq(tag.words),
            header.sequence.eq(sequence),
            header.page.eq(tag.page),
            header.epoch.eq(epoch),
            self.bytes.payload.eq(shown.word_select(place, BYTE_BITS)),
            self.bytes.valid.eq(begun & offered),
            ends.eq(self.bytes.valid & self.bytes.ready & place.all()),
            checksum.bit.eq(self.bytes.payload.bit_select(step[:3], 1)),
            checksum.valid.eq(begun & (step >= 0) & ~offered & covered),
            self.source.sending.eq(begun),
        ]
        with m.If(begun & ~offered):
            m.d.sync += step.eq(step + 1)
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [step.eq(-SETTLING), place.eq(place + 1)]
        with m.FSM():
            with m.State("IDLE"):
                last_epoch = Mux(self.epoch > 1, self.epoch - 1, -self.epoch)
                m.d.comb += [self.idle.eq(~self.source.frames.valid), checksum.start.eq(1)]
                m.d.sync += [
                    epoch.eq(Mux(tag.page[-1] & self.wrapped, last_epoch, self.epoch)),
                    begun.eq(self.source.frames.valid),
                    step.eq(-SETTLING),
                ]
                with m.If(self.source.frames.valid):
                    m.next = "HEADER0"
            for n in range(HEADER_WORDS):
                with m.State(f"HEADER{n}"):
                    m.d.comb += shown.eq(header.as_value().word_select(n, WORD_BITS))
                    if n == 0:
                        m.d.comb += covered.eq(place[1])
                    with m.If(ends):
                        m.next = f"HEADER{n + 1}" if n + 1 < HEADER_WORDS else "PAYLOAD"
                        if n + 1 == HEADER_WORDS:
                            m.d.comb += self.source.frames.ready.eq(1)
                            m.d.sync += left.eq(tag.words)
            with m.State("PAYLOAD"):
                m.d.comb += [shown.eq(word), self.source.taken.eq(ends)]
                with m.If(ends):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [shown.eq(checksum.crc), covered.eq(0)]
                with m.If(ends):
                    m.d.sync += [begun.eq(0), sequence.eq(sequence + 1)]
                    m.next = "IDLE"
        return m
