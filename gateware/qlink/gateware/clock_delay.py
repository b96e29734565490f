"""Values some clocks late, by block RAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["LAG", "ClockDelay"]

LAG = 3  # clocks besides the delay


class ClockDelay(wiring.Component):
    """Delay a value by whole clocks and LAG more.

    Members
    -------
    clocks : In, 0 to `depth - 2`; after a change, `o` shows older values for as long
    i, o : In and Out(shape)
    """

    def __init__(self, shape, depth):
        self._shape = shape
        self._depth = depth
        super().__init__({"clocks": In(range(depth)), "i": In(shape), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._shape, depth=self._depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        address = Signal(range(self._depth))
        m.d.comb += [write.en.eq(1), write.addr.eq(address), write.data.eq(self.i)]
        m.d.sync += [
            address.eq(address + 1),
            read.addr.eq(address - self.clocks),
            self.o.eq(read.data),  # the memory's own output is late in the clock
        ]
        return m
