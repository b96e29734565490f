"""All that clicks pass on their way to the host: filtered, queued, put in order, gathered into frames."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .click_framer import ClickFramer
from .clicks import ClickRecorder
from .frame_store import FrameSource
from .interface import ClickSlot
from .layouts import RecordWord
from .pattern import Verdict
from .record_queue import RecordQueue
from .source_filter import Filter, FilterState, SourceFilter
from .spill import Spill

__all__ = ["STREAM_LAG", "ClickStream"]

STREAM_LAG = 1  # clocks from clicks to what became of them, if none has to wait to be judged


class ClickStream(wiring.Component):
    """Stream clicks, or tell how many could not be.

    Members
    -------
    clock, clicks : In, what happened in which clock
    decided : In(patterns), verdicts : In(array of Verdict), in the same clock
    filter : In(Filter), filter_state : Out(FilterState), as `SourceFilter` has them
    streamed : In(channels), whose clicks are wanted
    coded, flush_clocks, flush, skip : In, as `ClickFramer` has them
    happened, filtered, lost : Out(channels), clicks, and what became of them; the others will be delivered
    source : Out(FrameSource)
    idle : Out(1), deadline : Out(32), as `ClickFramer` has them
    """

    def __init__(self, parameters):
        self._parameters = parameters
        channels, patterns = parameters.channels, parameters.patterns
        super().__init__(
            {
                "clock": In(parameters.clock_bits),
                "clicks": In(data.ArrayLayout(ClickSlot(parameters), channels)),
                "decided": In(patterns),
                "verdicts": In(data.ArrayLayout(Verdict(parameters), patterns)),
                "filter": In(Filter(parameters)),
                "filter_state": Out(FilterState),
                "streamed": In(channels),
                "coded": In(1),
                "flush_clocks": In(32),
                "flush": In(1),
                "skip": In(32),
                "happened": Out(channels),
                "filtered": Out(channels),
                "lost": Out(channels),
                "source": Out(FrameSource),
                "idle": Out(1),
                "deadline": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        p = self._parameters
        m.submodules.filter = judge = SourceFilter(p)
        m.submodules.recorder = recorder = ClickRecorder(p)
        m.submodules.before_queue = before = Spill(RecordWord)  # its memory is slow enough without others' stalls
        m.submodules.queue = queue = RecordQueue(p.record_depth)
        m.submodules.behind_queue = behind = Spill(RecordWord)
        m.submodules.framer = framer = ClickFramer(p)
        connect(m, recorder.records, before.i)
        connect(m, before.o, queue.i)
        connect(m, queue.o, behind.i)
        connect(m, behind.o, framer.records)
        connect(m, framer.source, flipped(self.source))
        m.d.comb += [
            judge.settings.eq(self.filter),
            judge.streamed.eq(self.streamed),
            judge.clock.eq(self.clock),
            judge.clicks.eq(self.clicks),
            judge.decided.eq(self.decided),
            judge.verdicts.eq(self.verdicts),
            self.filter_state.eq(judge.state),
            recorder.clock.eq(judge.clock_out),
            recorder.clicks.eq(judge.clicks_out),
            recorder.streamed.eq(judge.wanted),
            self.happened.eq(Cat(click.valid for click in recorder.clicks)),
            self.filtered.eq(recorder.filtered),
            self.lost.eq(recorder.lost),
            *(getattr(framer, name).eq(getattr(self, name)) for name in ("coded", "flush_clocks", "flush", "skip")),
            self.deadline.eq(framer.deadline),
            self.idle.eq(judge.idle & recorder.idle & queue.idle & framer.idle),
        ]
        return m
