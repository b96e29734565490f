"""The clock number that all times of a board are made of."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Timebase(wiring.Component):
    """Count clocks, starting `latency` clocks late: what was at the pins right after reset happened in clock 0.

    Members
    -------
    skip : In(32), clocks that pass at the coming edge besides the one
    clock : Out, the clock number of what is `latency` clocks behind the pins
    """

    def __init__(self, parameters, latency, start=0):
        """`start` is the number of the first clock."""
        self.latency = latency
        super().__init__({"skip": In(32), "clock": Out(parameters.clock_bits, init=start)})

    def elaborate(self, platform):
        m = Module()

        filling = Signal(range(self.latency + 1), init=self.latency)
        with m.If(filling != 0):
            m.d.sync += filling.eq(filling - 1)
        with m.Else():
            m.d.sync += self.clock.eq(self.clock + self.skip + 1)

        return m
