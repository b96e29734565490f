"""One pattern, from clicks to decided heralds."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .capture import STAMP_BITS, Capture, CaptureQueue
from .interface import Now, Slot
from .matcher import PatternMatcher
from .pipeline import delayed
from .veto import Veto

FIRED = 3  # clocks from `slot` to a completion
DECISION = 8  # clocks from `slot` to `decided`


class PatternSettings(wiring.Signature):
    """What the registers say of one pattern, as `Settings` has it of all."""

    def __init__(self, parameters):
        super().__init__(
            {
                "required": Out(parameters.channels),
                "forbidden": Out(parameters.channels),
                "window": Out(16),
                "outcome": Out(2),
                "gated": Out(1),
            }
        )


class Verdict(data.StructLayout):
    """What a pattern says to feed-forward: `fired` and `decided`, each with its subtick, as `Pattern` has them."""

    def __init__(self, parameters):
        super().__init__(
            {
                "fired": 1,
                "fired_sub": parameters.sub_bits,
                "decided": 1,
                "decided_sub": parameters.sub_bits,
                "delay": parameters.veto_depth.bit_length(),
            }
        )


class Pattern(wiring.Component):
    """Find the heralds of one pattern and keep what their records need.

    Members
    -------
    settings : In(PatternSettings)
    clear : In(1), forget all clicks and pending completions
    now : In(Now), of the clock that has come
    delay : Out, by how many clocks `slot` is to be late, besides one
    channels : Out(channels), those whose clicks `slot` is to show
    slot : In(Slot)
    clock : In, low bits of a clock number, one clock before the one of `decided`
    fired : Out(1), `FIRED` clocks after `slot`: there is a completion, a herald if nothing can veto it
    decided, vetoed : Out(1), `DECISION` clocks after `slot`: a completion is a herald, or was vetoed
    verdict : Out(Verdict)
    lost : Out(1), there is no room for the decided herald
    head : Out(Capture), the oldest herald kept
    take : In(1), drop it
    active : Out(1), there is a click that may yet matter
    """

    def __init__(self, parameters):
        self.parameters = parameters
        self.delay_bits = parameters.veto_depth.bit_length()
        super().__init__(
            {
                "settings": In(PatternSettings(parameters)),
                "clear": In(1),
                "now": In(Now(parameters)),
                "delay": Out(self.delay_bits),
                "channels": Out(parameters.channels),
                "slot": In(Slot(parameters)),
                "clock": In(STAMP_BITS - parameters.sub_bits),
                "fired": Out(1),
                "decided": Out(1),
                "vetoed": Out(1),
                "verdict": Out(Verdict(parameters)),
                "lost": Out(1),
                "head": Out(Capture(parameters)),
                "take": In(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        settings, enable, shift = self._prepare(m)

        m.d.comb += self.channels.eq(settings.required)

        m.submodules.matcher = matcher = PatternMatcher(self.parameters)
        m.d.comb += [
            matcher.slot.eq(self.slot),
            matcher.required.eq(settings.required),
            matcher.window.eq(settings.window),
            matcher.enable.eq(enable),
            matcher.clear.eq(self.clear),
        ]

        m.submodules.veto = veto = Veto(self.parameters)
        m.d.comb += [
            veto.now.eq(self.now),
            veto.slot.eq(self.slot),
            veto.forbidden.eq(settings.forbidden),
            veto.required.eq(settings.required),
            veto.window.eq(settings.window),
            veto.shift.eq(shift),
            veto.clear.eq(self.clear),
            veto.fired.eq(matcher.fired),
            veto.sub.eq(matcher.sub),
        ]

        completed = delayed(m, delayed(m, matcher.fired, DECISION - FIRED - 1) & ~self.clear, 1)
        m.d.comb += [
            self.fired.eq(matcher.fired),
            self.decided.eq(completed & ~veto.vetoed),
            self.verdict.fired.eq(self.fired),
            self.verdict.fired_sub.eq(matcher.sub),
            self.verdict.decided.eq(self.decided),
            self.verdict.decided_sub.eq(delayed(m, matcher.sub, DECISION - FIRED)),
            self.verdict.delay.eq(self.delay),
            self.vetoed.eq(completed & veto.vetoed),
            self.active.eq(matcher.active | veto.active),
        ]

        m.submodules.captures = captures = CaptureQueue(self.parameters)
        m.d.comb += [
            captures.slot.eq(delayed(m, self.slot, DECISION - 1)),
            captures.now.eq(self.clock),
            captures.sub.eq(delayed(m, matcher.sub, DECISION - FIRED - 1)),
            captures.constant.delay.eq(self.delay),
            captures.constant.channels.eq(settings.required),
            captures.constant.outcome.eq(settings.outcome),
            captures.constant.gated.eq(settings.gated),
            captures.decided.eq(self.decided),
            captures.take.eq(self.take),
            self.lost.eq(self.decided & captures.full),
            self.head.eq(captures.head),
        ]

        return m

    def _prepare(self, m):
        """Copy the settings, and derive what follows from them alone; they change only while `clear`."""
        parameters = self.parameters
        settings = PatternSettings(parameters).create()  # a copy, near what it decides
        m.d.sync += [
            getattr(settings, name).eq(getattr(self.settings, name)) for name in PatternSettings(parameters).members
        ]

        enable, vetoing, shift = Signal(), Signal(), Signal(parameters.sub_bits)
        clocks = Signal(17)  # of the window, rounded up
        m.d.sync += [
            clocks.eq((settings.window + parameters.samples - 1) >> parameters.sub_bits),
            shift.eq(-settings.window),
            vetoing.eq(settings.forbidden.any()),
            enable.eq(settings.required.any() & (~vetoing | (clocks <= parameters.veto_depth))),
            self.delay.eq(Mux(vetoing, clocks, 0)),
        ]
        return settings, enable, shift
