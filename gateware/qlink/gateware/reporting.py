"""The back end: from what happened to bytes for the host, and from the host's bytes to settings."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, Kind, counter_index

from .click_framer import ClickFramer
from .clicks import ClickRecorder
from .counters import CounterBank, counter_indices
from .framer import Framer
from .histogram import Histogram
from .interface import ActionCounts, ClickSlot, Counts, Herald, ProgramBus, SequenceStatus, Settings, SyncStatus
from .layouts import RecordWord, stamped
from .losses import LossMeter
from .parameters import TICK_BITS
from .pattern import Verdict
from .pipeline import delayed
from .record_queue import RecordQueue
from .records import Merger, Serialiser
from .register_file import RegisterFile
from .requests import RequestParser
from .sender import FrameSender
from .source_filter import SourceFilter
from .spill import Spill
from .timer import Timer

__all__ = ["Reporting"]

TIMES_LOST = (GlobalCounter.PPS_LOST, GlobalCounter.TEN_MHZ_LOST)  # in the order of wire.TimeSource
LOST_SINGLY = (*TIMES_LOST, GlobalCounter.SNAPSHOTS_LOST)


class Reporting(wiring.Component):
    """Tell the host what happens, or how much of it could not be told.

    `clock`, `clicks`, `counts` and `heralds_lost` belong together, as in `Detection`. A snapshot holds what was counted
    in the clocks before its tick.

    Members
    -------
    clock, clicks, counts, heralds, heralds_lost : as in `Detection`
    times, times_lost, times_merged : as `TimeCapture` has them
    actions : In(ActionCounts)
    settings : Out(Settings)
    time_pps, time_ten_mhz, time_rearm : Out, as in `RegisterFile`
    program : Out(ProgramBus)
    status : In(SequenceStatus)
    sync_status : In(SyncStatus)
    skip : In(32), at the coming edge let `1 + skip` clocks pass; only when `idle`, and at most `deadline`
    idle : Out(1), if nothing comes in, nothing will happen for `deadline` clocks
    deadline : Out(32)
    upstream : Out(stream of 8), bytes to the host
    downstream : In(stream of 8), bytes from the host
    """

    def __init__(self, parameters, build, counters_start=0):
        """`build` is what the identity says of the source; counters begin at `counters_start`."""
        self._parameters = parameters
        self._build = build
        self._counters_start = counters_start
        super().__init__(
            {
                "clock": In(parameters.clock_bits),
                "clicks": In(data.ArrayLayout(ClickSlot(parameters), parameters.channels)),
                "counts": In(Counts(parameters)),
                "heralds": In(stream.Signature(Herald)),
                "heralds_lost": In(parameters.patterns),
                "verdicts": In(data.ArrayLayout(Verdict(parameters), parameters.patterns)),
                "times": In(stream.Signature(stamped(Kind.TIME))),
                "times_lost": In(len(TIMES_LOST)),
                "times_merged": In(1),
                "actions": In(ActionCounts),
                "settings": Out(Settings(parameters)),
                "time_pps": Out(1),
                "time_ten_mhz": Out(32),
                "time_rearm": Out(1),
                "program": Out(ProgramBus),
                "status": In(SequenceStatus),
                "sync_status": In(SyncStatus),
                "skip": In(32),
                "idle": Out(1),
                "deadline": Out(32),
                "upstream": Out(stream.Signature(8)),
                "downstream": In(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        p = self._parameters
        m.submodules.parser = parser = RequestParser()
        m.submodules.registers = registers = RegisterFile(p, self._build)
        m.submodules.recorder = recorder = ClickRecorder(p)
        m.submodules.queue = queue = RecordQueue(p.record_depth)
        m.submodules.counters = counters = CounterBank(counter_indices(p), self._counters_start)
        m.submodules.framer = framer = Framer(p)
        m.submodules.click_framer = click_framer = ClickFramer(p)
        m.submodules.sender = sender = FrameSender()
        m.submodules.timer = timer = Timer()
        m.submodules.losses = losses = LossMeter(p, self._event_sources())
        m.submodules.merger = merger = Merger(5)
        serialisers = {kind: Serialiser(kind) for kind in Kind}
        for kind, serialiser in serialisers.items():
            m.submodules[f"{kind.name.lower()}_records"] = serialiser

        connect(m, flipped(self.downstream), parser.bytes)
        connect(m, parser.commands, registers.commands)
        connect(m, registers.program, flipped(self.program))
        m.d.comb += [registers.status.eq(self.status), registers.sync_status.eq(self.sync_status)]
        m.submodules.before_queue = before = Spill(RecordWord)  # its memory is slow enough without others' stalls
        m.submodules.behind_queue = behind = Spill(RecordWord)
        connect(m, recorder.records, before.i)
        connect(m, before.o, queue.i)
        connect(m, queue.o, behind.i)
        connect(m, behind.o, click_framer.records)
        ranked = [serialisers[k].records for k in (Kind.LOSS, Kind.HERALD, Kind.REPLY, Kind.TIME, Kind.COUNTER)]
        for source, records in zip(merger.sources, ranked, strict=True):
            connect(m, records, source)
        connect(m, merger.records, framer.records)
        for source, frames in zip(sender.sources, (framer.source, click_framer.source), strict=True):
            connect(m, frames, source)
        connect(m, sender.bytes, flipped(self.upstream))

        came, counts, clicks = self._take_in(m)
        clock, counts, judged = self._filter(m, came, counts, clicks, recorder, losses, registers)
        due = self._time_snapshots(m, timer, registers)
        self._snap(m, due, clock, counters, losses, serialisers[Kind.COUNTER])
        self._reply(m, clock, registers, serialisers[Kind.REPLY])
        self._pass_times(m, came, losses, registers, sender, serialisers[Kind.TIME])
        self._pass_heralds(m, losses, serialisers[Kind.HERALD], serialisers[Kind.LOSS])
        resting = judged & self._tally_delays(m, clicks, registers)
        self._count(m, counts, recorder, losses, parser, counters)

        framers = (framer, click_framer)
        to_snapshot = timer.spare | (registers.snapshot_clocks == 0).replicate(32)
        m.d.comb += [
            self.settings.eq(registers.settings),
            click_framer.coded.eq(registers.coded),
            *(f.flush_clocks.eq(registers.flush_clocks) for f in framers),
            *(f.flush.eq(registers.flush) for f in framers),
            *(f.skip.eq(self.skip) for f in framers),
            self.deadline.eq(_least(_least(*(f.deadline for f in framers)), to_snapshot)),
        ]
        quiet = [part.idle for part in (*framers, sender, merger, queue, recorder, losses, registers, parser)]
        quiet += [resting]
        quiet += [serialiser.events.ready for serialiser in serialisers.values()]
        quiet += [
            ~self.heralds.valid,
            ~self.times.valid,
            ~self.actions.as_value().any(),
            ~counters.busy,
            ~due,
            ~timer.start,
            ~counts.as_value().any(),
            ~losses.lost.any(),
        ]
        m.d.comb += self.idle.eq(Cat(quiet).all())
        return m

    def _event_sources(self):
        patterns = range(self._parameters.patterns)
        singles = (counter_index(CounterGroup.GLOBAL, member) for member in LOST_SINGLY)
        return [*(counter_index(CounterGroup.HERALDS_LOST, p) for p in patterns), *singles]

    def _take_in(self, m):
        """Register what comes in, all by the same clock. A skipped clock passes here as it does in front."""
        p = self._parameters
        clock, counts = Signal(p.clock_bits), Signal(Counts(p))
        clicks = Signal.like(self.clicks)
        m.d.sync += [clock.eq(self.clock + self.skip), counts.eq(self.counts), clicks.eq(self.clicks)]
        return clock, counts, clicks

    def _filter(self, m, clock, counts, clicks, recorder, losses, registers):
        """Have the clicks judged, a clock later at least; return clock and counts in step, and whether it is idle.

        Clicks that wait longer count when they have been judged, with all that becomes of them.
        """
        p = self._parameters
        m.submodules.filter = judge = SourceFilter(p)
        clock_then, counts_then = Signal.like(clock), Signal.like(counts)
        m.d.sync += [clock_then.eq(clock + self.skip), counts_then.eq(counts)]
        m.d.comb += [
            judge.settings.eq(registers.filter),
            judge.streamed.eq(registers.stream_channels),
            judge.clock.eq(clock),
            judge.clicks.eq(clicks),
            judge.decided.eq(counts.heralds),
            judge.verdicts.eq(delayed(m, self.verdicts, 1)),
            registers.filter_state.eq(judge.state),
            recorder.clock.eq(judge.clock_out),
            recorder.clicks.eq(judge.clicks_out),
            recorder.streamed.eq(judge.wanted),
            losses.clock.eq(clock_then),
            losses.lost[: p.patterns].eq(delayed(m, self.heralds_lost, 2)),
            losses.lost[p.patterns :][: len(TIMES_LOST)].eq(delayed(m, self.times_lost, 2)),
        ]
        return clock_then, counts_then, judge.idle & ~counts.as_value().any()

    def _tally_delays(self, m, clicks, registers):
        """Keep the histogram, if there is one; return whether it is idle."""
        if not self._parameters.histogram_bins:
            return Const(1)
        m.submodules.histogram = histogram = Histogram(self._parameters)
        m.d.comb += [
            histogram.clicks.eq(clicks),
            histogram.control.eq(registers.histogram),
            histogram.skip.eq(self.skip),
            registers.histogram_state.eq(histogram.state),
        ]
        return histogram.idle

    def _time_snapshots(self, m, timer, registers):
        """Return whether a snapshot is due: every `snapshot_clocks` exactly, or on command."""
        wanted = Signal()
        restart = Signal()
        m.d.sync += [wanted.eq(registers.snapshot_clocks != 0), restart.eq(registers.retimed)]
        due = Signal()
        m.d.comb += [
            timer.clocks.eq(registers.snapshot_clocks),
            timer.skip.eq(self.skip),
            timer.start.eq(restart | (wanted & timer.fired)),
            due.eq(registers.snapshot | (wanted & timer.fired & ~restart)),
        ]
        return due

    def _snap(self, m, due, clock, counters, losses, serialiser):
        """Take a snapshot, unless the one before is still on its way: then it is lost."""
        tick, number, next_number = Signal(TICK_BITS), Signal(16), Signal(16)
        lost = losses.lost[-1]
        m.d.comb += [
            counters.take.eq(due & ~counters.busy),
            lost.eq(due & counters.busy),
            losses.may_close[-1].eq(~counters.busy),
        ]
        with m.If(due):
            m.d.sync += next_number.eq(next_number + 1)
        with m.If(counters.take):
            m.d.sync += [tick.eq(Cat(Const(0, self._parameters.sub_bits), clock)), number.eq(next_number)]
        event = serialiser.events.payload
        m.d.comb += [
            event.tick.eq(tick),
            event.snapshot.eq(number),
            event.index.eq(counters.snapshot.payload.index),
            event.value.eq(counters.snapshot.payload.value),
            serialiser.events.valid.eq(counters.snapshot.valid),
            counters.snapshot.ready.eq(serialiser.events.ready),
        ]

    def _reply(self, m, clock, registers, serialiser):
        m.d.comb += [
            serialiser.events.payload.eq(Cat(Const(0, self._parameters.sub_bits), clock, registers.replies.payload)),
            serialiser.events.valid.eq(registers.replies.valid),
            registers.replies.ready.eq(serialiser.events.ready),
        ]

    def _pass_times(self, m, clock, losses, registers, sender, times):
        """Let the records of other clocks through, and tell what timebase they are of."""
        wraps = Signal()  # the next epoch stands before any event of it is in a frame
        last = Signal()
        connect(m, flipped(self.times), times.events)
        m.d.sync += [last.eq(clock[-1]), wraps.eq(last & ~clock[-1])]
        m.d.comb += [
            losses.may_close[self._parameters.patterns :][: len(TIMES_LOST)].eq((~self.times.valid).replicate(2)),
            registers.wrap.eq(wraps),
            sender.epoch.eq(registers.epoch),
            sender.wrapped.eq(delayed(m, ~last, 2)),  # not before the epoch is the next one, there
            self.time_pps.eq(registers.time_pps),
            self.time_ten_mhz.eq(registers.time_ten_mhz),
            self.time_rearm.eq(registers.time_rearm),
        ]

    def _pass_heralds(self, m, losses, heralds, brackets):
        """Let heralds and the brackets of lost ones keep their order.

        A bracket is closed when all heralds before it have gone; those after it wait until it has.
        """
        patterns = self._parameters.patterns
        gone = Signal()
        held = Signal()  # a register: it stalls wide queues. So it is high for what may close, before it is known
        m.d.sync += held.eq(losses.closing.any() | losses.pending | ~brackets.events.ready)
        m.d.comb += [
            gone.eq(~self.heralds.valid & heralds.events.ready),
            losses.may_close[:patterns].eq(gone.replicate(patterns)),
            heralds.events.payload.eq(self.heralds.payload),
            heralds.events.valid.eq(self.heralds.valid & ~held),
            self.heralds.ready.eq(heralds.events.ready & ~held),
        ]
        connect(m, losses.brackets, brackets.events)

    def _count(self, m, counts, recorder, losses, parser, counters):
        """Lay what is to be counted in the order of `counter_indices`."""
        p = self._parameters
        globals_ = {
            GlobalCounter.ATTEMPTS: counts.attempts,
            GlobalCounter.REFERENCES_DOUBLED: counts.references_doubled,
            GlobalCounter.REFERENCES_MISSED: counts.references_missed,
            GlobalCounter.REQUESTS_BAD: parser.bad,
            GlobalCounter.SNAPSHOTS_LOST: losses.lost[-1],
            GlobalCounter.TIMES_MERGED: delayed(m, self.times_merged, 2),
            GlobalCounter.PPS_LOST: losses.lost[p.patterns],
            GlobalCounter.TEN_MHZ_LOST: losses.lost[p.patterns + 1],
            GlobalCounter.SYNC_MISSED: counts.sync_missed,
            GlobalCounter.SYNC_DOUBLED: counts.sync_doubled,
            GlobalCounter.SYNC_CORRUPT: counts.sync_corrupt,
            GlobalCounter.SYNC_DISAGREED: counts.sync_disagreed,
        }
        groups = {
            CounterGroup.CLICKS: Cat(click.valid for click in recorder.clicks),
            CounterGroup.MERGED: counts.merged,
            CounterGroup.GATED: counts.gated,
            CounterGroup.CLICKS_LOST: recorder.lost,
            CounterGroup.CLICKS_FILTERED: recorder.filtered,
            CounterGroup.HERALDS: counts.heralds,
            CounterGroup.VETOED: counts.vetoed,
            CounterGroup.HERALDS_LOST: losses.lost[: p.patterns],
            CounterGroup.GLOBAL: Cat(globals_[k] for k in GlobalCounter),
            CounterGroup.ACCIDENTALS: counts.accidentals if p.accidentals else Cat(),
            CounterGroup.ACTIONS: delayed(m, self.actions.as_value(), 2) if p.pulses else Const(0, 0),
        }
        m.d.comb += counters.increments.eq(Cat(groups[g] for g in CounterGroup))


def _least(a, b):
    return Mux(a < b, a, b)
