"""How long a click counts."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

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
        place = Signal(sub_bits + 1)  # last subtick alive, its highest bit: of the clock after `clocks`
        m.d.comb += place.eq(self.window[:sub_bits] + self.click.sub)

        load = Signal(signed(len(clocks) + 1))
        some, more = Signal(), Signal()
        m.d.sync += [load.eq(clocks - 2), some.eq(clocks.any()), more.eq(clocks[1:].any())]

        left = Signal.like(load)
        pause = Signal()  # the carry of `place`, to be added to `left`
        full = Signal()  # all of the next clock is alive; for how much longer, `left` says
        last = Signal()  # it is alive up to `end`, if not `full`
        end = Signal(sub_bits)
        coming = Signal.like(left)
        m.d.comb += coming.eq(left - Mux(pause, 0, 1))
        with m.If(self.click.valid):
            m.d.sync += [
                left.eq(load),
                pause.eq(place[-1]),
                full.eq(Mux(place[-1], some, more)),
                last.eq(place[-1] | some),
                end.eq(place),
            ]
        with m.Else():
            m.d.sync += last.eq(full & ~self.clear)
            with m.If(full):
                m.d.sync += [left.eq(coming), pause.eq(0), full.eq((coming >= 0) & ~self.clear)]

        m.d.comb += [
            self.active.eq(full | last),
            self.alive.eq(Cat(full | last & (s <= end) for s in range(self.parameters.samples))),
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

        sub_bits = exact_log2(len(self.clicks))
        distances = range(len(self.clicks))
        within = Signal(len(self.clicks))
        longer = self.window[sub_bits:].any()
        m.d.sync += within.eq(Cat(longer | (self.window[:sub_bits] >= distance) for distance in distances))
        for s in distances:
            reached = Cat(self.clicks[c] & within[s - c] for c in range(s + 1))
            m.d.comb += self.alive[s].eq(reached.any())

        return m
