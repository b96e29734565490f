"""Clicks out of pin levels."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot


class Sampler(wiring.Component):
    """Find the first rising edge of each clock on one pin; one clock of latency.

    Members
    -------
    samples : In(samples), the pin at each subtick, 0 the oldest
    run : In(1), 0: there are no clicks
    pulses : In(1), each high sample is an edge of its own
    click : Out(ClickSlot), the first rising edge
    merged : Out(1), there was a second one in the same clock
    coming, merges : Out, the same without latency
    edge : Out(1), there is a rising edge in `samples` right now
    """

    def __init__(self, parameters):
        super().__init__(
            {
                "samples": In(parameters.samples),
                "run": In(1),
                "pulses": In(1),
                "click": Out(ClickSlot(parameters)),
                "merged": Out(1),
                "coming": Out(ClickSlot(parameters)),
                "merges": Out(1),
                "edge": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        last = Signal(init=1)  # a pin that is high at reset has not risen
        edges = Signal.like(self.samples)
        m.d.comb += [
            edges.eq(self.samples & ~(Cat(last, self.samples) & ~self.pulses.replicate(len(edges)))),
            self.edge.eq(self.run & edges.any()),
            self.coming.valid.eq(self.edge),
            self.coming.sub.eq(first_set(m, edges)),
            self.merges.eq(self.run & (edges & (edges - 1)).any()),
        ]
        m.d.sync += [
            last.eq(self.samples[-1]),
            self.click.eq(self.coming),
            self.merged.eq(self.merges),
        ]

        return m


def first_set(m, bits):
    """The index of the lowest bit that is set in `bits`; 0 when none is."""
    index = Signal(range(len(bits)))
    for place in reversed(range(len(bits))):
        with m.If(bits[place]):
            m.d.comb += index.eq(place)
    return index


def last_set(m, bits):
    """The index of the highest bit that is set in `bits`; 0 when none is."""
    index = Signal(range(len(bits)))
    for place in range(len(bits)):
        with m.If(bits[place]):
            m.d.comb += index.eq(place)
    return index
