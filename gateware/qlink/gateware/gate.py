"""Gates: which clicks of an attempt count."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .attempt import NEVER
from .interface import ClickSlot
from .pipeline import delayed


class Mark(wiring.Component):
    """Tell from which subtick on an attempt is at least `ticks` ticks old.

    No sum of 32 bits is made: `ticks` and the reference's subtick can carry by one clock at most, so the comparison is
    with the clocks of `ticks`, and taken one clock later when they carry.

    Members
    -------
    ticks : In(32)
    begin : In(1), the attempt starts in this clock
    sub : In, its reference's subtick
    count : In(32), clocks since then
    passed : Out(samples), one clock later: bit s is high when subtick s is at or after the mark
    near : Out(1), the mark is in this clock or was in the last one
    spare : Out(32), otherwise: clocks that may be skipped before it
    """

    def __init__(self, parameters):
        self.sub_bits = parameters.sub_bits
        super().__init__(
            {
                "ticks": In(32),
                "begin": In(1),
                "sub": In(parameters.sub_bits),
                "count": In(32),
                "passed": Out(parameters.samples),
                "near": Out(1),
                "spare": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()

        clocks = self.ticks[self.sub_bits :]
        parts = range(0, 32, 8)
        equal_parts, begun = Signal(len(parts)), Signal()
        m.d.sync += [
            equal_parts.eq(Cat(self.count[low : low + 8] == clocks[low : low + 8] for low in parts)),
            begun.eq(self.begin),
        ]

        place = Signal(self.sub_bits + 1)  # subtick of the mark, its highest bit: in the clock after
        with m.If(self.begin):
            m.d.sync += place.eq(self.ticks[: self.sub_bits] + self.sub)

        equal, equal_before, reached, past = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            equal.eq(equal_parts.all()),
            reached.eq(Mux(place[-1], equal_before & ~begun, equal)),
            self.passed.eq(Cat(past & ~begun | reached & (s >= place[:-1]) for s in range(len(self.passed)))),
        ]
        m.d.sync += [
            equal_before.eq(equal),
            past.eq(past & ~begun | reached),
        ]
        m.d.comb += [
            self.near.eq((self.count == clocks) | equal | equal_before),
            self.spare.eq(Mux(self.count < clocks, clocks - self.count - 1, NEVER)),
        ]

        return m


class Gate(wiring.Component):
    """Let a channel's clicks pass that lie in its gate of the running attempt.

    Members
    -------
    click : In(ClickSlot)
    start, stop : In(32), ticks after the reference
    always : In(1), free-running mode: every click passes
    begin, inside, sub, count : In, of the clock before that of `click`, see `AttemptTracker`
    clear : In(1), show no click
    counts : Out(1), three clocks after `click`: it passes
    gated : Out(ClickSlot), then too, unless `clear`
    ticks : Out(samples), the same, one bit a subtick
    near, spare : Out, about its opening and closing in the attempt that runs, see `Mark`
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "click": In(ClickSlot(parameters)),
                "start": In(32),
                "stop": In(32),
                "always": In(1),
                "begin": In(1),
                "inside": In(1),
                "sub": In(parameters.sub_bits),
                "count": In(32),
                "clear": In(1),
                "counts": Out(1),
                "gated": Out(ClickSlot(parameters)),
                "ticks": Out(parameters.samples),
                "near": Out(1),
                "spare": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()

        m.submodules.opens = opens = Mark(self.parameters)
        m.submodules.closes = closes = Mark(self.parameters)
        for mark, ticks in (opens, self.start), (closes, self.stop):
            m.d.comb += [
                mark.ticks.eq(ticks),
                mark.begin.eq(self.begin),
                mark.sub.eq(self.sub),
                mark.count.eq(self.count),
            ]

        m.d.comb += [
            self.near.eq(opens.near | closes.near),
            self.spare.eq(Mux(opens.spare < closes.spare, opens.spare, closes.spare)),
        ]

        click, inside = delayed(m, self.click, 2), delayed(m, self.inside, 1)
        passed = inside.replicate(len(self.ticks)) & opens.passed & ~closes.passed | self.always.replicate(
            len(self.ticks)
        )
        counts = click.valid & passed.bit_select(click.sub, 1)
        m.d.sync += [
            self.counts.eq(counts),
            self.gated.valid.eq(counts & ~self.clear),
            self.gated.sub.eq(click.sub),
            self.ticks.eq(Cat(passed[s] & click.valid & (click.sub == s) for s in range(len(self.ticks)))),
        ]
        with m.If(self.clear):
            m.d.sync += self.ticks.eq(0)

        return m
