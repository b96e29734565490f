"""One pattern of a board on which nothing can veto: every completion is a herald."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .completion import FIRED
from .interface import Slot
from .matcher import PatternMatcher
from .pattern import PatternSettings, Verdict

__all__ = ["PLAIN_DECISION", "PlainPattern"]

PLAIN_DECISION = FIRED  # clocks from `slot` to `decided`


class PlainPattern(wiring.Component):
    """Find the heralds of one pattern without forbidden channels; all of its channels are needed.

    Members
    -------
    settings : In(PatternSettings), of which `required` and `window` count
    clear : In(1), forget all clicks
    slot : In(Slot), with the clicks of all channels
    required : Out(channels), settled
    plain : Out(1), as of `Pattern`
    fired, decided : Out(1), there is a herald; `PLAIN_DECISION` clocks after `slot`
    sub : Out, the completion's subtick
    verdict : Out(Verdict)
    active : Out(1), there is a click that may yet matter
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "settings": In(PatternSettings(parameters)),
                "clear": In(1),
                "slot": In(Slot(parameters)),
                "required": Out(parameters.channels),
                "plain": Out(1, init=1),
                "fired": Out(1),
                "decided": Out(1),
                "sub": Out(parameters.sub_bits),
                "verdict": Out(Verdict(parameters)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.matcher = matcher = PatternMatcher(self.parameters)
        window, enable = Signal.like(self.settings.window), Signal()
        m.d.sync += [  # a copy, near what it decides
            self.required.eq(self.settings.required),
            window.eq(self.settings.window),
            enable.eq(self.required.any()),
        ]
        m.d.comb += [
            matcher.slot.eq(self.slot),
            matcher.required.eq(self.required),
            matcher.window.eq(window),
            matcher.enable.eq(enable),
            matcher.clear.eq(self.clear),
            Cat(self.fired, self.decided).eq(matcher.fired.replicate(2)),
            self.sub.eq(matcher.sub),
            self.active.eq(matcher.active),
            self.verdict.plain.eq(1),
            Cat(self.verdict.fired, self.verdict.decided).eq(matcher.fired.replicate(2)),
            Cat(self.verdict.fired_sub, self.verdict.decided_sub).eq(Cat(matcher.sub, matcher.sub)),
        ]
        for inner, click, required in zip(matcher.slot.clicks, self.slot.clicks, self.required, strict=True):
            m.d.comb += inner.valid.eq(click.valid & required)
        return m
