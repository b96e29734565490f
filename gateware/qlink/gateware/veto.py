"""Vetoes: forbidden clicks around the first click of a completion."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import Now, Slot
from .lifetime import Horizon, Lifetime, Reach, horizon
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
    horizon : In(Horizon), of this window
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
                "horizon": In(Horizon(parameters, WINDOW_BITS)),
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
            lifetime.horizon.eq(self.horizon),
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
    forbidden : In(channels)
    window : In(16), ticks; no completion is longer
    shift : In, `delay * samples - window`
    clear : In(1), forget all clicks; the other settings may change only while it is high
    completed, sub, contributing : In, of a completion in `slot`, five clocks later
    vetoed : Out(1), eight clocks after `slot`
    active : Out(1)
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "now": In(Now(parameters)),
                "slot": In(Slot(parameters)),
                "forbidden": In(parameters.channels),
                "window": In(16),
                "shift": In(parameters.sub_bits),
                "clear": In(1),
                "completed": In(1),
                "sub": In(parameters.sub_bits),
                "contributing": In(parameters.channels),
                "vetoed": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # `slot` is clock 0; the numbers in the names below count from there.
        samples = self.parameters.samples
        near4 = [delayed(m, near3, 1) for near3 in self._track(m)]
        number4 = delayed(m, self.slot.number, 4)
        clicks5 = delayed(m, self.slot.clicks, 5)
        sub5, own6 = self.sub, delayed(m, self.contributing, 1)

        chosen4 = Mux(number4, near4[1], near4[0])
        near5, region5 = Signal(samples), Signal(samples)
        falling4 = Cat(near5[-1], chosen4) & ~chosen4
        m.d.sync += [
            near5.eq(chosen4),
            region5.eq(Cat(region5[-1] ^ falling4[: s + 1].xor() for s in range(samples))),
        ]

        near6, region6 = Signal(self.parameters.channels), Signal(self.parameters.channels)
        last_near6, last_region6 = Signal(), Signal()
        m.d.sync += [last_near6.eq(near5.bit_select(sub5, 1)), last_region6.eq(region5.bit_select(sub5, 1))]
        for channel, click5 in enumerate(clicks5):
            arrives = click5.valid & (click5.sub <= sub5)
            for at5, at6 in (near5, near6), (region5, region6):
                held = Signal()
                arrived = at5.bit_select(click5.sub, 1)
                m.d.sync += at6[channel].eq(Mux(arrives, arrived, held))
                with m.If(click5.valid):
                    m.d.sync += held.eq(arrived)

        same_near = ~(near6 ^ last_near6.replicate(len(near6)))
        same_region = ~(region6 ^ last_region6.replicate(len(region6)))
        other_near7, other_region7 = Signal(), Signal()
        m.d.sync += [
            other_near7.eq((own6 & ~same_near).any()),
            other_region7.eq((own6 & same_near & ~same_region).any()),
        ]
        completed7, last_near7 = delayed(m, self.completed, 2), delayed(m, last_near6, 1)
        m.d.sync += self.vetoed.eq(completed7 & (last_near7 ^ (other_near7 & ~other_region7)))

        return m

    def _track(self, m):
        """Follow the attempts with even and those with odd numbers apart, so that neither vetoes the other's clicks."""
        window = Signal(WINDOW_BITS)
        m.d.comb += window.eq(self.window << 1)
        ends = horizon(m, self.parameters, window)
        near, active = [], []
        for number in range(2):
            m.submodules[f"tracker{number}"] = tracker = ForbiddenTracker(self.parameters)
            ours = self.now.number == number
            for s in range(self.parameters.samples):
                forbidden = Cat(clicks[s] for clicks in self.now.clicks) & self.forbidden
                m.d.sync += tracker.clicks[s].eq(forbidden.any() & ours)
            m.d.sync += tracker.begin.eq(self.now.start & ours | self.clear)
            m.d.comb += [tracker.window.eq(window), tracker.horizon.eq(ends), tracker.shift.eq(self.shift)]
            near.append(tracker.near)
            active.append(tracker.active)
        m.d.comb += self.active.eq(Cat(active).any())
        return near
