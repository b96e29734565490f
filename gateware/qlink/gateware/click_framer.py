"""Frames of clicks, coded or plain: what goes into which."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import (
    MAX_FRAME_WORDS,
    OFFSET_BITS,
    PAGE_BITS,
    RICE_K_BITS,
    Coding,
    Kind,
)

from .frame_store import FrameSource, FrameStore, FrameTag
from .layouts import RecordWord, record_words
from .packer import Copier, Packer
from .rate import Rate
from .timer import Timer

__all__ = ["ClickFramer"]

PART_BITS = 8  # pages are compared in parts of so many bits
GROUP_BITS = 4  # and a number's length is found among groups of so many
LOSS_WORDS = record_words(Kind.LOSS)

Timed = data.StructLayout({"valid": 1, "record": RecordWord, "ticks": OFFSET_BITS})


class ClickFramer(wiring.Component):
    """Gather clicks, and the brackets of those lost, into frames, in the order in which they come.

    Clicks are in frames of the coding RICE with `coded`, of PLAIN without. Brackets are in PLAIN frames. A frame is
    closed before a record that is of another page, or does not go into it; when it may have no room for one more; when
    it has become `flush_clocks` old, and on `flush`. It is begun when there is room for the whole of it.

    Takes a record's word in two clocks.

    Members
    -------
    records : In(stream of RecordWord), clicks and losses
    coded : In(1), means nothing to a board without `tag_coding`
    flush_clocks : In(32)
    flush : In(1), high for one clock
    skip : In(32), clocks that pass at the coming edge besides the one
    source : Out(FrameSource)
    idle : Out(1), nothing happens before a record comes or the open frame is `deadline` clocks older
    deadline : Out(32)
    """

    def __init__(self, parameters):
        self._parameters = parameters
        self._channel_bits = (parameters.channels - 1).bit_length()
        if parameters.frame_depth < 2 * MAX_FRAME_WORDS:
            raise ValueError(
                f"frame_depth must hold two frames of {MAX_FRAME_WORDS} words, not {parameters.frame_depth}"
            )
        super().__init__(
            {
                "records": In(stream.Signature(RecordWord)),
                "coded": In(1),
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
        m.submodules.store = store = FrameStore(self._parameters.frame_depth, MAX_FRAME_WORDS + 2)
        coding = self._parameters.tag_coding
        m.submodules.packer = packer = Packer(self._parameters.channels) if coding else Copier()
        m.submodules.rate = rate = Rate(self._channel_bits)
        m.submodules.timer = timer = Timer()
        connect(m, store.source, flipped(self.source))
        step, acting = Signal(), Signal()
        record, differs, bits, waiting = self._take_in(m, step, acting)

        due, shut = self._decide(m, record, differs, store, packer, rate, timer, step, acting)
        m.d.comb += [
            timer.clocks.eq(self.flush_clocks),
            timer.skip.eq(self.skip),
            rate.width.eq(bits),
            store.word.eq(packer.word),
            store.write.eq(packer.write),
            store.closed.valid.eq(packer.closed),
        ]
        busy = waiting | self.records.valid | due
        m.d.sync += acting.eq(~acting & busy)
        m.d.comb += self.idle.eq(~acting & ~busy & ~shut & packer.idle & ~store.waiting & ~self.flush)
        return m

    def _take_in(self, m, step, acting):
        """Learn of each word what it takes to decide: its page, its distance to the word before, and how long that is.

        Three words are under way, and all go on at `step`. Between two steps there is a clock in which `acting` is low.
        """
        came, timed, known = Signal(Timed), Signal(Timed), Signal(Timed)
        before = Signal(data.StructLayout({"offset": OFFSET_BITS, "page": PAGE_BITS}))
        parts = range(0, PAGE_BITS, PART_BITS)
        unequal, differs = Signal(len(parts)), Signal()
        offset = came.record.word[:OFFSET_BITS]

        m.d.comb += self.records.ready.eq(step)
        with m.If(step):
            m.d.sync += [
                came.valid.eq(self.records.valid),
                came.record.eq(self.records.payload),
                timed.eq(came),
                timed.ticks.eq(offset - before.offset),
                unequal.eq(Cat((came.record.page ^ before.page)[n : n + PART_BITS].any() for n in parts)),
                known.eq(timed),
                differs.eq(unequal.any()),
            ]
        with m.If(step & came.valid):
            m.d.sync += [before.offset.eq(offset), before.page.eq(came.record.page)]
        bits = self._measure(m, timed.ticks, step)
        return known, differs, bits, came.valid | timed.valid | known.valid

    def _measure(self, m, ticks, step):
        """Return the length of `ticks`, of those that go on at this step: by groups in the clock before."""
        starts = range(0, OFFSET_BITS, GROUP_BITS)
        lengths = [Signal(range(GROUP_BITS + 1), name=f"length{n}") for n in starts]
        for n, length in zip(starts, lengths, strict=True):
            m.d.sync += length.eq(_length(ticks[n : n + GROUP_BITS]))
        total = Signal(range(OFFSET_BITS + 1))
        highest = Const(0, len(total))
        for n, length in zip(starts, lengths, strict=True):
            highest = Mux(length.any(), (length + n)[: len(total)], highest)
        with m.If(step):
            m.d.sync += total.eq(highest)
        return total

    def _decide(self, m, known, differs, store, packer, rate, timer, step, acting):
        """Look at the word in one clock, and act on it in the next. Returns what is to be done without one."""
        word, tag, closed = known.record.word, Signal(FrameTag), store.closed.payload
        is_open, shut = Signal(), Signal()  # a frame takes words; its last one is still on the way
        flushing, due = Signal(), Signal()
        inside = Signal()  # the word is not the first of its record
        room = Signal(range(MAX_FRAME_WORDS + 1))  # words that a plain frame still takes
        click, coded = Signal(), Signal()  # the word begins a record of a click; it is to be coded
        goes_plain, goes_coded, begins, ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            click.eq(~word[-1]),
            coded.eq(self.coded & click & self._parameters.tag_coding),
            due.eq(is_open & (flushing | timer.fired)),
            closed.eq(tag),
            closed.words.eq(packer.words),
        ]
        full = Mux(click, room == 0, room < LOSS_WORDS)
        fits = is_open & ~differs & ~due & (tag.coding == coded)
        m.d.sync += [
            goes_plain.eq(known.valid & (inside | (fits & ~coded & ~full))),
            goes_coded.eq(known.valid & ~inside & fits & coded),
            begins.eq(known.valid & ~inside & ~is_open & ~shut & store.room & store.closed.ready),
            ends.eq(is_open & ~inside & (due | (known.valid & (~fits | (~coded & full))))),
        ]
        begin, end = acting & begins, acting & (ends | (goes_coded & rate.full))
        plain, symbol = acting & goes_plain, acting & goes_coded & ~rate.full
        m.d.comb += [
            step.eq(acting & (~known.valid | goes_plain | begins | (goes_coded & ~rate.full))),
            timer.start.eq(begin),
            rate.begin.eq(begin & coded),
            rate.follow.eq(symbol),
            self.deadline.eq(timer.spare | (~is_open).replicate(32)),
        ]
        piece = packer.piece
        m.d.sync += [
            piece.word.eq(begin | plain),
            piece.symbol.eq(symbol),
            piece.last.eq(end),
            piece.bits.ticks.eq(Mux(goes_coded, known.ticks, word[:OFFSET_BITS])),
            piece.bits.channel.eq(word[OFFSET_BITS:]),
            piece.k.eq(rate.k),
            piece.raw.eq(rate.raw),
        ]
        with m.If(step & known.valid):
            m.d.sync += inside.eq(~known.record.last)
        with m.If(begin):
            m.d.sync += [
                is_open.eq(1),
                tag.page.eq(known.record.page),
                tag.coding.eq(Mux(coded, Coding.RICE, Coding.PLAIN)),
                tag.parameter.eq(Mux(coded, Cat(rate.k, Const(self._channel_bits, 8 - RICE_K_BITS)), 0)),
                room.eq(MAX_FRAME_WORDS - 1),
            ]
        with m.Elif(plain):
            m.d.sync += room.eq(room - 1)
        with m.If(end):
            m.d.sync += [is_open.eq(0), shut.eq(1), flushing.eq(0)]
        with m.Elif(packer.closed):
            m.d.sync += shut.eq(0)
        nothing = ~is_open & ~known.valid & ~self.records.valid
        with m.If(nothing):
            m.d.sync += flushing.eq(0)
        with m.If(self.flush):
            m.d.sync += flushing.eq(1)
        return due, shut


def _length(bits):
    """Return the number of bits up to the highest that is set."""
    result = Const(0, range(len(bits) + 1))
    for n, bit in enumerate(bits):
        result = Mux(bit, Const(n + 1, len(result)), result)
    return result
