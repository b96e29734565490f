"""A stream's register in both directions: a stall is passed on a clock later, and nothing is lost."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Spill"]


class Spill(wiring.Component):
    """Hold up to two items, so that `i.ready` and `o.valid` are registers. Takes and gives one a clock.

    Members
    -------
    i, o : In and Out(stream of `shape`)
    """

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        spilt = Signal.like(self.i.payload)
        full = Signal()
        room = ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(~full)
        with m.If(self.i.ready):
            m.d.sync += spilt.eq(self.i.payload)
        with m.If(room):
            m.d.sync += full.eq(0)
            with m.If(full):
                m.d.sync += [self.o.payload.eq(spilt), self.o.valid.eq(1)]
            with m.Else():
                m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
        with m.Elif(self.i.ready):
            m.d.sync += full.eq(self.i.valid)
        return m
