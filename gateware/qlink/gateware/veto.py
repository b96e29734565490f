"""Vetoes: forbidden clicks around the first click of a completion."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import Now, Slot
from .lifetime import Lifetime, Reach
from .pipeline import delayed
from .sampler import last_set

WINDOW_BITS = 17  # of twice the window


class ForbiddenTracker(wiring.Component):
    """Tell at which ticks `delay` clocks ago there is a forbidden click at most `window` ticks away, before or after.

    A forbidden click is first made late by `shift = delay * samples - window` ticks; then it is near a tick exactly
    when it is at most two windows older than that tick, made late by `delay` clocks. Three clocks of latency.

    Members
    -------
    clicks : In(samples), at which subticks there is a forbidden click
    begin : In(1), forget the clicks before this clock's
    window : In(17), twice the window; may change only while `begin`
    shift : In, ticks, less than a clock
    near : Out(samples)
    active : Out(1), there is a click that may yet be near
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "clicks": In(parameters.samples),
                "begin": In(1),
                "window": In(WINDOW_BITS),
                "shift": In(parameters.sub_bits),
                "near": Out(parameters.samples),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        samples = self.parameters.samples

        before, shifted = Signal(samples), Signal(samples)
        begin = Signal()
        both = Cat(Mux(self.begin, 0, before), self.clicks)
        m.d.sync += [
            before.eq(self.clicks),
            begin.eq(self.begin),
            shifted.eq((both << self.shift)[samples : 2 * samples]),
        ]

        m.submodules.lifetime = lifetime = Lifetime(self.parameters, WINDOW_BITS)
        m.submodules.reach = reach = Reach(self.parameters, WINDOW_BITS)
        alive, reached = Signal(samples), Signal(samples)
        m.d.comb += [
            lifetime.window.eq(self.window),
            lifetime.click.valid.eq(shifted.any()),
            lifetime.click.sub.eq(last_set(m, shifted)),
            lifetime.clear.eq(begin),
            reach.window.eq(self.window),
            reach.clicks.eq(shifted),
        ]
        m.d.sync += [
            reached.eq(reach.alive),
            alive.eq(Mux(begin, 0, lifetime.alive)),
            self.near.eq(reached | alive),
            self.active.eq(lifetime.active),
        ]

        return m


class Veto(wiring.Component):
    """Judge the completions of one pattern by their first click.

    Time falls into regions, near a forbidden click and not near one. The former are longer than two windows, so that
    the clicks of a completion lie in at most three neighbouring regions. It is enough to number regions modulo four
    and to keep each click's: that of the first click is the one farthest from the completion's. The lowest bit of a
    region's number tells whether it is near.

    Members
    -------
    now : In(Now), of the clock that has come
    slot : In(Slot), `delay` clocks and one more behind `now`
    forbidden, required : In(channels)
    window : In(16), ticks
    shift : In, `delay * samples - window`
    clear : In(1), forget all clicks; the other settings may change only while it is high
    fired, sub : In, a completion in `slot`, two clocks later
    vetoed : Out(1), six clocks after `slot`
    active : Out(1)
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "now": In(Now(parameters)),
                "slot": In(Slot(parameters)),
                "forbidden": In(parameters.channels),
                "required": In(parameters.channels),
                "window": In(16),
                "shift": In(parameters.sub_bits),
                "clear": In(1),
                "fired": In(1),
                "sub": In(parameters.sub_bits),
                "vetoed": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        near = self._track(m)

        # `slot` is clock 0; the numbers in the names below count from there.
        samples = self.parameters.samples
        clicks4 = delayed(m, self.slot.clicks, 4)
        number3 = delayed(m, self.slot.number, 3)
        fired5 = delayed(m, self.fired, 3)
        sub4 = delayed(m, self.sub, 2)

        near3 = Mux(number3, near[1], near[0])
        near4, region4 = Signal(samples), Signal(samples)
        falling3 = Cat(near4[-1], near3) & ~near3
        m.d.sync += [
            near4.eq(near3),
            region4.eq(Cat(region4[-1] ^ falling3[: s + 1].xor() for s in range(samples))),
        ]

        held, first = Signal(2 * self.parameters.channels), Signal(2 * self.parameters.channels)
        for channel, click4 in enumerate(clicks4):
            arrived4 = Cat(near4.bit_select(click4.sub, 1), region4.bit_select(click4.sub, 1))
            arrives = click4.valid & (click4.sub <= sub4)
            m.d.sync += first[2 * channel :][:2].eq(Mux(arrives, arrived4, held[2 * channel :][:2]))
            with m.If(click4.valid):
                m.d.sync += held[2 * channel :][:2].eq(arrived4)

        last_near, last_region = Signal(), Signal()
        m.d.sync += [
            last_near.eq(near4.bit_select(sub4, 1)),
            last_region.eq(region4.bit_select(sub4, 1)),
        ]
        same_near = ~(first[::2] ^ last_near.replicate(len(self.required)))
        same_region = ~(first[1::2] ^ last_region.replicate(len(self.required)))
        other_near = (self.required & ~same_near).any()
        other_region = (self.required & same_near & ~same_region).any()
        m.d.sync += self.vetoed.eq(fired5 & (last_near ^ (other_near & ~other_region)))

        return m

    def _track(self, m):
        """Follow the attempts with even and those with odd numbers apart, so that neither vetoes the other's clicks."""
        near, active = [], []
        for number in range(2):
            m.submodules[f"tracker{number}"] = tracker = ForbiddenTracker(self.parameters)
            ours = self.now.number == number
            for s in range(self.parameters.samples):
                forbidden = Cat(clicks[s] for clicks in self.now.clicks) & self.forbidden
                m.d.sync += tracker.clicks[s].eq(forbidden.any() & ours)
            m.d.sync += tracker.begin.eq(self.now.start & ours | self.clear)
            m.d.comb += [tracker.window.eq(self.window << 1), tracker.shift.eq(self.shift)]
            near.append(tracker.near)
            active.append(tracker.active)
        m.d.comb += self.active.eq(Cat(active).any())
        return near
