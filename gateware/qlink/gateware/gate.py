"""Gates: which clicks of an attempt count."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .attempt import NEVER
from .interface import ClickSlot


def reaches(m, count, clocks):
    """Return, one clock later, whether `count` is `clocks`. Both have as many bits, of 32 at most."""
    parts = range(0, len(count), 8)
    equal = Signal(len(parts))
    m.d.sync += equal.eq(Cat(count[low:][:8] == clocks[low:][:8] for low in parts))
    return equal.all()


class Mark(wiring.Component):
    """Tell from which subtick on an attempt is at least `ticks` ticks old.

    No sum of 32 bits is made: `ticks` and the reference's subtick can carry by one clock at most, so the comparison is
    with the clocks of `ticks`, and taken one clock later when they carry. No latency.

    Members
    -------
    ticks : In, as far as they are less than a clock
    begin : In(1), the attempt starts in this clock
    sub : In, its reference's subtick
    equal : In(1), so many clocks as `ticks` has have passed since then
    passed : Out(samples), bit s is high when subtick s is at or after the mark
    recent : Out(1), the comparison is true, or was in the last clock
    """

    def __init__(self, parameters):
        super().__init__(
            {
                "ticks": In(parameters.sub_bits),
                "begin": In(1),
                "sub": In(parameters.sub_bits),
                "equal": In(1),
                "passed": Out(parameters.samples),
                "recent": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        place, kept = Signal(len(self.ticks) + 1), Signal(len(self.ticks) + 1)  # subtick of the mark
        late = place[-1]  # it is in the clock after
        equal_before, reached, past = Signal(), Signal(), Signal()
        m.d.comb += [
            place.eq(Mux(self.begin, self.ticks + self.sub, kept)),
            reached.eq(Mux(late, equal_before & ~self.begin, self.equal)),
            self.passed.eq(Cat(past & ~self.begin | reached & (s >= place[:-1]) for s in range(len(self.passed)))),
            self.recent.eq(self.equal | equal_before),
        ]
        m.d.sync += [
            kept.eq(place),
            equal_before.eq(self.equal),
            past.eq(past & ~self.begin | reached),
        ]

        return m


class Gate(wiring.Component):
    """Let a channel's clicks pass that lie in its gate of the running attempt.

    Members
    -------
    click : In(ClickSlot)
    start, stop : In(32), ticks after the reference
    always : In(1), free-running mode: every click passes
    begin, inside, sub, ahead : In, of the clock of `click`, see `AttemptTracker`
    clear : In(1), show no click
    counts : Out(1), one clock after `click`: it passes
    gated : Out(ClickSlot), then too, unless `clear`
    ticks : Out(samples), the same, one bit a subtick
    near : Out(1), it opens or closes in this clock or the next, or did in the last one
    spare : Out(32), otherwise: clocks that may be skipped before it does
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
                "ahead": In(32),
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
        self._watch(m, opens, closes)

        click, inside = self.click, self.inside
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

    def _watch(self, m, opens, closes):
        """Compare the clocks a clock ahead; that an attempt's first clock is the one is known beforehand."""
        sub_bits, near, spare = self.parameters.sub_bits, [], []
        for mark, ticks in (opens, self.start), (closes, self.stop):
            clocks, first = ticks[sub_bits:], Signal()
            m.d.sync += first.eq(clocks == 0)
            m.d.comb += [
                mark.ticks.eq(ticks),
                mark.begin.eq(self.begin),
                mark.sub.eq(self.sub),
                mark.equal.eq(Mux(self.begin, first, reaches(m, self.ahead, clocks))),
            ]
            near.append((self.ahead == clocks) | mark.recent)
            spare.append(Mux(self.ahead < clocks, clocks - self.ahead - 1, NEVER))
        m.d.comb += [
            self.near.eq(Cat(near).any()),
            self.spare.eq(Mux(spare[0] < spare[1], spare[0], spare[1])),
        ]
