"""Events that come several at a time, one at a time."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Spread"]


class Spread(wiring.Component):
    """Tell of events one a clock. As many more as `EVENTS` holds may wait.

    Members
    -------
    events : In(9), how many there are in this clock
    one : Out(1), here is one of them
    """

    events: In(9)
    one: Out(1)

    def elaborate(self, platform):
        m = Module()
        waiting = Signal(12)
        m.d.comb += self.one.eq(waiting.any())
        m.d.sync += waiting.eq(waiting + self.events - self.one)
        return m
