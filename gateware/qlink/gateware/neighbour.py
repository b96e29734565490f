"""How long ago the other channel clicked."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot

__all__ = ["NEIGHBOUR_CLOCKS", "Neighbour"]

NEIGHBOUR_CLOCKS = 2


class Neighbour(wiring.Component):
    """Tell for each click how many ticks before it the other channel clicked last.

    Members
    -------
    click, other : In(ClickSlot)
    enable : In(1), 0: there are no clicks, and none so far
    skip : In(32), at the coming edge `1 + skip` clocks pass
    valid : Out(1), there was a click, NEIGHBOUR_CLOCKS ago
    distance : Out(bits), ticks from the last other click to it; if `later`, to the tick before it
    far : Out(1), there was none, or it was longer ago than `distance` can tell
    """

    def __init__(self, parameters, bits, later):
        """`later`: another click in the same tick does not count as before."""
        self._parameters = parameters
        self._bits = bits
        self._later = later
        super().__init__(
            {
                "click": In(ClickSlot(parameters)),
                "other": In(ClickSlot(parameters)),
                "enable": In(1),
                "skip": In(32),
                "valid": Out(1),
                "distance": Out(bits),
                "far": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sub_bits = self._parameters.sub_bits
        longest = 1 << (self._bits - sub_bits)
        age = Signal(range(longest + 1), init=longest)  # clocks since the other's last click: `longest`, or more
        last = Signal(sub_bits)
        passed = age + self.skip + 1
        with m.If(~self.enable):
            m.d.sync += age.eq(longest)
        with m.Elif(self.other.valid):
            m.d.sync += [age.eq(1 + self.skip), last.eq(self.other.sub)]
        with m.Elif(~age[-1]):
            m.d.sync += age.eq(Mux(passed[len(age) - 1 :].any(), longest, passed))

        # `first` is in the form age, subtick: the difference of the two is the distance.
        before = self.other.sub < self.click.sub if self._later else self.other.sub <= self.click.sub
        here = self.other.valid & before
        valid, far = Signal(), Signal()
        clocks, first, sub = Signal(range(longest)), Signal(sub_bits), Signal(sub_bits)
        m.d.sync += [
            valid.eq(self.click.valid & self.enable),
            far.eq(age[-1] & ~here),
            clocks.eq(Mux(here, 0, age)),
            first.eq(Mux(here, self.other.sub, last)),
            sub.eq(self.click.sub),
            self.valid.eq(valid),
            self.far.eq(far),
            self.distance.eq(Cat(Const(0, sub_bits), clocks) + sub - first - int(self._later)),
        ]
        return m
