"""The front end: from sampled pins to heralds."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import ClickSlot, Counts, Herald, Settings


class Detection(wiring.Component):
    """Turn sampled detector pins into clicks, heralds and counts.

    `clock`, `clicks`, `counts` and `heralds_lost` belong together: they are what happened in clock number `clock`, in
    the clock in which they are shown. Nothing but `heralds` can be stalled; a herald that finds its queue full is lost,
    and shown so.

    Members
    -------
    samples : In(channels * samples), bit `c * samples + s` is channel `c` at subtick `s`, 0 the oldest
    reference : In(samples), the same for the reference
    settings : In(Settings)
    skip : In(32), at the coming edge let `1 + skip` clocks pass; only when `idle`, and at most `deadline`
    idle : Out(1), if no pin changes, nothing will happen for `deadline` clocks
    deadline : Out(32), how many clocks may be skipped before something happens by itself; saturates
    pins : Out(4), one per outcome, high for one clock a fixed number of clocks after the completing click
    clock : Out, the clock number shown
    clicks : Out(array of ClickSlot), every click
    counts : Out(Counts)
    heralds : Out(stream of Herald), in order of decision
    heralds_lost : Out(patterns), a herald of this pattern was decided in `clock` and has no record
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "samples": In(parameters.channels * parameters.samples),
                "reference": In(parameters.samples),
                "settings": In(Settings(parameters)),
                "skip": In(32),
                "idle": Out(1),
                "deadline": Out(32),
                "pins": Out(4),
                "clock": Out(parameters.clock_bits),
                "clicks": Out(data.ArrayLayout(ClickSlot(parameters), parameters.channels)),
                "counts": Out(Counts(parameters)),
                "heralds": Out(stream.Signature(Herald)),
                "heralds_lost": Out(parameters.patterns),
            }
        )

    def elaborate(self, platform):
        return Module()
