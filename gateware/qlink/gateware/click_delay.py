"""Clicks of one channel some clocks late, and those of another in step with them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot
from .pipeline import delayed

__all__ = ["ClickDelay"]

LAG = 3  # clocks of both channels, besides the delay


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
        shape = ClickSlot(self._parameters)
        m.submodules.memory = memory = Memory(shape=shape, depth=self._depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        address = Signal(range(self._depth))
        kept = Signal(shape)  # the memory's own output is late in the clock
        filled = Signal()
        m.d.sync += [address.eq(address + 1), read.addr.eq(address - self.clocks), kept.eq(read.data)]
        m.d.comb += [
            write.en.eq(1),
            write.addr.eq(address),
            write.data.valid.eq(self.late.valid & self.enable),
            write.data.sub.eq(self.late.sub),
            self.late_out.valid.eq(kept.valid & filled & self.enable),
            self.late_out.sub.eq(kept.sub),
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
