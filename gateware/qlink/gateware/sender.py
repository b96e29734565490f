"""The way out: frames from memory to bytes, with header, sequence number and CRC."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import crc, stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import FRAME_SYNC, HEADER, MAX_FRAME_WORDS, SYNC_BYTES

from .frame_store import FrameSource, FrameTag
from .layouts import WORD_BITS, shape_of

__all__ = ["FrameSender"]

WORD_BYTES = WORD_BITS // 8


class FrameSender(wiring.Component):
    """Send the closed frames of two sources, a byte a clock but for one clock after every word.

    Members
    -------
    sources : In(FrameSource), twice; whenever a frame ends, one of the first goes first
    epoch : In(8), of the timebase now
    wrapped : In(1), the highest bit of a tick is 0 now: a page in which it is 1 is from before the last wrap
    bytes : Out(stream of 8)
    idle : Out(1), no frame is under way or waiting
    """

    sources: In(FrameSource).array(2)
    epoch: In(8)
    wrapped: In(1)
    bytes: Out(stream.Signature(8))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = checksum = crc.catalog.CRC32_ISO_HDLC(8).create()
        header = Signal(shape_of(HEADER))
        header_left = Signal(range(HEADER.bytes // WORD_BYTES + 1))
        words_left = Signal(range(MAX_FRAME_WORDS + 1))
        sequence = Signal(32)
        shift = Signal(WORD_BITS)
        uncovered = Signal(WORD_BYTES)  # which of the word's bytes the CRC leaves out
        left = Signal(WORD_BYTES)  # one bit for each byte not yet sent
        fresh = Signal()
        epoch, last_epoch = Signal(8), Signal(8)
        first, second = self.sources
        chosen = Signal()  # whose frame is sent
        word, taken = Signal(WORD_BITS), Signal()
        tag, offered = Signal(FrameTag), Signal()

        m.d.sync += [
            word.eq(Mux(chosen, second.word, first.word)),
            epoch.eq(self.epoch),
            last_epoch.eq(Mux(self.epoch > 1, self.epoch - 1, -self.epoch)),
        ]
        m.d.comb += [
            tag.eq(Mux(first.frames.valid, first.frames.payload.as_value(), second.frames.payload.as_value())),
            offered.eq(first.frames.valid | second.frames.valid),
            first.taken.eq(taken & ~chosen),
            second.taken.eq(taken & chosen),
        ]
        m.d.comb += [
            self.bytes.payload.eq(shift),
            self.bytes.valid.eq(left[0]),
            checksum.data.eq(shift),
            checksum.start.eq(fresh),
            checksum.valid.eq(left[0] & self.bytes.ready & ~uncovered[0]),
        ]
        with m.If(left[0] & self.bytes.ready):
            m.d.sync += [shift.eq(shift >> 8), left.eq(left >> 1), uncovered.eq(uncovered >> 1)]
        m.d.sync += fresh.eq(0)

        def load(word, leave_out):
            return [shift.eq(word), left.eq(-1), uncovered.eq(leave_out)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    first.frames.ready.eq(1),
                    second.frames.ready.eq(~first.frames.valid),
                    self.idle.eq(~offered & ~left[0]),
                ]
                m.d.sync += [
                    chosen.eq(~first.frames.valid),
                    header.sync.eq(FRAME_SYNC),
                    header.words.eq(tag.words),
                    header.sequence.eq(sequence),
                    header.page.eq(tag.page),
                    header.epoch.eq(Mux(tag.page[-1] & self.wrapped, last_epoch, epoch)),
                    header.coding.eq(tag.coding),
                    header.parameter.eq(tag.parameter),
                    header_left.eq(HEADER.bytes // WORD_BYTES),
                    words_left.eq(tag.words),
                    fresh.eq(1),
                ]
                with m.If(offered):
                    m.d.sync += [
                        sequence.eq(sequence + 1),
                        first.sending.eq(first.frames.valid),
                        second.sending.eq(~first.frames.valid),
                    ]
                    m.next = "SYNC"
            with m.State("SYNC"), m.If(~left[0]):
                m.d.sync += load(header.as_value()[:WORD_BITS], 2**SYNC_BYTES - 1)
                m.d.sync += [header.eq(header.as_value() >> WORD_BITS), header_left.eq(header_left - 1)]
                m.next = "HEADER"
            with m.State("HEADER"), m.If(~left[0]):
                m.d.sync += load(header.as_value()[:WORD_BITS], 0)
                m.d.sync += [header.eq(header.as_value() >> WORD_BITS), header_left.eq(header_left - 1)]
                with m.If(header_left == 1):
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"), m.If(~left[0]):
                m.d.comb += taken.eq(1)
                m.d.sync += load(word, 0)
                m.d.sync += words_left.eq(words_left - 1)
                with m.If(words_left == 1):
                    m.next = "CRC"
            with m.State("CRC"), m.If(~left[0]):
                m.d.sync += load(checksum.crc, 2**WORD_BYTES - 1)
                m.d.sync += [first.sending.eq(0), second.sending.eq(0)]
                m.next = "IDLE"
        return m
