"""Delays between the clicks of two channels, counted at full rate."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import HISTOGRAM_OFFSET_CLOCKS

from .click_delay import ClickDelay
from .histogram_half import HistogramHalf
from .interface import ClickSlot
from .tally import COUNT_BITS

__all__ = ["LOOK_CLOCKS", "Histogram", "HistogramControl", "HistogramState"]

OFFSET_DEPTH = 1 << (HISTOGRAM_OFFSET_CLOCKS + 1).bit_length()
SETTLE = 32  # clocks in which a click is counted, once its delay is over
LOOK_CLOCKS = 7  # from `look` to `bin`


class HistogramControl(data.StructLayout):
    """What the registers say. All but `run`, `clear` and `look` may change only while `run` is 0."""

    def __init__(self, parameters):
        super().__init__(
            {
                "run": 1,
                "clear": 1,  # for one clock: set all to 0
                "start": 8,  # channel
                "stop": 8,
                "width": 4,  # of a bin, in ticks: this power of 2
                "clocks": HISTOGRAM_OFFSET_CLOCKS.bit_length(),  # by which the start's clicks are late
                "of_stop": 1,  # ... or the stop's
                "look": range(max(2, parameters.histogram_bins)),  # the bin to be shown
            }
        )


HistogramState = data.StructLayout(
    {"clearing": 1, "saturated": 1, "starts": 32, "stops": 32, "outside": 32, "bin": COUNT_BITS}
)
"""What the registers show. Counts keep to all ones once they have come there; `bin` is right while `run` is 0."""


class Histogram(wiring.Component):
    """Count each click of two channels by how long it came after the last one of the other.

    The rule is that of `qlink.sim.histogram`. The stops make up the upper half of the bins, the starts the lower one,
    so that each half counts one click a clock at most.

    Members
    -------
    clicks : In(array of ClickSlot)
    control : In(HistogramControl)
    state : Out(HistogramState)
    skip : In(32), at the coming edge let `1 + skip` clocks pass; only when `idle`
    idle : Out(1), if there are no clicks, nothing will happen
    """

    def __init__(self, parameters):
        self._parameters = parameters
        super().__init__(
            {
                "clicks": In(data.ArrayLayout(ClickSlot(parameters), parameters.channels)),
                "control": In(HistogramControl(parameters)),
                "state": Out(HistogramState),
                "skip": In(32),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control, enable = Signal.like(self.control), Signal()
        m.submodules.upper = upper = HistogramHalf(self._parameters, later=False)
        m.submodules.lower = lower = HistogramHalf(self._parameters, later=True)
        zero, sweep = self._clear(m, control)
        m.d.sync += [control.eq(self.control), enable.eq(control.run & ~self.state.clearing)]
        start, stop, delay = self._delayed(m, control, enable)

        for half, click, other in ((upper, stop, start), (lower, start, stop)):
            m.d.comb += [
                half.click.eq(click),
                half.other.eq(other),
                half.enable.eq(enable),
                half.skip.eq(self.skip),
                half.width.eq(control.width),
                half.zero.eq(zero),
            ]
        m.d.comb += [
            upper.look.eq(Mux(zero, sweep, control.look[:-1])),
            lower.look.eq(Mux(zero, sweep, ~control.look[:-1])),
        ]
        m.d.sync += self.state.bin.eq(Mux(control.look[-1], upper.value, lower.value))

        self._count(m, control.clear, start.valid & enable, stop.valid & enable, upper, lower)
        self._rest(m, control, enable, delay)
        return m

    def _clear(self, m, control):
        """Set one bin of each half to 0 after the other, when all under way is counted."""
        half = self._parameters.histogram_bins // 2
        sweep, pause, zero = Signal(range(half)), Signal(range(SETTLE)), Signal()
        with m.FSM():
            with m.State("COUNT"):
                m.d.sync += [self.state.clearing.eq(control.clear), pause.eq(SETTLE - 1), sweep.eq(0)]
                with m.If(control.clear):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += [pause.eq(pause - 1), zero.eq(pause == 0)]
                with m.If(pause == 0):
                    m.next = "SWEEP"
            with m.State("SWEEP"):
                m.d.sync += [sweep.eq(sweep + 1), pause.eq(SETTLE - 1)]
                with m.If(sweep == half - 1):
                    m.d.sync += zero.eq(0)
                    m.next = "END"
            with m.State("END"):
                m.d.sync += pause.eq(pause - 1)
                with m.If(pause == 0):
                    m.d.sync += self.state.clearing.eq(0)
                    m.next = "COUNT"
        return zero, sweep

    def _delayed(self, m, control, enable):
        """Return the starts and the stops, one of them late."""
        m.submodules.delay = delay = ClickDelay(self._parameters, OFFSET_DEPTH)
        start, stop = (Signal(ClickSlot(self._parameters), name=name) for name in ("start", "stop"))
        chosen = {}
        for name in ("start", "stop"):
            ours = Signal(self._parameters.channels, name=f"is_{name}")
            chosen[name] = Signal(ClickSlot(self._parameters), name=f"chosen_{name}")
            m.d.sync += [
                ours.eq(Cat(control[name] == c for c in range(len(ours)))),
                chosen[name].eq(_any(Mux(ours[c], click.as_value(), 0) for c, click in enumerate(self.clicks))),
            ]
        m.d.comb += [
            delay.enable.eq(enable),
            delay.clocks.eq(control.clocks),
            delay.late.eq(Mux(control.of_stop, chosen["stop"].as_value(), chosen["start"].as_value())),
            delay.prompt.eq(Mux(control.of_stop, chosen["start"].as_value(), chosen["stop"].as_value())),
        ]
        late, prompt = delay.late_out.as_value(), delay.prompt_out.as_value()
        m.d.sync += [start.eq(Mux(control.of_stop, prompt, late)), stop.eq(Mux(control.of_stop, late, prompt))]
        return start, stop, delay

    def _count(self, m, clear, start, stop, upper, lower):
        """Count the clicks that take part. The highest bit of each sum says that it is too much, and stays."""
        sums = []
        for name, events in (("starts", [start]), ("stops", [stop]), ("outside", [upper.outside, lower.outside])):
            total = Signal(COUNT_BITS + 1, name=name)
            amount = Signal(2, name=f"{name}_now")
            added = Signal(COUNT_BITS + 1, name=f"{name}_added")
            m.d.comb += added.eq(total[:-1] + amount)
            m.d.sync += [
                amount.eq(sum(events)),
                total.eq(Cat(added[:-1], added[-1] | total[-1])),
                self.state[name].eq(total[:-1] | total[-1].replicate(COUNT_BITS)),
            ]
            with m.If(self.state.clearing):
                m.d.sync += total.eq(0)
            sums.append(total)
        with m.If(self.state.clearing):
            m.d.sync += self.state.saturated.eq(0)
        with m.Elif(upper.full | lower.full | Cat(total[-1] for total in sums).any()):
            m.d.sync += self.state.saturated.eq(1)

    def _rest(self, m, control, enable, delay):
        left = Signal(range(SETTLE + 1), init=SETTLE)
        changing = (control.as_value() != self.control.as_value()) | (enable != control.run)
        clicks = Cat(click.valid for click in self.clicks).any()
        busy = Signal()
        m.d.comb += busy.eq(changing | control.clear | self.state.clearing | delay.busy | clicks)
        with m.If(busy):
            m.d.sync += left.eq(SETTLE)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += self.idle.eq(~busy & (left == 0))


def _any(values):
    return reduce(or_, values)
