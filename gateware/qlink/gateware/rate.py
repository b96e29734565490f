"""What encoder and decoder know of a stream of clicks: k of the coding RICE, and how much room a frame has."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import (
    MAX_FRAME_WORDS,
    OFFSET_BITS,
    RICE_GAINS,
    RICE_K_BITS,
    RICE_K_MAX,
    RICE_K_RESET,
    RICE_QUOTIENTS,
    RICE_STEP_BITS,
)

from .layouts import WORD_BITS

__all__ = ["Rate"]

WIDTHS = len(RICE_GAINS)  # widths of a quotient that count
RAW = WIDTHS - 1


class Rate(wiring.Component):
    """Follow the stream, as `firmware_bridge/rice.py` says. A symbol takes two clocks, and is followed in the second.

    Members
    -------
    width : In, of the coming symbol's ticks; steady for both clocks
    begin : In(1), a frame begins; not in two clocks running
    follow : In(1), the symbol is taken; likewise
    k : Out(5), of the coming symbol or frame
    raw : Out(1), its quotient is RICE_QUOTIENTS or more; in the second clock
    full : Out(1), the frame may have no room for it; in the second clock
    """

    def __init__(self, channel_bits):
        self._channel_bits = channel_bits
        super().__init__(
            {
                "width": In(range(OFFSET_BITS + 1)),
                "deciding": In(1),
                "begin": In(1),
                "follow": In(1),
                "k": Out(RICE_K_BITS),
                "raw": Out(1),
                "full": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        half = 1 << (RICE_STEP_BITS - 1)
        steps = Signal(RICE_K_BITS + RICE_STEP_BITS, init=(RICE_K_RESET << RICE_STEP_BITS) + half)
        excess = Signal(signed(7))  # of the ticks' width over k: so wide is the quotient, if it is not negative
        at_top, at_bottom = Signal(), Signal()
        sums = {gain: Signal.like(steps, name=f"sum{n}") for n, gain in enumerate(sorted(set(RICE_GAINS)))}
        m.d.comb += self.k.eq(steps[RICE_STEP_BITS:])
        m.d.sync += [
            excess.eq(self.width - self.k),
            at_top.eq(self.k == RICE_K_MAX),
            at_bottom.eq(steps == 0),
            *(total.eq(steps + gain) for gain, total in sums.items()),
        ]
        wide = Signal(WIDTHS)  # one of them: the quotient's width
        m.d.comb += [
            wide[0].eq(excess <= 0),
            *(wide[n].eq(excess == n) for n in range(1, RAW)),
            wide[RAW].eq(excess >= RAW),
            self.raw.eq(wide[RAW]),
        ]
        follows = self.follow & Mux(wide[0], ~at_bottom, ~at_top)
        with m.If(self.begin):
            m.d.sync += steps.eq(Cat(Const(half, RICE_STEP_BITS), self.k))
        with m.Elif(follows):
            m.d.sync += steps.eq(_any(Mux(wide[n], sums[gain], 0) for n, gain in enumerate(RICE_GAINS)))
        self._reckon(m, wide)
        return m

    def _reckon(self, m, wide):
        """Charge a symbol in two parts: what depends on k at once, the quotient a clock later."""
        longest = RICE_QUOTIENTS + self._channel_bits + OFFSET_BITS
        whole = WORD_BITS * (MAX_FRAME_WORDS - 1) - longest
        room = Signal(signed(whole.bit_length() + 1))
        quotient, low = Signal(range(RICE_QUOTIENTS + OFFSET_BITS + 1)), Signal(range(32 + self._channel_bits))
        ones = [1 << n for n in range(RAW)] + [RICE_QUOTIENTS + OFFSET_BITS]
        m.d.comb += self.full.eq(room < 0)
        m.d.sync += low.eq(self.k + self._channel_bits)
        with m.If(self.begin):
            m.d.sync += room.eq(whole)
        with m.Elif(self.follow):
            m.d.sync += [
                room.eq(room - low),
                quotient.eq(_any(Mux(wide[n], Const(bits, len(quotient)), 0) for n, bits in enumerate(ones))),
            ]
        with m.Else():
            m.d.sync += [room.eq(room - quotient), quotient.eq(0)]


def _any(values):
    """Return the bitwise or."""
    result = Const(0, 0)
    for value in values:
        result = result | value
    return result
