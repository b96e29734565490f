"""Coincidence: when all required channels of a pattern hold a click within its window."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot, Slot
from .lifetime import Lifetime, Reach, horizon
from .sampler import first_set


class Ahead(data.StructLayout):
    """What a matcher knows of the coming clock: each channel's click, and when it and the one before are alive."""

    def __init__(self, parameters):
        channel = data.StructLayout(
            {"click": ClickSlot(parameters), "arrived": parameters.samples, "alive": parameters.samples}
        )
        super().__init__({"channels": data.ArrayLayout(channel, parameters.channels), "start": 1})


class PatternMatcher(wiring.Component):
    """Find the completions of one pattern: greedy, one to one, the newest unconsumed click of each channel.

    How long a click stays alive does not depend on what consumes it, so `Lifetime` works ahead; only one bit per
    channel, `held`, goes around the loop in a clock. A channel clicks once per clock and a completion consumes every
    click up to its subtick, so that no pattern completes twice in a clock.

    Members
    -------
    slot : In(Slot), without the clicks of channels that are not required
    required : In(channels)
    window : In(window_bits), ticks
    enable : In(1), 0: never completes
    clear : In(1), forget all clicks; the other settings may change only while it is high
    fired : Out(1), three clocks later: there is a completion
    sub : Out, its subtick
    active : Out(1), there is a click that may yet be alive
    ahead : Out(Ahead), of the clock of `slot`, one clock later
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "slot": In(Slot(parameters)),
                "required": In(parameters.channels),
                "window": In(parameters.window_bits),
                "enable": In(1),
                "clear": In(1),
                "fired": Out(1),
                "sub": Out(parameters.sub_bits),
                "active": Out(1),
                "ahead": Out(Ahead(parameters)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channels, samples = self.parameters.channels, self.parameters.samples

        ready = Signal(data.ArrayLayout(samples, channels))  # subticks at which a click is held or arrives
        held = Signal(channels)  # a click is held, or arrives in this clock
        after = Signal(data.ArrayLayout(samples, channels))  # subticks after which it arrives in this clock
        active = Signal(channels)
        dead, start = Signal(init=1), Signal()
        m.d.sync += [dead.eq(self.clear | ~self.enable), start.eq(self.slot.start)]

        m.d.comb += self.ahead.start.eq(start)

        ends = horizon(m, self.parameters, self.window)
        complete = Signal(samples)
        for s in range(samples):
            m.d.comb += complete[s].eq(Cat(ready[channel][s] for channel in range(channels)).all())

        for channel in range(channels):
            click, arrived, alive = self._look_ahead(m, channel, ends, dead, active[channel])
            told = self.ahead.channels[channel]
            m.d.comb += [told.click.eq(click), told.arrived.eq(arrived), told.alive.eq(alive)]
            survives = held[channel] & ~complete.any() | (after[channel] & complete).any()
            m.d.sync += [
                held[channel].eq(~dead & (click.valid | survives & ~start)),
                after[channel].eq(Cat(click.valid & (click.sub > s) for s in range(samples))),
                ready[channel].eq(Mux(dead, 0, arrived | alive & survives.replicate(samples))),
            ]

        m.d.sync += [
            self.fired.eq(complete.any() & ~self.clear),
            self.sub.eq(first_set(m, complete)),
            self.active.eq(active.any()),
        ]

        return m

    def _look_ahead(self, m, channel, ends, dead, active):
        """Return the click that comes next, and when it and the one before, if it is held, are alive."""
        samples = self.parameters.samples
        click = self.slot.clicks[channel]
        coming = Signal(ClickSlot(self.parameters), name=f"coming{channel}")
        arrived, alive = Signal(samples, name=f"arrived{channel}"), Signal(samples, name=f"alive{channel}")
        m.submodules[f"lifetime{channel}"] = lifetime = Lifetime(self.parameters, self.parameters.window_bits)
        m.submodules[f"reach{channel}"] = reach = Reach(self.parameters, self.parameters.window_bits)
        m.d.comb += [
            lifetime.window.eq(self.window),
            lifetime.horizon.eq(ends),
            lifetime.click.eq(click),
            lifetime.clear.eq(dead | self.slot.start),
            active.eq(lifetime.active),
            reach.window.eq(self.window),
            reach.clicks.eq(Cat(click.valid & (click.sub == s) for s in range(samples))),
        ]
        m.d.sync += [
            coming.eq(click),
            arrived.eq(reach.alive | (~self.required[channel]).replicate(samples)),
            alive.eq(Mux(self.slot.start, 0, lifetime.alive)),
        ]
        return coming, arrived, alive
