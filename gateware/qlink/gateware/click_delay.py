"""Clicks of one channel some clocks late, and those of another in step with them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .clock_delay import LAG, ClockDelay
from .interface import ClickSlot
from .pipeline import delayed

__all__ = ["ClickDelay"]


class ClickDelay(wiring.Component):
    """Delay a channel's clicks by whole clocks; LAG clocks of latency for it and the other.

    Members
    -------
    enable : In(1), 0: there are no clicks, and the delay forgets those it holds
    clocks : In, 0 to `depth - 2`; may change only while not `enable`
    late, prompt : In(ClickSlot), the one that is delayed and the other
    late_out, prompt_out : Out(ClickSlot)
    busy : Out(1), clicks may come
    """

    def __init__(self, parameters, depth):
        self._parameters = parameters
        self._depth = depth
        slot = ClickSlot(parameters)
        super().__init__(
            {
                "enable": In(1),
                "clocks": In(range(depth)),
                "late": In(slot),
                "prompt": In(slot),
                "late_out": Out(slot),
                "prompt_out": Out(slot),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.line = line = ClockDelay(ClickSlot(self._parameters), self._depth)
        filled = Signal()
        m.d.comb += [
            line.clocks.eq(self.clocks),
            line.i.valid.eq(self.late.valid & self.enable),
            line.i.sub.eq(self.late.sub),
            self.late_out.valid.eq(line.o.valid & filled & self.enable),
            self.late_out.sub.eq(line.o.sub),
        ]
        prompt = delayed(m, self.prompt, LAG)
        m.d.comb += [self.prompt_out.valid.eq(prompt.valid & self.enable), self.prompt_out.sub.eq(prompt.sub)]

        # What comes first was written before `enable`.
        fill, left = Signal(range(self._depth + LAG)), Signal(range(self._depth + LAG))
        with m.If(~self.enable):
            m.d.sync += [fill.eq(self.clocks + LAG - 1), filled.eq(0)]
        with m.Elif(fill != 0):
            m.d.sync += [fill.eq(fill - 1), filled.eq(fill == 1)]
        with m.If(~self.enable | self.late.valid | self.prompt.valid):
            m.d.sync += left.eq(self.clocks + LAG)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += self.busy.eq(self.enable & (~filled | (left != 0)))
        return m
