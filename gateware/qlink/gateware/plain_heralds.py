"""Herald records of a board on which nothing can veto: what they need stands when they are decided."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import KIND_BITS, MAX_CHANNELS, OFFSET_BITS, HeraldFlag, Kind

from .interface import Slot
from .layouts import WORD_BITS, RecordWord, head_word, record_words
from .order import REFERENCE_BITS

__all__ = ["PlainHeralds"]

AGE_BITS = 16
AGE_PAIRS = MAX_CHANNELS // 2  # a word each, at the end of a record


class PlainDecisions(data.StructLayout):
    """The heralds decided in one clock, with the clicks that could have made them."""

    def __init__(self, parameters):
        channels, patterns = parameters.channels, parameters.patterns
        super().__init__(
            {
                "decided": patterns,
                "subs": data.ArrayLayout(parameters.sub_bits, patterns),
                "channels": data.ArrayLayout(channels, patterns),
                "outcomes": data.ArrayLayout(2, patterns),
                "clock": parameters.clock_bits,
                "sequence": 32,  # of the first of them
                "attempt": 64,
                "begins": 1,  # the attempt begins in this clock
                "sub": parameters.sub_bits,  # then: of its reference
                "reference": REFERENCE_BITS,  # of its tick, otherwise
                "clicks": Slot(parameters)["clicks"].shape,  # of this clock
                "newest": data.ArrayLayout(parameters.window_bits, channels),  # ticks of the clicks before, modulo
                "gated": 1,
                "doubled": 1,  # another reference has come in this attempt
                "missed": 1,  # a reference was missed since the herald before
                "lost": 1,  # heralds were lost since then
            }
        )


class PlainHeralds(wiring.Component):
    """Number heralds, queue them, and write their records, a word a clock.

    The heralds of a clock find room together, or are lost together. No pattern is decided later than `clock`, so that
    the attempt is the newest, and the newest clicks are those that made a herald.

    Members
    -------
    clock : In
    slot : In(Slot), what happened in it, with the clicks of all channels
    decided : In(patterns), in this clock
    subs, channels, outcomes : In, of what is decided: the subtick, and as the settings say
    gated : In(1)
    begins : In(1), an attempt begins in the next clock
    start, sub : In, one begins in this clock, and its reference's subtick
    missed : In(1), a reference is missed in this clock
    lost : Out(patterns), of those decided
    records : Out(stream of RecordWord); the page counts with the first word of a record
    idle : Out(1), none is waiting
    """

    def __init__(self, parameters):
        self.parameters = parameters
        patterns = parameters.patterns
        shape = PlainDecisions(parameters)
        super().__init__(
            {
                "clock": In(parameters.clock_bits),
                "slot": In(Slot(parameters)),
                "decided": In(patterns),
                **{name: In(shape[name].shape) for name in ("subs", "channels", "outcomes")},
                "gated": In(1),
                "begins": In(1),
                "start": In(1),
                "sub": In(parameters.sub_bits),
                "missed": In(1),
                "lost": Out(patterns),
                "records": Out(stream.Signature(RecordWord)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape, depth = PlainDecisions(self.parameters), self.parameters.herald_depth
        m.submodules.queue = queue = SyncFIFOBuffered(width=shape.size, depth=depth + 1)
        entry, kept = Signal(shape), Signal()
        missed, lost = Signal(), Signal()  # since the last entry
        m.d.comb += [
            kept.eq(self.decided.any() & queue.w_rdy),
            self.lost.eq(Mux(queue.w_rdy, 0, self.decided)),
            entry.missed.eq(missed | self.missed),
            entry.lost.eq(lost),
            queue.w_data.eq(entry),
            queue.w_en.eq(kept),
            self.idle.eq((queue.level == 0) & ~queue.r_rdy & ~self.records.valid),
        ]
        m.d.sync += missed.eq(entry.missed & ~kept)
        with m.If(self.decided.any()):
            m.d.sync += lost.eq(~kept)
        self._describe(m, entry)
        self._write(m, queue, data.View(shape, queue.r_data))
        return m

    def _describe(self, m, entry):
        """Say what an entry would be about in this clock."""
        attempt, sequence, reference = Signal(64), Signal(32), Signal(REFERENCE_BITS)
        m.d.sync += [attempt.eq(attempt + self.begins), sequence.eq(sequence + sum(self.decided))]
        with m.If(self.start):
            m.d.sync += reference.eq(Cat(self.sub, self.clock))
        m.d.comb += [
            *(entry[name].eq(getattr(self, name)) for name in ("decided", "subs", "channels", "outcomes")),
            *(entry[name].eq(getattr(self, name)) for name in ("gated", "sub", "clock")),
            entry.attempt.eq(attempt),
            entry.sequence.eq(sequence),
            entry.begins.eq(self.start),
            entry.reference.eq(reference),
            entry.clicks.eq(self.slot.clicks),
            entry.doubled.eq(self.slot.flagged),
        ]
        for click, newest in zip(self.slot.clicks, entry.newest, strict=True):
            kept = Signal.like(newest)
            m.d.comb += newest.eq(kept)
            with m.If(click.valid):
                m.d.sync += kept.eq(Cat(click.sub, self.clock))

    def _write(self, m, queue, entry):
        """Walk through the heralds of an entry, and the words of each."""
        at = Signal(record_words(Kind.HERALD), init=1)  # one bit, of the word that is made
        first, rest = (Signal(self.parameters.patterns) for _ in range(2))
        further = Signal(range(self.parameters.patterns))
        busy, step = Signal(), Signal()  # `first` is one of the entry, `rest` are those after it
        words, tick = self._words(entry, at, first, further)
        record = self.records.payload
        left = Mux(busy, rest, entry.decided)
        m.d.comb += [
            step.eq(busy & (~self.records.valid | self.records.ready)),
            record.page.eq(tick[OFFSET_BITS:]),  # counts with a record's first word, and is of the entry by then
            queue.r_en.eq(step & at[-1] & ~rest.any()),
        ]
        with m.If(queue.r_rdy & ~busy | step & at[-1]):
            m.d.sync += [
                first.eq(left & (~left + 1)),
                rest.eq(left & (left - 1)),
                busy.eq(left.any()),
                further.eq(Mux(busy & left.any(), further + 1, 0)),
            ]
        with m.If(self.records.ready):
            m.d.sync += self.records.valid.eq(0)
        with m.If(step):
            m.d.sync += [
                at.eq(at.rotate_left(1)),
                self.records.valid.eq(1),
                record.word.eq(_any(Mux(shown, word, 0) for shown, word in words)),
                record.last.eq(at[-1]),
            ]

    def _words(self, entry, at, first, further):
        """Return what there is to show of the pattern that is `first`, with the bit that shows it, and its tick."""
        sub, channels, outcome = (_chosen(first, entry[name]) for name in ("subs", "channels", "outcomes"))
        tick = Cat(sub, entry.clock)
        begun = further != 0
        flags = {
            HeraldFlag.GATED: entry.gated,
            HeraldFlag.REFERENCE_DOUBLED: entry.gated & entry.doubled,
            HeraldFlag.REFERENCE_MISSED: entry.gated & entry.missed & ~begun,
            HeraldFlag.HERALDS_LOST: entry.lost & ~begun,
        }
        number = _any(Mux(bit, n, 0) for n, bit in enumerate(first))
        shown = iter(at)
        words = [
            (next(shown), head_word(Const(Kind.HERALD, KIND_BITS), tick)),
            (next(shown), (entry.sequence + further)[:WORD_BITS]),
            (next(shown) & entry.gated, entry.attempt[:WORD_BITS]),
            (next(shown) & entry.gated, entry.attempt[WORD_BITS:]),
            (next(shown), Cat(_wide(channels, 16), _wide(number, 8), _wide(outcome, 8))),
            (next(shown), Cat(flags[HeraldFlag(1 << bit)] for bit in range(len(flags)))),
        ]
        place = next(shown) & entry.gated
        words += [
            (place & ~entry.begins, (tick - entry.reference)[:WORD_BITS]),
            (place & entry.begins, (sub - entry.sub)[: len(sub)]),
        ]
        pairs = at[len(at) - AGE_PAIRS :]
        for half in range(2):
            those = range(half, self.parameters.channels, 2)
            words += self._ages(entry, [(pairs[c // 2] & channels[c], c) for c in those], tick, AGE_BITS * half)
        return words, tick

    def _ages(self, entry, places, tick, low):
        """Return by how much clicks precede `tick`, of the channel that is shown, to be put at bit `low` of a word."""
        sub_bits, window_bits = self.parameters.sub_bits, self.parameters.window_bits
        sub = tick[:sub_bits]
        here = {c: entry.clicks[c].valid & (entry.clicks[c].sub <= sub) for _, c in places}
        before, now = _any(shown & ~here[c] for shown, c in places), _any(shown & here[c] for shown, c in places)
        newest = _any(Mux(shown, entry.newest[c], 0) for shown, c in places)
        click = _any(Mux(shown, entry.clicks[c].sub, 0) for shown, c in places)
        return [(before, (tick - newest)[:window_bits] << low), (now, (sub - click)[:sub_bits] << low)]


def _chosen(one_hot, values):
    return _any(Mux(bit, value, 0) for bit, value in zip(one_hot, values, strict=True))


def _any(values):
    return reduce(or_, values, Const(0, 0))


def _wide(value, bits):
    """Return `value` in so many bits."""
    return Cat(value, Const(0, bits))[:bits]
