"""From symbols of the coding RICE to words: what `firmware_bridge/rice.py` says, a few gates a clock."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import (
    KIND_BITS,
    MAX_FRAME_WORDS,
    OFFSET_BITS,
    RICE_K_BITS,
    RICE_K_MAX,
    RICE_QUOTIENTS,
)

from .layouts import WORD_BITS

__all__ = ["Copier", "Packer", "Piece"]

LENGTH_BITS = WORD_BITS.bit_length()
POSITION_BITS = LENGTH_BITS - 1
GROUP_BITS = 3  # shifts go by these bits of their distance first, or last
QUOTIENT_BITS = (RICE_QUOTIENTS - 1).bit_length()

Piece = data.StructLayout(
    {
        "word": 1,  # `bits` is a word as it is, at a word's begin
        "symbol": 1,  # `bits` is the ticks since the click before, and the channel
        "last": 1,  # nothing, but the frame ends here
        "bits": data.StructLayout({"ticks": OFFSET_BITS, "channel": KIND_BITS}),
        "k": RICE_K_BITS,
        "raw": 1,  # the quotient is RICE_QUOTIENTS or more
    }
)
"""One of three things to append to a frame, or none."""

Part = data.StructLayout({"valid": 1, "last": 1, "bits": WORD_BITS, "length": LENGTH_BITS})


Appending = wiring.Signature(
    {
        "piece": In(Piece),
        "word": Out(WORD_BITS),
        "write": Out(1),
        "closed": Out(1),
        "words": Out(range(MAX_FRAME_WORDS + 1)),
        "idle": Out(1),
    }
)


class Packer(wiring.Component):
    """Append pieces to a frame: at most one in two clocks, and after one that is the last none before its `closed`.

    Members
    -------
    piece : In(Piece)
    word : Out(32), write : Out(1), the next word of the frame, eight clocks after its piece
    closed : Out(1), the frame's last word has been written; high for one clock
    words : Out, of it; with `closed`
    idle : Out(1), nothing is under way; bits that make no word yet may be held
    """

    def __init__(self, channels):
        self._channel_bits = (channels - 1).bit_length()
        super().__init__(Appending)

    def elaborate(self, platform):
        m = Module()
        part, symbols_idle = self._spell(m)
        parts_idle = self._align(m, part)
        m.d.comb += self.idle.eq(symbols_idle & parts_idle)
        return m

    def _spell(self, m):
        """Make parts of pieces, a symbol being two: the quotient, then channel and low bits."""
        piece = self.piece
        # The quotient's bits are looked for around bit k, by the upper bits of k first.
        coarse, masked = Signal(Piece), Signal(Piece)
        around, mask = Signal(RICE_QUOTIENTS.bit_length() - 1 + (1 << GROUP_BITS) - 1), Signal(OFFSET_BITS)
        quotient, low_length = Signal(QUOTIENT_BITS), Signal(LENGTH_BITS)
        low_bits = Mux(piece.raw, OFFSET_BITS, piece.k)
        far = [piece.bits.ticks >> (n << GROUP_BITS) for n in range((RICE_K_MAX >> GROUP_BITS) + 1)]
        chosen = piece.k[GROUP_BITS:]
        window = _any(Mux(chosen == n, ticks[: len(around)], 0) for n, ticks in enumerate(far))
        m.d.sync += [
            coarse.eq(piece),
            around.eq(window),
            mask.eq(Cat(piece.raw | (piece.k > n) for n in range(OFFSET_BITS))),
            low_length.eq(low_bits + self._channel_bits),
        ]
        length = Signal(LENGTH_BITS)
        m.d.sync += [
            masked.eq(coarse),
            masked.bits.ticks.eq(Mux(coarse.word, coarse.bits.ticks, coarse.bits.ticks & mask)),
            quotient.eq(around >> coarse.k[:GROUP_BITS]),
            length.eq(low_length),
        ]

        first, second = Signal(Part), Signal(Part)
        ones = Cat(masked.raw | (quotient > n) for n in range(RICE_QUOTIENTS))
        m.d.sync += [
            first.valid.eq(masked.word | masked.symbol | masked.last),
            first.last.eq(masked.last),
            first.bits.eq(Mux(masked.word, masked.bits.as_value(), Mux(masked.last, -1, ones))),
            first.length.eq(Mux(masked.word, WORD_BITS, Mux(masked.raw, RICE_QUOTIENTS, quotient + 1))),
            second.valid.eq(masked.symbol),
            second.bits.eq(Cat(masked.bits.channel[: self._channel_bits], masked.bits.ticks)),
            second.length.eq(length),
        ]
        later, part = Signal(Part), Signal(Part)
        m.d.sync += [later.eq(second), part.eq(Mux(first.valid, first.as_value(), later.as_value()))]
        kept = Cat(
            *(stage[name] for stage in (piece, coarse, masked) for name in ("word", "symbol", "last")),
            *(stage.valid for stage in (first, later, part)),
        )
        return part, ~kept.any()

    def _align(self, m, part):
        """Turn each part to where it begins in its word, and put the words together."""
        position = Signal(POSITION_BITS)
        end = Signal(LENGTH_BITS)
        m.d.comb += end.eq(position + part.length)
        placed = Signal(data.StructLayout({"valid": 1, "last": 1, "full": 1, "at": POSITION_BITS, "bits": WORD_BITS}))
        turned, settled = Signal.like(placed), Signal.like(placed)
        m.d.sync += [
            placed.valid.eq(part.valid),
            placed.last.eq(part.valid & part.last),
            placed.full.eq(part.valid & Mux(part.last, position.any(), end[-1])),
            placed.at.eq(position),
            placed.bits.eq(part.bits),
            turned.eq(placed),
            turned.bits.eq(_rotated(placed.bits, placed.at[:GROUP_BITS], 1)),
            settled.eq(turned),
            settled.bits.eq(_rotated(turned.bits, turned.at[GROUP_BITS:], 1 << GROUP_BITS)),
        ]
        with m.If(part.valid):
            m.d.sync += position.eq(Mux(part.last, 0, end))
        begun = Signal(WORD_BITS)  # where the word that the part begins in goes on
        m.d.sync += begun.eq(Cat(turned.at <= n for n in range(WORD_BITS)))

        here, beyond = Signal(WORD_BITS), Signal(WORD_BITS)
        joining = Signal(data.StructLayout({"valid": 1, "last": 1, "full": 1}))
        m.d.sync += [
            here.eq(settled.bits & begun),
            beyond.eq(settled.bits & ~begun & ~settled.last.replicate(WORD_BITS)),
            joining.valid.eq(settled.valid),
            joining.last.eq(settled.last),
            joining.full.eq(settled.full),
        ]
        held = Signal(WORD_BITS)
        m.d.sync += [
            self.word.eq(held | here),
            self.write.eq(joining.full),
            self.closed.eq(joining.last),
        ]
        with m.If(joining.last):
            m.d.sync += held.eq(0)
        with m.Elif(joining.full):
            m.d.sync += held.eq(beyond)
        with m.Elif(joining.valid):
            m.d.sync += held.eq(held | here)
        with m.If(self.closed):
            m.d.sync += self.words.eq(0)
        with m.Elif(joining.full):
            m.d.sync += self.words.eq(self.words + 1)
        kept = [stage.valid for stage in (placed, turned, settled, joining)]
        return ~Cat(*kept, self.write, self.closed).any()


class Copier(wiring.Component):
    """Append words to a frame: a `Packer` for boards that have no room for one. Takes no symbols."""

    def __init__(self):
        super().__init__(Appending)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.idle.eq(~self.write & ~self.closed)
        m.d.sync += [
            self.word.eq(self.piece.bits),
            self.write.eq(self.piece.word),
            self.closed.eq(self.piece.last),
        ]
        with m.If(self.closed):
            m.d.sync += self.words.eq(0)
        with m.Elif(self.piece.word):
            m.d.sync += self.words.eq(self.words + 1)
        return m


def _rotated(bits, distance, step):
    """Return `bits` moved up by `distance * step`; what leaves at the top comes in at the bottom."""
    for n, far in enumerate(distance):
        bits = Mux(far, bits.rotate_left(step << n), bits)
    return bits


def _any(values):
    """Return the bitwise or."""
    result = Const(0, 0)
    for value in values:
        result = result | value
    return result
