"""Which ticks are near a herald."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .clock_delay import LAG, ClockDelay
from .pattern import Verdict
from .sampler import last_set

__all__ = ["MARK_LAG", "VICINITY_LAG", "HeraldMarks", "Vicinity"]

MARK_LAG = LAG + 2
VICINITY_LAG = 4


class HeraldMarks(wiring.Component):
    """Bring heralds back to the order of their completing clicks, whenever they were decided.

    Members
    -------
    enable : In(1), 0: there are no marks, and those on their way are forgotten
    decided : In(patterns), a herald is decided in this clock
    verdicts : In(array of Verdict), in this clock, too
    marks : Out(samples), the subticks of the completing clicks in the clock `veto_depth + MARK_LAG` ago
    filling : Out(1), heralds that were decided before `enable`, or before a pattern's delay changed, are not marked yet
    """

    def __init__(self, parameters):
        self._parameters = parameters
        patterns = parameters.patterns
        super().__init__(
            {
                "enable": In(1),
                "decided": In(patterns),
                "verdicts": In(data.ArrayLayout(Verdict(parameters), patterns)),
                "marks": Out(parameters.samples),
                "filling": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        p = self._parameters
        lines, changed = [], Signal(p.patterns)
        for n in range(p.patterns):
            m.submodules[f"line{n}"] = line = ClockDelay(p.samples, 2 * p.veto_depth)
            verdict = self.verdicts[n]
            delay, clocks = Signal.like(verdict.delay), Signal(range(p.veto_depth + 1))
            m.d.sync += [
                line.i.eq(Cat(self.decided[n] & (verdict.decided_sub == s) for s in range(p.samples))),
                delay.eq(verdict.delay),
                changed[n].eq(delay != verdict.delay),
                clocks.eq(p.veto_depth - delay),
            ]
            m.d.comb += line.clocks.eq(clocks)
            lines.append(line)

        fill = Signal(range(p.veto_depth + MARK_LAG + 1))
        filled = Signal()
        with m.If(~self.enable | changed.any()):
            m.d.sync += [fill.eq(p.veto_depth + MARK_LAG), filled.eq(0)]
        with m.Elif(fill != 0):
            m.d.sync += fill.eq(fill - 1)
        with m.Else():
            m.d.sync += filled.eq(1)
        m.d.comb += self.filling.eq(~filled | changed.any())
        with m.If(filled):
            m.d.sync += self.marks.eq(reduce(or_, (line.o for line in lines)))
        with m.Else():
            m.d.sync += self.marks.eq(0)
        return m


class Vicinity(wiring.Component):
    """Tell which ticks have a mark at most `ticks` before or after them.

    Members
    -------
    ticks : In(bits); after a change, `near` is wrong for as long as the old or new vicinity lasts
    marks : In(samples)
    near : Out(samples), about the clock of `marks` that was shown `ticks // samples + VICINITY_LAG` ago
    """

    def __init__(self, parameters, bits):
        self._parameters = parameters
        super().__init__({"ticks": In(bits), "marks": In(parameters.samples), "near": Out(parameters.samples)})

    def elaborate(self, platform):
        m = Module()
        reached = self._stretch(m)
        before, pair = Signal.like(reached), Signal(2 * len(reached))
        m.d.comb += pair.eq(Cat(before, reached))
        m.d.sync += [
            before.eq(reached),
            self.near.eq(pair >> self.ticks[: self._parameters.sub_bits]),
        ]
        return m

    def _stretch(self, m):
        """Return which ticks have a mark up to `2 * ticks` before them."""
        samples, sub_bits = self._parameters.samples, self._parameters.sub_bits
        length = 2 * self.ticks
        end = data.StructLayout({"sub": sub_bits, "clocks": len(length) + 1 - sub_bits})
        ends = [Signal(end, name=f"end{s}") for s in range(samples)]  # the last tick reached from subtick s
        within = Signal(samples)  # whether so many ticks are reached
        m.d.sync += [within.eq(Cat(length >= distance for distance in range(samples)))]
        m.d.sync += [ends[s].as_value().eq(length + s) for s in range(samples)]

        here, some, last = Signal(samples), Signal(), Signal(range(samples))
        m.d.sync += [
            here.eq(Cat(Cat(self.marks[c] & within[s - c] for c in range(s + 1)).any() for s in range(samples))),
            some.eq(self.marks.any()),
            last.eq(last_set(m, self.marks)),
        ]

        # `left` counts from the clock before: 1 is the one that is under way.
        left, sub = Signal(len(ends[0].clocks)), Signal(sub_bits)
        with m.If(some):
            m.d.sync += [left.eq(Array(e.clocks for e in ends)[last]), sub.eq(Array(e.sub for e in ends)[last])]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        reached = Signal(samples)
        m.d.sync += reached.eq(here | Cat((left > 1) | ((left == 1) & (s <= sub)) for s in range(samples)))
        return reached
