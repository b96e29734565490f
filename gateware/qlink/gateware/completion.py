"""Completions of one pattern: all of its channels, or at least so many of them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import COUNT_BITS, Slot
from .matcher import Ahead, PatternMatcher
from .pipeline import delayed
from .threshold import ThresholdLoop

FIRED = 3  # clocks from `slot` to `fired`, if all channels are needed
COMPLETED = 5  # clocks from `slot` to what is known of every completion


class CompletionFinder(wiring.Component):
    """Find when enough channels of a pattern hold a click within its window, and whose clicks it takes.

    Members
    -------
    slot : In(Slot), without the clicks of channels that are not required
    required : In(channels)
    minimum : In(5), so many of them are enough; 0: all. More than there are: never
    window : In(16), ticks
    enable : In(1), 0: never completes
    clear : In(1), forget all clicks; the other settings may change only while it is high
    fired : Out(1), `FIRED` clocks after `slot`, if all channels are needed: there is a completion
    fired_sub : Out, its subtick
    completed : Out(1), `COMPLETED` clocks after `slot`, as what follows
    sub : Out, its subtick
    contributing : Out(channels), whose clicks it takes
    active : Out(1), there is a click that may yet be alive
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "slot": In(Slot(parameters)),
                "required": In(parameters.channels),
                "minimum": In(COUNT_BITS),
                "window": In(16),
                "enable": In(1),
                "clear": In(1),
                "fired": Out(1),
                "fired_sub": Out(parameters.sub_bits),
                "completed": Out(1),
                "sub": Out(parameters.sub_bits),
                "contributing": Out(parameters.channels),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.matcher = matcher = PatternMatcher(self.parameters)
        m.d.comb += [
            matcher.slot.eq(self.slot),
            matcher.required.eq(self.required),
            matcher.window.eq(self.window),
            matcher.enable.eq(self.enable),
            matcher.clear.eq(self.clear),
            self.active.eq(matcher.active),
            self.fired_sub.eq(matcher.sub),
        ]
        all_completed = delayed(m, matcher.fired, COMPLETED - FIRED)
        all_sub = delayed(m, matcher.sub, COMPLETED - FIRED)
        if self.parameters.multiplicity:
            some, loop = self._find_some(m, matcher.ahead)
            m.d.comb += [
                self.fired.eq(matcher.fired),
                self.completed.eq(Mux(some, loop.fired, all_completed)),
                self.sub.eq(Mux(some, loop.sub, all_sub)),
                self.contributing.eq(Mux(some, loop.contributing, self.required)),
            ]
        else:
            m.d.comb += [
                self.fired.eq(matcher.fired),
                self.completed.eq(all_completed),
                self.sub.eq(all_sub),
                self.contributing.eq(self.required),
            ]
        return m

    def _find_some(self, m, ahead):
        """Return whether not all channels are needed, and who knows then."""
        channels = self.parameters.channels
        m.submodules.loop = loop = ThresholdLoop(self.parameters, Ahead(self.parameters))
        size, least, some = Signal(COUNT_BITS), Signal(COUNT_BITS), Signal()
        m.d.sync += [
            size.eq(sum(self.required)),
            least.eq(channels - size + self.minimum),  # those that are not required hold always
            some.eq((self.minimum != 0) & (self.minimum != size)),
            loop.need.eq(Cat(least == count for count in range(channels + 1))),
        ]
        m.d.comb += [
            loop.ahead.eq(ahead),
            loop.required.eq(self.required),
            loop.enable.eq(self.enable & some),
            loop.clear.eq(self.clear),
        ]
        return some, loop
