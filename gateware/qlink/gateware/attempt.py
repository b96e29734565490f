"""Attempts: when one runs, and what is wrong with its references."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot

NEVER = 2**32 - 1


class AttemptTracker(wiring.Component):
    """Start an attempt at each reference that finds none running; tell of those that double it or are missing.

    The outputs belong to the clock before the one that `reference` shows. An attempt has at least one clock.

    Members
    -------
    reference : In(ClickSlot)
    merged : In(1), there was a second reference in the same clock
    enable : In(1), 0: no references are seen
    clear : In(1), forget the running attempt; there shall be no references
    attempt_clocks, reference_timeout, skip : In(32)
    start : Out(1), an attempt starts in this clock
    count : Out(32), clocks since the running attempt's reference
    ahead : Out(32), the same of the clock after
    inside : Out(1), this clock belongs to an attempt
    sub : Out, the reference's subtick
    number : Out(1), the lowest bit of the attempt's number
    flagged : Out(1), another reference has come in this attempt
    doubled, missed : Out(1), another reference came in this clock; one was missing for the whole timeout
    idle : Out(1), nothing happens for `deadline` clocks
    deadline : Out(32)
    """

    def __init__(self, parameters):
        super().__init__(
            {
                "reference": In(ClickSlot(parameters)),
                "merged": In(1),
                "enable": In(1),
                "clear": In(1),
                "attempt_clocks": In(32),
                "reference_timeout": In(32),
                "skip": In(32),
                "start": Out(1),
                "count": Out(32),
                "ahead": Out(32),
                "inside": Out(1),
                "sub": Out(parameters.sub_bits),
                "number": Out(1),
                "flagged": Out(1),
                "doubled": Out(1),
                "missed": Out(1),
                "idle": Out(1),
                "deadline": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        left, patience = self._follow(m), self._time_out(m)
        running = left >= 0
        rest = Mux(running, left, NEVER)
        m.d.comb += [
            self.idle.eq(~self.start & (self.inside == running) & (patience >= 0)),
            self.deadline.eq(Mux(rest < patience, rest, patience)),
        ]
        return m

    def _follow(self, m):
        reference, accept = Signal(), Signal()
        left = Signal(signed(33), init=-1)  # clocks that the attempt has after this one; negative: none runs
        left_at_start = Signal.like(left)
        doubled = Signal()
        m.d.comb += [
            reference.eq(self.reference.valid & self.enable),
            accept.eq(reference & (left < 0)),
            doubled.eq(reference & ~accept | self.merged & self.enable),
        ]
        m.d.sync += [
            left_at_start.eq(self.attempt_clocks - 2),
            self.start.eq(accept),
            self.inside.eq(accept | (left >= 0)),
            self.doubled.eq(doubled),
        ]
        with m.If(accept):
            m.d.sync += [
                left.eq(left_at_start),
                self.count.eq(0),
                self.ahead.eq(1),
                self.sub.eq(self.reference.sub),
                self.number.eq(~self.number),
                self.flagged.eq(doubled),
            ]
        with m.Else():
            m.d.sync += [self.count.eq(self.ahead + self.skip), self.ahead.eq(self.ahead + 1 + self.skip)]
            with m.If(left >= 0):
                m.d.sync += left.eq(left - 1 - self.skip)
            with m.If(doubled):
                m.d.sync += self.flagged.eq(1)
        with m.If(self.clear):
            m.d.sync += left.eq(-1)
        return left

    def _time_out(self, m):
        wanted, timing = Signal(), Signal()  # not before `left_at_start` is of the new timeout
        left = Signal(signed(33))  # negative: the clock shown is the last one of the timeout
        left_at_start = Signal.like(left)
        missed = Signal()
        m.d.comb += [
            missed.eq(timing & (left < 0) & ~self.reference.valid),
        ]
        m.d.sync += [
            wanted.eq(self.reference_timeout != 0),
            timing.eq(self.enable & wanted),
            left_at_start.eq(self.reference_timeout - 2),
            self.missed.eq(missed),
            left.eq(left - 1 - self.skip),
        ]
        with m.If(self.clear | ~timing | self.reference.valid | (left < 0)):
            m.d.sync += left.eq(left_at_start)
        return Mux(timing, left, NEVER)
