"""How long a click counts."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot


class Lifetime(wiring.Component):
    """Tell at which subticks of the next clock the newest click is at most `window` ticks old.

    Members
    -------
    window : In(bits), ticks; may change only while `clear`
    click : In(ClickSlot)
    clear : In(1), forget the clicks before this clock's
    alive : Out(samples), about the clock after the newest that `click` has shown
    active : Out(1), there is a click that may yet be alive
    """

    def __init__(self, parameters, bits):
        self.parameters = parameters
        super().__init__(
            {
                "window": In(bits),
                "click": In(ClickSlot(parameters)),
                "clear": In(1),
                "alive": Out(parameters.samples),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        sub_bits = self.parameters.sub_bits
        clocks = self.window[sub_bits:]
        carry_load = Signal(signed(len(clocks) + 1))
        load = Signal.like(carry_load)
        m.d.sync += [carry_load.eq(clocks), load.eq(clocks - 1)]

        left = Signal.like(load, init=-1)  # whole clocks alive after the next; negative: not even part of the next
        end = Signal(sub_bits)  # last subtick alive in the last clock
        total = Signal(sub_bits + 1)
        m.d.comb += total.eq(self.window[:sub_bits] + self.click.sub)
        with m.If(self.click.valid):
            m.d.sync += [left.eq(Mux(total[-1], carry_load, load)), end.eq(total)]
        with m.Elif(self.clear):
            m.d.sync += left.eq(-1)
        with m.Elif(self.active):
            m.d.sync += left.eq(left - 1)

        m.d.comb += [
            self.active.eq(left >= 0),
            self.alive.eq(Cat(self.active & (left[:-1].any() | (s <= end)) for s in range(self.parameters.samples))),
        ]

        return m


class Reach(wiring.Component):
    """Tell at which subticks of their own clock clicks are at most `window` ticks old. No latency.

    Members
    -------
    window : In(bits), ticks; may change only while nothing is looked at
    clicks : In(samples), at which subticks there is a click
    alive : Out(samples)
    """

    def __init__(self, parameters, bits):
        super().__init__({"window": In(bits), "clicks": In(parameters.samples), "alive": Out(parameters.samples)})

    def elaborate(self, platform):
        m = Module()

        distances = range(len(self.clicks))
        within = Signal(len(self.clicks))
        m.d.sync += within.eq(Cat(self.window >= distance for distance in distances))
        for s in distances:
            reached = Cat(self.clicks[c] & within[s - c] for c in range(s + 1))
            m.d.comb += self.alive[s].eq(reached.any())

        return m
