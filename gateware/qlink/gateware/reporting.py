"""The back end: from what happened to bytes for the host, and from the host's bytes to settings."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import TIMES_LOST, CounterGroup, GlobalCounter, Kind, counter_index

from .click_stream import STREAM_LAG, ClickStream
from .counters import CounterBank, counter_indices
from .framer import Framer
from .histogram import Histogram
from .interface import ActionCounts, ClickSlot, Counts, ProgramBus, SequenceStatus, Settings, SyncStatus, herald_stream
from .layouts import stamped
from .losses import LossMeter
from .parameters import TICK_BITS
from .pattern import Verdict
from .pipeline import delayed
from .record_writer import RecordWriter
from .records import Merger, Serialiser
from .register_file import RegisterFile
from .requests import RequestParser, SerialRequestParser
from .sender import FrameSender
from .serial_losses import SerialLossMeter
from .serial_sender import SerialSender
from .timer import Timer, soonest

__all__ = ["Reporting"]

TAKEN_IN = 1  # clocks from what comes in to what is made of it, on a board that streams clicks
RANKED = (Kind.LOSS, Kind.HERALD, Kind.REPLY, Kind.TIME, Kind.COUNTER)  # what goes first of that which waits


class Reporting(wiring.Component):
    """Tell the host what happens, or how much of it could not be told.

    `clock`, `clicks`, `counts` and `heralds_lost` belong together, as in `Detection`. A snapshot holds what was counted
    in the clocks before its tick.

    Members
    -------
    clock, clicks, counts, heralds, heralds_lost, recorded : as in `Detection`
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
        self._lag = TAKEN_IN + STREAM_LAG if parameters.streams else 0  # clocks from counts to counters
        super().__init__(
            {
                "clock": In(parameters.clock_bits),
                "clicks": In(data.ArrayLayout(ClickSlot(parameters), parameters.channels)),
                "counts": In(Counts(parameters)),
                "heralds": In(herald_stream(parameters)),
                "heralds_lost": In(parameters.patterns),
                "recorded": In(1),
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
        m.submodules.parser = parser = SerialRequestParser() if p.compact else RequestParser()
        m.submodules.registers = registers = RegisterFile(p, self._build)
        m.submodules.counters = counters = CounterBank(counter_indices(p), self._counters_start)
        m.submodules.framer = framer = Framer(p)
        m.submodules.sender = sender = SerialSender() if p.compact else FrameSender()
        m.submodules.timer = timer = Timer()
        m.submodules.losses = losses = (SerialLossMeter if p.compact else LossMeter)(p, self._event_sources())
        connect(m, flipped(self.downstream), parser.bytes)
        connect(m, parser.commands, registers.commands)
        connect(m, registers.program, flipped(self.program))
        m.d.comb += [registers.status.eq(self.status), registers.sync_status.eq(self.sync_status)]
        events, written = self._write(m, framer)
        connect(m, framer.source, sender.source if p.compact else sender.sources[0])
        connect(m, sender.bytes, flipped(self.upstream))

        came, counts, clicks = self._take_in(m)
        clock, counts, stream = self._stream(m, came, counts, clicks, registers, sender)
        m.d.comb += [
            losses.clock.eq(clock),
            losses.lost[: p.patterns].eq(delayed(m, self.heralds_lost, self._lag)),
        ]
        due = self._time_snapshots(m, timer, registers)
        self._snap(m, due, clock, counters, losses, events[Kind.COUNTER])
        self._reply(m, clock, registers, events[Kind.REPLY])
        self._follow_epochs(m, came, registers, sender)
        if p.times:
            self._pass_times(m, losses, registers, events[Kind.TIME])
        self._pass_heralds(m, losses, events[Kind.HERALD], events[Kind.LOSS])
        resting = self._tally_delays(m, clicks, registers)
        self._count(m, counts, stream, losses, parser, counters)

        framers = (framer, *stream)
        to_snapshot = timer.spare | (registers.snapshot_clocks == 0).replicate(32)
        m.d.comb += [
            self.settings.eq(registers.settings),
            *(f.flush_clocks.eq(registers.flush_clocks) for f in framers),
            *(f.flush.eq(registers.flush) for f in framers),
            *(f.skip.eq(self.skip) for f in framers),
            self.deadline.eq(soonest(m, (to_snapshot, *(f.deadline for f in framers)))),
        ]
        quiet = [part.idle for part in (*framers, sender, losses, registers, parser)]
        quiet += [
            resting,
            written,
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

    def _write(self, m, framer):
        """Make records of events, for `framer`. Returns the stream of each kind, and whether none is under way."""
        ranked = [k for k in RANKED if k is not Kind.TIME or self._parameters.times]
        if self._parameters.compact:
            m.submodules.writer = writer = RecordWriter(ranked, (Kind.LOSS, Kind.HERALD))
            connect(m, writer.records, framer.records)
            return {kind: getattr(writer, kind.name.lower()) for kind in ranked}, writer.idle
        m.submodules.merger = merger = Merger(len(ranked))
        connect(m, merger.records, framer.records)
        events, idle = {}, merger.idle
        for kind, source in zip(ranked, merger.sources, strict=True):
            m.submodules[f"{kind.name.lower()}_records"] = serialiser = Serialiser(kind)
            connect(m, serialiser.records, source)
            events[kind] = serialiser.events
            idle &= serialiser.events.ready
        return events, idle

    def _event_sources(self):
        patterns = range(self._parameters.patterns)
        times = TIMES_LOST.values() if self._parameters.times else ()
        singles = (counter_index(CounterGroup.GLOBAL, member) for member in (*times, GlobalCounter.SNAPSHOTS_LOST))
        return [*(counter_index(CounterGroup.HERALDS_LOST, p) for p in patterns), *singles]

    def _take_in(self, m):
        """Register what comes in, all by the same clock, unless there is time for more in that clock."""
        if not self._parameters.streams:
            return self.clock, self.counts, self.clicks
        counts, clicks = Signal.like(self.counts), Signal.like(self.clicks)
        m.d.sync += [counts.eq(self.counts), clicks.eq(self.clicks)]
        return self._pass_clock(m, self.clock), counts, clicks

    def _pass_clock(self, m, clock):
        """Return the clock number a clock later. A skipped clock passes here as it does in front."""
        later = Signal.like(clock)
        m.d.sync += later.eq(clock + self.skip)
        return later

    def _stream(self, m, clock, counts, clicks, registers, sender):
        """Stream the clicks; return clock and counts in step with what becomes of them, and the stream, if any.

        Clicks that wait longer count when they have been judged.
        """
        if not self._parameters.streams:
            return clock, counts, ()
        m.submodules.stream = stream = ClickStream(self._parameters)
        connect(m, stream.source, sender.sources[1])
        m.d.comb += [
            stream.clock.eq(clock),
            stream.clicks.eq(clicks),
            stream.decided.eq(counts.heralds),
            stream.verdicts.eq(delayed(m, self.verdicts, TAKEN_IN)),
            stream.filter.eq(registers.filter),
            stream.streamed.eq(registers.stream_channels),
            stream.coded.eq(registers.coded),
            registers.filter_state.eq(stream.filter_state),
        ]
        counts_then = Signal.like(counts)
        m.d.sync += counts_then.eq(counts)
        return self._pass_clock(m, clock), counts_then, (stream,)

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

    def _snap(self, m, due, clock, counters, losses, events):
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
        event = events.payload
        m.d.comb += [
            event.tick.eq(tick),
            event.snapshot.eq(number),
            event.index.eq(counters.snapshot.payload.index),
            event.value.eq(counters.snapshot.payload.value),
            events.valid.eq(counters.snapshot.valid),
            counters.snapshot.ready.eq(events.ready),
        ]

    def _reply(self, m, clock, registers, events):
        m.d.comb += [
            events.payload.eq(Cat(Const(0, self._parameters.sub_bits), clock, registers.replies.payload)),
            events.valid.eq(registers.replies.valid),
            registers.replies.ready.eq(events.ready),
        ]

    def _follow_epochs(self, m, clock, registers, sender):
        """Tell what timebase records are of."""
        wraps = Signal()  # the next epoch stands before any event of it is in a frame
        last = Signal()
        m.d.sync += [last.eq(clock[-1]), wraps.eq(last & ~clock[-1])]
        m.d.comb += [
            registers.wrap.eq(wraps),
            sender.epoch.eq(registers.epoch),
            sender.wrapped.eq(delayed(m, ~last, 2)),  # not before the epoch is the next one, there
        ]

    def _pass_times(self, m, losses, registers, times):
        """Let the records of other clocks through."""
        patterns = self._parameters.patterns
        connect(m, flipped(self.times), times)
        m.d.comb += [
            losses.lost[patterns:][: len(TIMES_LOST)].eq(delayed(m, self.times_lost, self._lag)),
            losses.may_close[patterns:][: len(TIMES_LOST)].eq((~self.times.valid).replicate(len(TIMES_LOST))),
            self.time_pps.eq(registers.time_pps),
            self.time_ten_mhz.eq(registers.time_ten_mhz),
            self.time_rearm.eq(registers.time_rearm),
        ]

    def _pass_heralds(self, m, losses, heralds, brackets):
        """Let heralds and the brackets of lost ones keep their order.

        A bracket is closed when all heralds before it have gone; those after it wait until it has.
        """
        patterns = self._parameters.patterns
        gone, blocked = ~self.heralds.valid & heralds.ready, ~brackets.ready
        held = Signal()  # a register: it stalls wide queues. So it is high for what may close, before it is known
        begun = Signal()  # a record is under way that comes word by word
        if self._parameters.compact:
            gone, blocked = ~self.heralds.valid & self.recorded, 0
            with m.If(self.heralds.valid & self.heralds.ready):
                m.d.sync += begun.eq(~self.heralds.payload.last)
        passing = ~held | begun
        m.d.sync += held.eq(losses.closing.any() | losses.pending | blocked)
        m.d.comb += [
            losses.may_close[:patterns].eq(gone.replicate(patterns)),
            heralds.payload.eq(self.heralds.payload),
            heralds.valid.eq(self.heralds.valid & passing),
            self.heralds.ready.eq(heralds.ready & passing),
        ]
        connect(m, losses.records if self._parameters.compact else losses.brackets, brackets)

    def _count(self, m, counts, stream, losses, parser, counters):
        """Lay what is to be counted in the order of `counter_indices`."""
        p = self._parameters
        late = self._lag
        globals_ = {
            GlobalCounter.ATTEMPTS: counts.attempts,
            GlobalCounter.REFERENCES_DOUBLED: counts.references_doubled,
            GlobalCounter.REFERENCES_MISSED: counts.references_missed,
            GlobalCounter.REQUESTS_BAD: parser.bad,
            GlobalCounter.SNAPSHOTS_LOST: losses.lost[-1],
            GlobalCounter.TIMES_MERGED: delayed(m, self.times_merged, late),
            GlobalCounter.PPS_LOST: losses.lost[p.patterns] if p.times else Const(0),
            GlobalCounter.TEN_MHZ_LOST: losses.lost[p.patterns + 1] if p.times else Const(0),
            GlobalCounter.SYNC_MISSED: counts.sync_missed,
            GlobalCounter.SYNC_DOUBLED: counts.sync_doubled,
            GlobalCounter.SYNC_CORRUPT: counts.sync_corrupt,
            GlobalCounter.SYNC_DISAGREED: counts.sync_disagreed,
        }
        groups = {
            CounterGroup.CLICKS: stream[0].happened if stream else counts.clicks,
            CounterGroup.MERGED: counts.merged,
            CounterGroup.GATED: counts.gated,
            CounterGroup.CLICKS_LOST: Cat(s.lost for s in stream),
            CounterGroup.CLICKS_FILTERED: Cat(s.filtered for s in stream),
            CounterGroup.HERALDS: counts.heralds,
            CounterGroup.VETOED: counts.vetoed,
            CounterGroup.HERALDS_LOST: losses.lost[: p.patterns],
            CounterGroup.GLOBAL: Cat(globals_[k] for k in GlobalCounter),
            CounterGroup.ACCIDENTALS: counts.accidentals if p.accidentals else Cat(),
            CounterGroup.ACTIONS: delayed(m, self.actions.as_value(), late) if p.pulses else Const(0, 0),
        }
        m.d.comb += counters.increments.eq(Cat(groups[g] for g in CounterGroup))
