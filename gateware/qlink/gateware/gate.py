"""Gates: which clicks of an attempt count."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot


class Mark(wiring.Component):
    """Tell from which subtick on an attempt is at least `ticks` ticks old.

    No sum of 32 bits is made: `ticks` and the reference's subtick can carry by one clock at most, so the comparison is
    with the clocks of `ticks`, and taken one clock later when they carry.

    Members
    -------
    ticks : In(32)
    accept : In(1), the attempt starts in this clock
    sub : In, its reference's subtick
    count : In(32), clocks since then, unless `accept`
    passed : Out(samples), one clock later: bit s is high when subtick s is at or after the mark
    """

    def __init__(self, parameters):
        self.sub_bits = parameters.sub_bits
        super().__init__(
            {
                "ticks": In(32),
                "accept": In(1),
                "sub": In(parameters.sub_bits),
                "count": In(32),
                "passed": Out(parameters.samples),
            }
        )

    def elaborate(self, platform):
        m = Module()

        clocks = self.ticks[self.sub_bits :]
        at_zero, equal_low, equal_high = Signal(), Signal(), Signal()
        m.d.sync += [
            at_zero.eq(clocks == 0),
            equal_low.eq(Mux(self.accept, at_zero, self.count[:16] == clocks[:16])),
            equal_high.eq(self.accept | (self.count[16:] == clocks[16:])),
        ]

        place = Signal(self.sub_bits + 1)  # subtick of the mark, its highest bit: in the clock after
        with m.If(self.accept):
            m.d.sync += place.eq(self.ticks[: self.sub_bits] + self.sub)

        start, equal, equal_before, reached, past = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            equal.eq(equal_low & equal_high),
            reached.eq(Mux(place[-1], equal_before & ~start, equal)),
            self.passed.eq(Cat(past & ~start | reached & (s >= place[:-1]) for s in range(len(self.passed)))),
        ]
        m.d.sync += [
            start.eq(self.accept),
            equal_before.eq(equal),
            past.eq(past & ~start | reached),
        ]

        return m


class Gate(wiring.Component):
    """Let a channel's clicks pass that lie in its gate of the running attempt; two clocks of latency.

    Members
    -------
    click : In(ClickSlot)
    start, stop : In(32), ticks after the reference
    always : In(1), free-running mode: every click passes
    accept, sub, count : In, of the attempt that `click` may belong to, see `AttemptTracker`
    inside : In(1), of the clock before
    gated : Out(ClickSlot)
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "click": In(ClickSlot(parameters)),
                "start": In(32),
                "stop": In(32),
                "always": In(1),
                "accept": In(1),
                "sub": In(parameters.sub_bits),
                "count": In(32),
                "inside": In(1),
                "gated": Out(ClickSlot(parameters)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        m.submodules.opens = opens = Mark(self.parameters)
        m.submodules.closes = closes = Mark(self.parameters)
        for mark, ticks in (opens, self.start), (closes, self.stop):
            m.d.comb += [
                mark.ticks.eq(ticks),
                mark.accept.eq(self.accept),
                mark.sub.eq(self.sub),
                mark.count.eq(self.count),
            ]

        click = Signal.like(self.click)
        counts = self.inside & (opens.passed & ~closes.passed).bit_select(click.sub, 1)
        m.d.sync += [
            click.eq(self.click),
            self.gated.valid.eq(click.valid & (self.always | counts)),
            self.gated.sub.eq(click.sub),
        ]

        return m
