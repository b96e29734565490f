"""Which clicks are streamed."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import Keep

from .clock_delay import LAG, ClockDelay
from .interface import ClickSlot
from .pattern import Verdict
from .vicinity import MARK_LAG, VICINITY_LAG, HeraldMarks, Vicinity

__all__ = ["Filter", "FilterState", "SourceFilter"]

FilterState = data.StructLayout({"waiting": 1, "pending": 1, "late": 16})
"""`waiting`: clicks wait to be judged; `late`: for how many clocks each waits; `pending`: settings not yet in force."""


class Filter(data.StructLayout):
    """What the registers say."""

    def __init__(self, parameters):
        channels = parameters.channels
        super().__init__(
            {
                "keep": data.ArrayLayout(2, channels),
                "share": data.ArrayLayout(16, channels),  # one in `share + 1` is kept
                "vicinity": 16,  # ticks
            }
        )


class SourceFilter(wiring.Component):
    """Judge every click. If any channel keeps those near heralds only, the clicks of all wait until that can be known.

    New settings come into force as soon as no click waits.

    Members
    -------
    settings : In(Filter)
    streamed : In(channels), 0: none of this channel's clicks is wanted
    clock, clicks : In, what happened in which clock
    decided : In(patterns), verdicts : In(array of Verdict), in the same clock
    clock_out, clicks_out : Out, the same some clocks later, one at least
    wanted : Out(channels), which of these clicks are streamed
    state : Out(FilterState)
    idle : Out(1), if there is no click and no herald, nothing will happen
    """

    def __init__(self, parameters):
        self._parameters = parameters
        clicks = data.ArrayLayout(ClickSlot(parameters), parameters.channels)
        patterns = parameters.patterns
        super().__init__(
            {
                "settings": In(Filter(parameters)),
                "streamed": In(parameters.channels),
                "clock": In(parameters.clock_bits),
                "clicks": In(clicks),
                "decided": In(patterns),
                "verdicts": In(data.ArrayLayout(Verdict(parameters), patterns)),
                "clock_out": Out(parameters.clock_bits),
                "clicks_out": Out(clicks),
                "wanted": Out(parameters.channels),
                "state": Out(FilterState),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        happened = Cat(click.valid for click in self.clicks).any()
        copy, force = Signal(Filter(self._parameters)), Signal(Filter(self._parameters))
        adopt, waiting = Signal(), Signal()
        changing = self.settings.as_value() != copy.as_value()
        changed, due = Signal(), Signal()  # in this clock, and before but not yet in force
        m.d.comb += [
            self.state.pending.eq(changed | due),
            self.state.waiting.eq(waiting),
            adopt.eq((changed | due) & ~waiting),
        ]
        m.d.sync += [copy.eq(self.settings), changed.eq(changing), due.eq(self.state.pending & ~adopt)]
        with m.If(adopt):
            m.d.sync += force.eq(copy)

        clicks, near, late, busy = self.clicks, None, 0, 0
        if self._parameters.filter_depth:
            clicks, near, late, busy = self._wait(m, copy, adopt, happened, waiting)
        m.d.sync += [self.clicks_out.eq(clicks), self.clock_out.eq(self.clock - late)]
        m.d.comb += self.idle.eq(~busy & ~changing & ~self.state.pending & ~waiting)
        for c, click in enumerate(clicks):
            close = near.bit_select(click.sub, 1) if near is not None else 0
            chosen = self._choose(m, click.valid, force.share[c], adopt)
            m.d.sync += self.wanted[c].eq(self.streamed[c] & Array([1, chosen, close, 1])[force.keep[c]])
        return m

    def _choose(self, m, click, share, restart):
        """Return whether it is this click's turn: the first one's, and then that of one in `share + 1`."""
        left, again = Signal(signed(17), init=-1), Signal(signed(17))
        m.d.sync += again.eq(share - 1)
        with m.If(restart):
            m.d.sync += left.eq(-1)
        with m.Elif(click):
            m.d.sync += left.eq(Mux(left < 0, again, left - 1))
        return left < 0

    def _wait(self, m, copy, adopt, happened, waiting):
        """Return the clicks in the clock in which they are judged, the ticks near heralds, how late they are, and
        whether there is anything to wait for."""
        p = self._parameters
        using, late = Signal(), Signal(range(p.filter_depth))
        ticks = Signal(16)
        clocks = copy.vicinity[p.sub_bits :] + p.veto_depth + MARK_LAG + VICINITY_LAG
        nears = Cat(keep == Keep.NEAR_HERALDS for keep in copy.keep).any()
        with m.If(adopt):
            m.d.sync += [using.eq(nears), late.eq(Mux(nears, clocks, 0)), ticks.eq(copy.vicinity)]

        m.submodules.marks = marks = HeraldMarks(p)
        m.submodules.vicinity = vicinity = Vicinity(p, 16)
        m.submodules.line = line = ClockDelay(self.clicks.shape(), p.filter_depth)
        m.d.comb += [
            marks.enable.eq(using),
            marks.decided.eq(self.decided),
            marks.verdicts.eq(self.verdicts),
            vicinity.ticks.eq(ticks),
            vicinity.marks.eq(marks.marks),
            line.clocks.eq(late - LAG),
            self.state.late.eq(late),
        ]
        for inner, click in zip(line.i, self.clicks, strict=True):
            m.d.comb += [inner.valid.eq(click.valid & using), inner.sub.eq(click.sub)]

        # As long as these count, there may be clicks on their way, older clicks come out, heralds may matter.
        left, fill, kept = Signal.like(late), Signal.like(late), Signal(len(late) + 1)
        with m.If(happened & using):
            m.d.sync += left.eq(late)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(adopt):
            m.d.sync += fill.eq(clocks)
        with m.Elif(fill != 0):
            m.d.sync += fill.eq(fill - 1)
        with m.If(self.decided.any() & using):
            m.d.sync += kept.eq(late << 1)
        with m.Elif(kept != 0):
            m.d.sync += kept.eq(kept - 1)
        m.d.comb += waiting.eq(using & ((left != 0) | happened))
        clicks = Signal.like(self.clicks)
        for outer, inner, click in zip(clicks, line.o, self.clicks, strict=True):
            ripe = inner.valid & (fill == 0)
            m.d.comb += outer.eq(Mux(using, Cat(ripe, inner.sub), click))
        return clicks, vicinity.near, late, using & ((fill != 0) | (kept != 0) | marks.filling)
