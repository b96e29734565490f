"""Stand-ins for parts whose contents may be anything."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import SEGMENTS
from qlink.gateware.interface import ProgramBus
from qlink.gateware.program import Segment

__all__ = ["LONGEST", "AnyProgram"]

LONGEST = 3  # clocks of a segment


class AnyProgram(wiring.Component):
    """Give any program: segments of one to `LONGEST` clocks. Two things are promised that a program may promise.

    Triggers 0 and 1 are never on together, and trigger 0 is not on in two segments that follow each other.
    """

    bus: In(ProgramBus)
    segments: In(range(SEGMENTS + 1))
    rewind: In(1)
    advance: In(1)
    segment: Out(Segment)

    def elaborate(self, platform):
        m = Module()
        given, begins = Signal(Segment), Signal(init=1)
        m.d.comb += given.as_value().eq(AnySeq(Segment.size))
        with m.If(self.rewind | self.advance):
            m.d.sync += [self.segment.eq(given), begins.eq(given.last)]
        on, left = given.on, given.left
        promises = ~(on[0] & on[1]) & ~(on[0] & self.segment.on[0]) & (left >= -1) & (left <= LONGEST - 2)
        m.d.comb += Assume(promises & (given.first == (begins | self.rewind)))
        return m
