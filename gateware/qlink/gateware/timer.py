"""Countdowns that may skip clocks."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Timer", "soonest"]


class Timer(wiring.Component):
    """Fire `clocks` clocks after `start`.

    `fired` is a register: high from that clock on, until the next start. `clocks` 0 fires like 1.

    Members
    -------
    start : In(1)
    clocks : In(32), read at `start`
    skip : In(32), clocks that pass at the coming edge besides the one
    fired : Out(1)
    spare : Out(32), clocks that may be skipped before it fires; means nothing once it has fired
    """

    start: In(1)
    clocks: In(32)
    skip: In(32)
    fired: Out(1)
    spare: Out(32)

    def elaborate(self, platform):
        m = Module()
        left = Signal(signed(33), init=-1)
        after = Signal(signed(33))  # what `left` starts from: the sign tells the end, without a comparison
        m.d.sync += after.eq(self.clocks - 2)
        m.d.comb += [self.fired.eq(left < 0), self.spare.eq(left)]
        with m.If(self.start):
            m.d.sync += left.eq(after)
        with m.Elif(~self.fired):
            m.d.sync += left.eq(left - 1 - self.skip)
        return m


def soonest(m, deadlines):
    """Return the least of them. Each step has a signal, as an expression would double with every one."""
    least, *others = deadlines
    for n, deadline in enumerate(others):
        before, least = least, Signal(32, name=f"soonest{n}")
        m.d.comb += least.eq(Mux(before < deadline, before, deadline))
    return least
