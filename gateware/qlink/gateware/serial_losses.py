"""Loss brackets of a compact board: what `LossMeter` does, for sources without subticks, in words of 16 bits."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import KIND_BITS, OFFSET_BITS, Kind

from .layouts import WORD_BITS, RecordWord, head_word
from .parameters import TICK_BITS

__all__ = ["SerialLossMeter"]

HALF_BITS = 16
TICK_HALVES = TICK_BITS // HALF_BITS
BEGIN, END, COUNT = 0, 4, 8  # where they are in a bracket's place, a half of a word each
LAST = 10  # half of the count
PLACE_BITS = 4
VISIT_CLOCKS = 48  # no visit takes longer
MARGIN = 4  # bits of a clock that change while a tick is stored


class SerialLossMeter(wiring.Component):
    """Bracket what is lost, each source for itself.

    Sources take turns of two clocks. A turn becomes a visit, of some thirty clocks, when the source has lost something
    since its last one. Until then the lowest bits of the first and of the last loss's clock stand for them. A bracket
    is closed in its source's turn; one at a time, and another one when that has been taken.

    Members
    -------
    lost : In(number of sources), an event of this source was lost
    clock : In, clock number of the events in `lost`
    may_close : In(number of sources)
    closing : Out(number of sources), the bracket of this source closes; at most one
    pending : Out(1), it has not been taken yet; from the clock after `closing` on
    records : Out(stream of RecordWord)
    idle : Out(1), nothing is open or waiting
    """

    def __init__(self, parameters, sources):
        self._sources = tuple(sources)
        self._sub_bits = parameters.sub_bits
        count = len(self._sources)
        self._bits = (VISIT_CLOCKS * count).bit_length()
        if self._bits + self._sub_bits > HALF_BITS:
            raise ValueError(f"there may not be {count} sources")
        super().__init__(
            {
                "lost": In(count),
                "clock": In(parameters.clock_bits),
                "may_close": In(count),
                "closing": Out(count),
                "pending": Out(1),
                "records": Out(stream.Signature(RecordWord)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = len(self._sources)
        place = data.StructLayout({"half": PLACE_BITS, "area": 1, "source": range(count)})
        m.submodules.memory = memory = Memory(shape=HALF_BITS, depth=1 << place.size, init=[])
        read, write = memory.read_port(), memory.write_port()
        turn, second = Signal(range(count)), Signal()  # whose turn it is, and its second clock
        visit = Signal(data.StructLayout({"going": 1, "fresh": 1, "half": PLACE_BITS}))
        stored, taken = Signal(), Signal()
        note, quiet = self._note(m, turn, stored, taken)
        storing = self._visit(m, visit, note, second)
        kept, sent = Signal(place), Signal(place)
        m.d.comb += [
            kept.eq(Cat(visit.half, note.area, turn)),
            read.addr.eq(Mux(second, sent, kept)),
            write.addr.eq(kept),
            write.en.eq(storing),
            stored.eq(storing & (visit.half == END)),
            taken.eq(storing & (visit.half == COUNT)),
            self.idle.eq(quiet & ~self.pending & ~second & (turn == 0)),
        ]
        rests = second & ~visit.going & ~note.some
        closes = rests & note.open & ~self.pending
        m.d.comb += self.closing.eq(Mux(closes, Cat(turn == n for n in range(count)) & self.may_close, 0))
        with m.If(~self.idle):
            m.d.sync += second.eq(~second)
        with m.If(rests | storing & (visit.half == LAST)):
            m.d.sync += turn.eq(Mux(turn == count - 1, 0, turn + 1))
        self._compute(m, visit, note, storing, read.data, write.data)
        self._send(m, kept, sent, second, read.data)
        return m

    def _note(self, m, turn, stored, taken):
        """Follow what each source loses. Returns the note of whose turn it is, and whether there is nothing in any."""
        bits, now = self._bits, self.clock[: self._bits]
        shape = data.StructLayout({"some": 1, "open": 1, "area": 1, "first": bits, "last": bits, "count": bits})
        notes = [Signal(shape, name=f"note{n}") for n in range(len(self._sources))]
        for n, note in enumerate(notes):
            lost, mine, closes = self.lost[n], turn == n, self.closing[n]
            m.d.sync += [
                note.some.eq(lost | note.some & ~(mine & stored)),
                note.open.eq(note.open & ~closes | mine & stored),
                note.area.eq(note.area ^ closes),
                note.count.eq(Mux(mine & taken, 0, note.count) + lost),
            ]
            with m.If(lost):
                m.d.sync += note.last.eq(now)
            with m.If(lost & ~note.some & ~(note.open & ~closes)):
                m.d.sync += note.first.eq(now)
        seen = Signal(shape)
        m.d.comb += seen.eq(Array(note.as_value() for note in notes)[turn])
        return seen, ~Cat(self.lost, *(Cat(note.some, note.open) for note in notes)).any()

    def _visit(self, m, visit, note, second):
        """Walk through the halves of a bracket that are to be stored. Returns whether one is, in this clock.

        No tick is begun whose upper halves would change meanwhile.
        """
        storing = Signal()
        low = self.clock[MARGIN : HALF_BITS - self._sub_bits]
        m.d.comb += storing.eq(second & visit.going & ~(low.all() & (visit.half[:2] == 0) & ~visit.half[3]))
        with m.If(second & ~visit.going):
            m.d.sync += [
                visit.going.eq(note.some),
                visit.fresh.eq(~note.open),
                visit.half.eq(Mux(note.open, END, BEGIN)),
            ]
        with m.If(storing):
            m.d.sync += [visit.half.eq(visit.half + 1), visit.going.eq(visit.half != LAST)]
        return storing

    def _compute(self, m, visit, note, storing, old, new):
        """Make a half of a tick, out of the clock's now and its own lowest bits; or add to a half of the count."""
        sub_bits, own = self._sub_bits, self._sub_bits + self._bits
        tick = Cat(Const(0, sub_bits), self.clock)
        stamp = Mux(visit.half[2], note.last, note.first)
        lowest, carry = visit.half[:2] == 0, Signal()  # of a tick: a borrow
        total = Signal(HALF_BITS + 1)
        less = Mux(lowest, stamp > self.clock[: self._bits], carry)
        with m.If(visit.half[3]):
            m.d.comb += total.eq(Mux(visit.fresh, 0, old) + Mux(lowest, note.count, carry))
        with m.Else():
            whole = Mux(
                lowest, Cat(tick[:sub_bits], stamp, tick[own:HALF_BITS]), tick.word_select(visit.half[:2], HALF_BITS)
            )
            m.d.comb += total.eq(whole + Cat((less & ~lowest).replicate(own), less.replicate(HALF_BITS - own)))
        m.d.comb += new.eq(total)
        with m.If(storing):
            m.d.sync += carry.eq(Mux(visit.half[3], total[-1], less & ~total[-1]))

    def _send(self, m, kept, sent, second, half):
        """Write the record of a closed bracket: its end, then half by half what follows in the record."""
        held = Signal(TICK_BITS)
        reads = Signal(PLACE_BITS)  # halves that have been read
        wanted, shown = Signal(), Signal()
        numbers = Array(Const(source, HALF_BITS) for source in self._sources)
        coming = Mux(reads == LAST + 1, numbers[sent.source], half)
        record = self.records.payload
        m.d.comb += [
            sent.half.eq(Mux(reads[3], reads, reads ^ END)),
            record.word.eq(Mux(reads == TICK_HALVES, head_word(Const(Kind.LOSS, KIND_BITS), held), held[WORD_BITS:])),
            record.page.eq(held[OFFSET_BITS:]),
            record.last.eq(reads == LAST + 2),
            self.records.valid.eq(shown),
        ]
        with m.If(self.closing.any()):
            m.d.sync += [
                self.pending.eq(1),
                wanted.eq(1),
                reads.eq(0),
                sent.area.eq(kept.area),
                sent.source.eq(kept.source),
            ]
        with m.Elif(wanted & second):  # what is asked for in the second clock comes in the first one
            m.d.sync += wanted.eq(0)
        came = self.pending & ~wanted & ~shown & ~second
        with m.If(came):
            m.d.sync += [
                held.eq(Cat(held[HALF_BITS:], coming)),
                reads.eq(reads + 1),
                wanted.eq(1),
            ]
            with m.If((reads == TICK_HALVES - 1) | (reads[0] & (reads > TICK_HALVES))):
                m.d.sync += [shown.eq(1), wanted.eq(0)]
        with m.If(shown & self.records.ready):
            m.d.sync += [shown.eq(0), wanted.eq(1)]
            with m.If(record.last):
                m.d.sync += self.pending.eq(0)
