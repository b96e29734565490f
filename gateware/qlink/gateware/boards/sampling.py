"""Inputs that are sampled, and outputs that may change, once or twice a clock: on any pin of any family."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["INPUT_CLOCKS", "PlainInput", "PlainOutput"]

#: Clocks by which `PlainInput.samples` lags, by samples a clock. A second sample is taken half a clock after the first.
INPUT_CLOCKS = {1: 1, 2: 2}


class PlainInput(wiring.Component):
    """Sample `ports[i]`, a single pin each, at the rising edge of the clock, or at both of its edges.

    Members
    -------
    samples : Out(count * pins), bit count * i + s is pin i, subtick s; s=0 is the oldest. Lags `INPUT_CLOCKS[count]`
        clocks, and has passed two registers: no level between 0 and 1 is left.
    """

    def __init__(self, ports, count) -> None:
        if count not in INPUT_CLOCKS:
            raise ValueError(f"a pin is sampled once or twice a clock without gearing, not {count} times")
        self._ports = tuple(ports)
        self._count = count
        super().__init__({"samples": Out(count * len(self._ports))})

    def elaborate(self, platform):
        m = Module()
        sampled = []
        for i, port in enumerate(self._ports):
            word = Signal(self._count, name=f"word{i}")
            m.submodules[f"pin{i}"] = pin = (io.DDRBuffer if self._count == 2 else io.FFBuffer)("i", port)
            m.d.comb += word.eq(Cat(pin.i[0], pin.i[1]) if self._count == 2 else pin.i)  # i[0] is the rising edge's
            sampled.append(word)
        m.d.sync += self.samples.eq(Cat(sampled))
        return m


class PlainOutput(wiring.Component):
    """Drive `port`, a single pin, with a level that may change at the rising edge of the clock, or at both edges.

    Members
    -------
    levels : In(count), one a subtick; 0 is the first at the pin
    """

    def __init__(self, port, count) -> None:
        if count not in INPUT_CLOCKS:
            raise ValueError(f"a pin has one or two levels a clock without gearing, not {count}")
        self._port = port
        self._count = count
        super().__init__({"levels": In(count)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.pin = pin = (io.DDRBuffer if self._count == 2 else io.FFBuffer)("o", self._port)
        outputs = [pin.o[0], pin.o[1]] if self._count == 2 else [pin.o]  # o[0] is the rising edge's
        m.d.comb += [output.eq(level) for output, level in zip(outputs, self.levels, strict=True)]
        return m
