"""What the triggers do in an attempt that a herald has chosen: a program of its own for each outcome."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import OUTCOMES

from .interface import BranchChoice, ProgramBus
from .program import FILLING, BranchPlayer, Segment

__all__ = ["Branches"]


class Branches(wiring.Component):
    """Have the branch of the last herald at hand, for one attempt.

    A herald takes the place of one whose attempt has not begun, unless that is of the same outcome: then nothing
    changes. One that comes in a branch's own attempt waits until all of its segments have been taken.

    Members
    -------
    bus : In(ProgramBus), only written to
    herald : In(BranchChoice)
    enable : In(1), 0: forget all heralds
    advance : In(1), `segment` is taken; only when it is `ready`
    ready : Out(1), `segment` is the next one of the branch: `FILLING + 2` clocks after `herald`, at the soonest
    inside : Out(1), one has been taken, and not the last one
    segment : Out(Segment), `first` means nothing
    busy : Out(1), it is not yet `ready` but will be by itself
    """

    bus: In(ProgramBus)
    herald: In(BranchChoice)
    enable: In(1)
    advance: In(1)
    ready: Out(1)
    inside: Out(1)
    segment: Out(Segment)
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.player = player = BranchPlayer()
        connect(m, flipped(self.bus), player.bus)
        herald, outcome = Signal.like(self.herald), Signal(range(OUTCOMES))
        asked, filling = Signal(), Signal(range(FILLING))
        begins, ends = self.advance & ~self.inside, self.advance & player.segment.last
        waits = asked | (filling != 0) | self.ready & ~self.inside & ~begins
        news, fill, filled = Signal(), Signal(), Signal()
        m.d.comb += [
            news.eq(herald.valid & ~(waits & (herald.outcome == outcome))),
            fill.eq(asked & ~self.inside),
            filled.eq((filling == 1) & ~fill),
            player.outcome.eq(outcome),
            player.rewind.eq(fill),
            player.advance.eq(self.advance),
            self.segment.eq(player.segment),
            self.busy.eq(fill | (filling != 0)),
        ]
        m.d.sync += [
            herald.eq(self.herald),
            asked.eq(self.enable & (news | asked & self.inside)),
            self.inside.eq(self.enable & (self.inside | self.advance) & ~ends),
            self.ready.eq(self.enable & (self.ready | filled) & ~ends & (~news | self.inside | self.advance)),
        ]
        with m.If(news):
            m.d.sync += outcome.eq(herald.outcome)
        with m.If(~self.enable):
            m.d.sync += filling.eq(0)
        with m.Elif(fill):
            m.d.sync += filling.eq(FILLING - 1)
        with m.Elif(filling != 0):
            m.d.sync += filling.eq(filling - 1)
        return m
