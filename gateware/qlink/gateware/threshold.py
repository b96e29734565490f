"""Coincidence of some of a pattern's channels: at least so many, whichever they are."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .pipeline import delayed
from .sampler import first_set

DEAD_CLOCKS = 3  # from the clock of a completion to the next one that may have one


def thermometer(bits):
    """Return a list; its place k tells whether at least k of `bits` are set. Place 0 is true."""
    if len(bits) <= 1:
        return [1, *bits]
    half = len(bits) // 2
    low, high = thermometer(bits[:half]), thermometer(bits[half:])
    places = range(len(bits) + 1)
    both = ([low[i] & high[k - i] for i in range(len(low)) if 0 <= k - i < len(high)] for k in places)
    return [1, *(reduce(or_, terms) for terms in list(both)[1:])]


class AtLeast(wiring.Component):
    """Tell whether at least `need` of the bits of each word are set, one clock later; taken in two steps.

    Members
    -------
    bits : In(array of words), channels each
    need : In, a bit for each number from 0 on, one of them set; none: never. May change only while nothing is looked at
    enough : Out(one bit a word)
    """

    def __init__(self, channels, words):
        self.channels = channels
        super().__init__(
            {
                "bits": In(data.ArrayLayout(channels, words)),
                "need": In(channels + 1),
                "enough": Out(words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        half = (self.channels + 1) // 2
        for s, word in enumerate(self.bits):
            low, high = thermometer(word[:half]), thermometer(word[half:])
            some, rest = Signal(half + 1, name=f"some{s}"), Signal(half + 1, name=f"rest{s}")
            for k in range(half + 1):  # the lower half has k; does the upper one have the rest that is needed?
                needs = [self.need[k + j] & high[j] for j in range(len(high)) if k + j <= self.channels]
                fewer = [self.need[j] for j in range(k)]  # k is more than enough
                m.d.sync += [some[k].eq(low[k]), rest[k].eq(reduce(or_, [*needs, *fewer]))]
            m.d.comb += self.enough[s].eq((some & rest).any())
        return m


class ThresholdLoop(wiring.Component):
    """Find the completions of a pattern of which at least `need` channels have to hold a click.

    It is told by a `PatternMatcher` which clicks are alive. To know what a completion consumed takes two clocks, so
    that none is looked for in these; what comes in them is held.

    Members
    -------
    ahead : In, as the matcher's
    required : In(channels)
    need : In(channels + 1), see `AtLeast`; a channel that is not required holds always
    enable : In(1)
    clear : In(1), the settings may change only while it is high
    fired : Out(1), five clocks after the matcher's slot: there is a completion
    sub : Out, its subtick
    contributing : Out(channels), whose clicks made it
    """

    def __init__(self, parameters, ahead):
        self.parameters = parameters
        super().__init__(
            {
                "ahead": In(ahead),
                "required": In(parameters.channels),
                "need": In(parameters.channels + 1),
                "enable": In(1),
                "clear": In(1),
                "fired": Out(1),
                "sub": Out(parameters.sub_bits),
                "contributing": Out(parameters.channels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channels, samples = self.parameters.channels, self.parameters.samples
        ahead, start = self.ahead, self.ahead.start  # of clock 1; the numbers below count from there
        dead = Signal(init=1)
        m.d.sync += dead.eq(self.clear | ~self.enable)

        m.submodules.enough = enough = AtLeast(channels, samples)
        complete = Signal(samples)  # of clock -2
        start0, start_1 = delayed(m, start, 1), delayed(m, start, 2)
        ready = Signal(data.ArrayLayout(channels, samples))
        hits = Signal(samples)
        for channel, of in enumerate(ahead.channels):
            held = self._hold(m, channel, of, complete, (start0, start_1), dead)
            for s in range(samples):
                m.d.sync += ready[s][channel].eq(~dead & (of.arrived[s] | of.alive[s] & held))
        m.d.sync += hits.eq(
            Cat(Cat(of.click.valid & (of.click.sub == s) for of in ahead.channels).any() for s in range(samples))
        )
        m.d.comb += [enough.bits.eq(ready), enough.need.eq(self.need)]

        before = delayed(m, complete.any(), 1)
        blocked = complete.any() & ~start_1 | before & ~start_1 & ~delayed(m, start, 3)
        m.d.sync += complete.eq(Mux(dead | blocked, 0, enough.enough & delayed(m, hits, 1)))

        first = complete & (~complete + 1)[:samples]
        ready_2 = delayed(m, ready, 2)
        m.d.sync += [
            self.fired.eq(complete.any() & ~self.clear),
            self.sub.eq(first_set(m, complete)),
            self.contributing.eq(self.required & reduce(or_, (Mux(first[s], ready_2[s], 0) for s in range(samples)))),
        ]
        return m

    def _hold(self, m, channel, ahead, complete, starts, dead):
        """Return whether the newest click of clock 0 or before is held, as far as is known."""
        start0, start_1 = starts
        valid0, valid_1 = delayed(m, ahead.click.valid, 1), delayed(m, ahead.click.valid, 2)
        after = Signal(self.parameters.samples, name=f"after{channel}")
        m.d.sync += after.eq(Cat(ahead.click.valid & (ahead.click.sub > s) for s in range(len(after))))
        after_2 = delayed(m, after, 2)
        held_1, held = Signal(name=f"held{channel}"), Signal(name=f"holds{channel}")
        survives = valid_1 | (after_2 & complete).any() & ~start_1
        m.d.comb += held.eq(valid0 | Mux(complete.any(), survives, held_1) & ~start0)
        m.d.sync += held_1.eq(held & ~dead)
        return held
