"""One pattern, from clicks to decided heralds."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .capture import STAMP_BITS, Capture, CaptureQueue
from .completion import COMPLETED, CompletionFinder
from .interface import COUNT_BITS, Now, Slot
from .isolation import Isolation
from .pipeline import delayed
from .veto import Veto

DECISION = 8  # clocks from `slot` to `decided`


class PatternSettings(wiring.Signature):
    """What the registers say of one pattern, as `Settings` has it of all."""

    def __init__(self, parameters):
        super().__init__(
            {
                "required": Out(parameters.channels),
                "forbidden": Out(parameters.channels),
                "window": Out(parameters.window_bits),
                "outcome": Out(2),
                "minimum": Out(COUNT_BITS),
                "maximum": Out(COUNT_BITS),
                "guard": Out(16),
                "gated": Out(1),
            }
        )


class Verdict(data.StructLayout):
    """What a pattern says to feed-forward: as `Pattern` has it, with the subticks of `fired` and `decided`."""

    def __init__(self, parameters):
        super().__init__(
            {
                "plain": 1,
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
    plain : Out(1), settled: all required channels are needed, and nothing can veto; so `fired` tells of heralds
    fired : Out(1), `FIRED` clocks after `slot`
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
                "plain": Out(1),
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
        settings, enable, reach, shift = self._prepare(m)

        m.d.comb += self.channels.eq(settings.required)

        m.submodules.finder = finder = CompletionFinder(self.parameters)
        m.d.comb += [
            finder.slot.eq(self.slot),
            finder.required.eq(settings.required),
            finder.minimum.eq(settings.minimum),
            finder.window.eq(settings.window),
            finder.enable.eq(enable),
            finder.clear.eq(self.clear),
        ]

        m.submodules.veto = veto = Veto(self.parameters)
        m.d.comb += [
            veto.now.eq(self.now),
            veto.slot.eq(self.slot),
            veto.forbidden.eq(settings.forbidden),
            veto.window.eq(reach),
            veto.shift.eq(shift),
            veto.clear.eq(self.clear),
            veto.completed.eq(finder.completed),
            veto.sub.eq(finder.sub),
            veto.contributing.eq(finder.contributing),
        ]
        vetoed, active = veto.vetoed, finder.active | veto.active
        if self.parameters.multiplicity:
            isolation = self._isolate(m, settings, reach, shift, finder)
            vetoed, active = vetoed | isolation.vetoed, active | isolation.active

        completed = delayed(m, delayed(m, finder.completed, DECISION - COMPLETED - 1) & ~self.clear, 1)
        m.d.comb += [
            self.fired.eq(finder.fired),
            self.decided.eq(completed & ~vetoed),
            self.verdict.plain.eq(self.plain),
            self.verdict.fired.eq(self.fired),
            self.verdict.fired_sub.eq(finder.fired_sub),
            self.verdict.decided.eq(self.decided),
            self.verdict.decided_sub.eq(delayed(m, finder.sub, DECISION - COMPLETED)),
            self.verdict.delay.eq(self.delay),
            self.vetoed.eq(completed & vetoed),
            self.active.eq(active),
        ]

        m.submodules.captures = captures = CaptureQueue(self.parameters)
        m.d.comb += [
            captures.slot.eq(delayed(m, self.slot, DECISION - 1)),
            captures.now.eq(self.clock),
            captures.sub.eq(delayed(m, finder.sub, DECISION - COMPLETED - 1)),
            captures.constant.delay.eq(self.delay),
            captures.constant.channels.eq(delayed(m, finder.contributing, DECISION - COMPLETED - 1)),
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

        enable, reach, shift = Signal(), Signal(16), Signal(parameters.sub_bits)
        clocks = Signal(17)  # of the reach, rounded up
        short, late = Signal(), Signal()
        m.d.sync += [
            reach.eq(Mux(settings.guard != 0, settings.guard, settings.window)),
            short.eq((settings.guard != 0) & (settings.guard < settings.window)),
            clocks.eq((reach + parameters.samples - 1) >> parameters.sub_bits),
            shift.eq(-reach),
            late.eq(settings.forbidden.any() | (settings.maximum != 0) | (settings.guard != 0)),
            enable.eq(settings.required.any() & ~short & (~late | (clocks <= parameters.veto_depth))),
            self.delay.eq(Mux(late, clocks, 0)),
        ]
        m.d.sync += self.plain.eq(~late & ((settings.minimum == 0) | (settings.minimum == sum(settings.required))))
        return settings, enable, reach, shift

    def _isolate(self, m, settings, reach, shift, finder):
        m.submodules.isolation = isolation = Isolation(self.parameters)
        m.d.comb += [
            isolation.now.eq(self.now),
            isolation.slot.eq(self.slot),
            isolation.required.eq(settings.required),
            isolation.maximum.eq(settings.maximum),
            isolation.guard.eq(settings.guard),
            isolation.reach.eq(reach),
            isolation.shift.eq(shift),
            isolation.clear.eq(self.clear),
            isolation.completed.eq(finder.completed),
            isolation.sub.eq(finder.sub),
            isolation.contributing.eq(finder.contributing),
        ]
        return isolation
