"""How long a click counts."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .interface import ClickSlot


class Horizon(data.StructLayout):
    """What all lifetimes of one window have in common, modulo as many clocks as the window can have.

    `coming` is the number of the clock after the one that `click` shows, `last` that of its whole clocks' end.
    """

    def __init__(self, parameters, bits):
        super().__init__({name: bits - parameters.sub_bits for name in ("coming", "last")})


def horizon(m, parameters, window, name="horizon"):
    """Count clocks for the lifetimes of clicks with this window, which may change only while these are cleared."""
    shape = Horizon(parameters, len(window))
    now = Signal(shape, name=name)
    m.d.sync += [
        now.coming.eq(now.coming + 1),
        now.last.eq(now.coming + window[parameters.sub_bits :]),
    ]
    return now


class Lifetime(wiring.Component):
    """Tell at which subticks of the next clock the newest click is at most `window` ticks old.

    A click keeps the number of the clock in which it ends, so that nothing has to be counted for it.

    Members
    -------
    window : In(bits), ticks; may change only while `clear`
    horizon : In(Horizon), of this window
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
                "horizon": In(Horizon(parameters, bits)),
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

        some, one, more = Signal(), Signal(), Signal()
        m.d.sync += [some.eq(clocks.any()), one.eq(clocks == 1), more.eq(clocks[1:].any())]

        until = Signal.like(self.horizon.last)
        carried = Signal()  # the carry of `place`: a clock longer than `until` says
        due, due_before = Signal(), Signal()
        full = Signal()  # all of the next clock is alive; for how much longer, `until` says
        last = Signal()  # it is alive up to `end`, if not `full`
        end = Signal(sub_bits)
        m.d.comb += due.eq(until == self.horizon.coming)
        with m.If(self.click.valid):
            m.d.sync += [
                until.eq(self.horizon.last),
                carried.eq(place[-1]),
                due_before.eq(one),
                full.eq(Mux(place[-1], some, more)),
                last.eq(place[-1] | some),
                end.eq(place),
            ]
        with m.Else():
            m.d.sync += [
                due_before.eq(due),
                last.eq(full & ~self.clear),
                full.eq(full & ~self.clear & ~Mux(carried, due_before, due)),
            ]

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
        distances = range(1, len(self.clicks))
        within = Signal(len(distances))  # by the distance, less one: at none, a click is alive
        longer = self.window[sub_bits:].any()
        m.d.sync += within.eq(Cat(longer | (self.window[:sub_bits] >= distance) for distance in distances))
        for s, click in enumerate(self.clicks):
            reached = Cat(click, *(self.clicks[c] & within[s - c - 1] for c in range(s)))
            m.d.comb += self.alive[s].eq(reached.any())

        return m
