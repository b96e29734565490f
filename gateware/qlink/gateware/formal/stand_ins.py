"""Stand-ins for parts whose contents may be anything."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import SEGMENTS
from qlink.firmware_bridge.wire import OUTCOMES
from qlink.gateware.interface import ProgramBus
from qlink.gateware.program import Segment

__all__ = ["LONGEST", "OF_BRANCHES", "OF_PROGRAM", "AnyBranch", "AnyProgram"]

LONGEST = 3  # clocks of a segment
OF_BRANCHES, OF_PROGRAM = 2, 3  # triggers that the others have never on


class AnyProgram(wiring.Component):
    """Give any program: segments of one to `LONGEST` clocks. Some things are promised that a program may promise.

    Triggers 0 and 1 are never on together, trigger 0 is not on in two segments that follow each other, nor in the first
    one, and `OF_BRANCHES` is never on.
    """

    bus: In(ProgramBus)
    segments: In(range(SEGMENTS + 1))
    rewind: In(1)
    advance: In(1)
    segment: Out(Segment)

    def elaborate(self, platform):
        m = Module()
        given, begins = _given(m, self), Signal(init=1)
        with m.If(self.rewind | self.advance):
            m.d.sync += begins.eq(given.last)
        first = begins | self.rewind
        m.d.comb += Assume(_promised(self, given, first) & ~given.on[OF_BRANCHES] & (given.first == first))
        return m


class AnyBranch(wiring.Component):
    """Give any branch, as `AnyProgram` a program; `OF_PROGRAM` is never on.

    What comes after the last segment is free.
    """

    bus: In(ProgramBus)
    outcome: In(range(OUTCOMES))
    rewind: In(1)
    advance: In(1)
    segment: Out(Segment)

    def elaborate(self, platform):
        m = Module()
        given = _given(m, self)
        over = self.segment.last & ~self.rewind
        m.d.comb += Assume(over | _promised(self, given, self.rewind) & ~given.on[OF_PROGRAM])
        return m


def _given(m, player):
    """Return the segment that comes next, any one."""
    given = Signal(Segment)
    m.d.comb += given.as_value().eq(AnySeq(Segment.size))
    with m.If(player.rewind | player.advance):
        m.d.sync += player.segment.eq(given)
    return given


def _promised(player, given, first):
    on, left = given.on, given.left
    apart = ~(on[0] & on[1]) & ~(on[0] & (player.segment.on[0] | first))
    return apart & (left >= -1) & (left <= LONGEST - 2)
