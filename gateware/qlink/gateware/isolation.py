"""What else of a pattern's own channels clicks around a completion: too many of them, or any in its guard time."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import COUNT_BITS, Now, Slot
from .lifetime import horizon
from .pipeline import delayed
from .threshold import AtLeast
from .veto import WINDOW_BITS, ForbiddenTracker


class Isolation(wiring.Component):
    """Judge the completions of one pattern by the clicks of its own channels, whatever their attempts.

    Each click remembers whether it is the first after a quiet guard time, and whether too many channels click from it
    on. As the guard time is at least the window, one quiet click among those of a completion is its first one.

    Members
    -------
    now : In(Now), of the clock that has come
    slot : In(Slot), `delay` clocks and one more behind `now`, without the clicks of channels that are not required
    required : In(channels)
    maximum : In(5), more of them are too many; 0: none are
    guard : In(16), ticks; 0: no guard
    reach : In(16), ticks for which `now` is ahead: the guard time, or if there is none the window
    shift : In, `delay * samples - reach`
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
                "required": In(parameters.channels),
                "maximum": In(COUNT_BITS),
                "guard": In(16),
                "reach": In(16),
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
        samples, channels = self.parameters.samples, self.parameters.channels
        limited, guarded = Signal(), Signal()
        m.d.sync += [limited.eq(self.maximum != 0), guarded.eq(self.guard != 0)]
        own = Signal(channels)
        clicks = [Cat(clicks[s] for clicks in self.now.clicks) & self.required for s in range(samples)]

        guard, reach = Signal(WINDOW_BITS), Signal(WINDOW_BITS)
        m.d.sync += guard.eq(self.guard - 1)
        m.d.comb += reach.eq(self.reach)
        guards = guard, horizon(m, self.parameters, guard, "guard_horizon")
        reaches = reach, horizon(m, self.parameters, reach, "reach_horizon")
        active = []
        many5 = self._count(m, reaches, active)
        quiet5 = delayed(m, ~self._near(m, "before", self._just_before(m), guards, 0, active), 1)
        hits = Cat(of_subtick.any() for of_subtick in clicks)
        near = Signal(samples)
        m.d.sync += near.eq(hits)
        after5 = delayed(m, self._near(m, "after", near, guards, self.shift, active), 2)
        clicks5 = delayed(m, self.slot.clicks, 5)

        many6, quiet6 = Signal(channels), Signal(channels)
        for channel, click5 in enumerate(clicks5):
            arrives = click5.valid & (click5.sub <= self.sub)
            for at5, at6 in (many5, many6), (quiet5, quiet6):
                held = Signal()
                arrived = at5.bit_select(click5.sub, 1)
                m.d.sync += at6[channel].eq(Mux(arrives, arrived, held))
                with m.If(click5.valid):
                    m.d.sync += held.eq(arrived)
        m.d.sync += own.eq(self.contributing)
        after6 = Signal()
        m.d.sync += after6.eq(after5.bit_select(self.sub, 1))

        crowded7, quiet7 = Signal(), Signal()
        m.d.sync += [crowded7.eq(limited & (many6 & own).any()), quiet7.eq((quiet6 & own).any() & ~after6)]
        completed7 = delayed(m, self.completed, 2)
        m.d.sync += self.vetoed.eq(completed7 & (crowded7 | guarded & ~quiet7))
        m.d.comb += self.active.eq(Cat(active).any())
        return m

    def _near(self, m, name, clicks, guards, shift, active):
        """Return, three clocks after `clicks`, at which ticks there was one less than the guard time ago."""
        m.submodules[name] = tracker = ForbiddenTracker(self.parameters)
        window, ends = guards
        m.d.comb += [
            tracker.clicks.eq(clicks),
            tracker.begin.eq(self.clear),
            tracker.window.eq(window),
            tracker.horizon.eq(ends),
            tracker.shift.eq(shift),
        ]
        active.append(tracker.active & (self.guard != 0))
        return tracker.near

    def _just_before(self, m):
        """Return, one clock later, the ticks just before which there was a click in the slot."""
        hits, before = Signal(self.parameters.samples), Signal(self.parameters.samples)
        last = Signal()
        for s in range(len(hits)):
            m.d.comb += hits[s].eq(Cat(click.valid & (click.sub == s) for click in self.slot.clicks).any())
        m.d.sync += [last.eq(hits[-1]), before.eq(Cat(last, hits))]
        return before

    def _count(self, m, reaches, active):
        """Return, five clocks after the slot, at which of its ticks too many channels click in the reach from there."""
        channels, samples = self.parameters.channels, self.parameters.samples
        window, ends = reaches
        m.submodules.excess = excess = AtLeast(channels, samples)
        m.d.sync += excess.need.eq(Cat((self.maximum == count - 1) for count in range(channels + 1)))
        for channel in range(channels):
            m.submodules[f"tracker{channel}"] = tracker = ForbiddenTracker(self.parameters)
            clicks = Signal(samples, name=f"clicks{channel}")
            m.d.sync += clicks.eq(Mux(self.required[channel], self.now.clicks[channel], 0))
            m.d.comb += [
                tracker.clicks.eq(clicks),
                tracker.begin.eq(self.clear),
                tracker.window.eq(window),
                tracker.horizon.eq(ends),
                tracker.shift.eq(self.shift),
                *(excess.bits[s][channel].eq(tracker.near[s]) for s in range(samples)),
            ]
            active.append(tracker.active & (self.maximum != 0))
        return delayed(m, excess.enough, 1)
