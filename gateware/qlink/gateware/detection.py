"""The front end: from sampled pins to heralds."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import SYNC_LINES, SYNC_NUMBER_BITS, TRIGGERS, Mode

from .accidentals import FOUND, AccidentalFinder, ShiftLine
from .attempt import NEVER, AttemptTracker
from .capture import STAMP_BITS
from .completion import FIRED
from .delay import DelayLine
from .gate import Gate
from .herald import HeraldWriter
from .input_delay import InputDelays
from .interface import (
    ClickSlot,
    Counts,
    Now,
    ProgramBus,
    SequenceStatus,
    Settings,
    Slot,
    SyncCounts,
    SyncStatus,
    herald_stream,
)
from .order import DecisionQueue
from .pattern import DECISION, Pattern, Verdict
from .pipeline import delayed
from .plain_heralds import PlainHeralds
from .plain_pattern import PLAIN_DECISION, PlainPattern
from .sampler import Sampler
from .sequencer import SequenceFlow, Sequencer
from .sync import SyncFlow, SyncLines
from .timebase import Timebase
from .timer import soonest

# Clocks behind the pins, or behind their delays. What belongs together is in step at each of them.
SAMPLED, FOLLOWED, GATED, TAPPED = 1, 1, 2, 3
VERDICT = TAPPED + FIRED

SETTLE = TAPPED + DECISION + 3  # in which all under way comes out, but for what waits for a verdict or for the link
CLEARING = 16  # clocks that the matcher is kept clear after a restart: longer than settings take to arrive everywhere


def decided(parameters):
    """Return how many clocks behind the pins, or behind their delays, it is decided on what they showed."""
    return fired(parameters) if parameters.compact else TAPPED + DECISION


def fired(parameters):
    """Return how many clocks behind these it is known whether patterns complete, if all their channels are needed."""
    return GATED + PLAIN_DECISION if parameters.compact else VERDICT


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
    triggers : Out(8), what makes attempts
    program : In(ProgramBus)
    status : Out(SequenceStatus)
    sync_in : In(3), sync_out : Out(3), lines from and to another board, see `SyncLines`
    sync_status : Out(SyncStatus)
    clock : Out, the clock number shown
    clicks : Out(array of ClickSlot), every click
    counts : Out(Counts)
    heralds : Out(stream of Herald, or of RecordWord), in order of decision, see `herald_stream`
    recorded : Out(1), no herald waits for its record, but for those in `heralds`
    verdicts : Out(array of Verdict), of each pattern
    clear : Out(1), the matcher forgets everything
    heralds_lost : Out(patterns), a herald of this pattern was decided in `clock` and has no record
    """

    def __init__(self, parameters, timebase_start=0):
        """Clocks are numbered from `timebase_start` on."""
        self.parameters = parameters
        self._decided = decided(parameters)
        self._timebase_start = timebase_start
        super().__init__(
            {
                "samples": In(parameters.channels * parameters.samples),
                "reference": In(parameters.samples),
                "settings": In(Settings(parameters)),
                "skip": In(32),
                "idle": Out(1),
                "deadline": Out(32),
                "pins": Out(4),
                "triggers": Out(TRIGGERS),
                "program": In(ProgramBus),
                "status": Out(SequenceStatus),
                "sync_in": In(SYNC_LINES),
                "sync_out": Out(SYNC_LINES),
                "sync_status": Out(SyncStatus),
                "clock": Out(parameters.clock_bits),
                "clicks": Out(data.ArrayLayout(ClickSlot(parameters), parameters.channels)),
                "counts": Out(Counts(parameters)),
                "heralds": Out(herald_stream(parameters)),
                "recorded": Out(1),
                "verdicts": Out(data.ArrayLayout(Verdict(parameters), parameters.patterns)),
                "clear": Out(1),
                "heralds_lost": Out(parameters.patterns),
            }
        )

    def elaborate(self, platform):
        m = Module()
        settings = self.settings

        clearing, clear = Signal(range(CLEARING + 1), init=CLEARING), Signal(init=1)
        m.d.sync += clear.eq(self.settings.restart | (clearing != 0))
        with m.If(settings.restart):
            m.d.sync += clearing.eq(CLEARING)
        with m.Elif(clearing != 0):
            m.d.sync += clearing.eq(clearing - 1)
        m.d.comb += self.clear.eq(clear)

        m.submodules.timebase = timebase = Timebase(self.parameters, self._decided, self._timebase_start)
        m.d.comb += [timebase.skip.eq(self.skip), self.clock.eq(timebase.clock)]

        sequence = self._sequence(m, clear)
        sync = self._keep_in_step(m, sequence, clear)
        pins, valid, delaying = self._delay(m, sequence, sync)
        samplers, reference, gated = self._sample(m, pins, valid, clear, sequence.own | sync.partner)
        tracker = self._follow_attempts(m, reference, gated, clear, sequence, sync)
        gates = self._gate(m, samplers, reference, tracker, clear)
        slot = self._gather(m, gates, tracker)
        if self.parameters.compact:
            late, patterns, pending = 0, self._match_plainly(m, slot, clear), 0
            recorded = self._record_plainly(m, slot, patterns, tracker)
        else:
            late, patterns = self._match(m, gates, slot, clear)
            pending = self._count_accidentals(m, slot.clicks, clear) if self.parameters.accidentals else 0
            recorded = self._record(m, patterns, tracker, sync)
        m.d.comb += self.recorded.eq(recorded)
        self._announce(m, patterns)
        if self.parameters.sequencer:
            self._choose_branch(m, patterns, sequence)

        deadlines = [tracker.deadline, sequence.deadline, sync.deadline]
        deadlines += (Mux(tracker.inside, gate.spare, NEVER) for gate in gates)
        m.d.comb += self.deadline.eq(soonest(m, deadlines))
        marking = tracker.inside & Cat(gate.near for gate in gates).any()
        busy = [settings.restart, ~tracker.idle, tracker.missed, sequence.busy, sync.busy, marking]
        self._rest(
            m,
            Cat(*(sampler.edge for sampler in samplers), reference.edge).any(),
            clear | delaying | Cat(busy).any() | late | pending,
            Cat(pattern.active for pattern in patterns).any(),
            recorded,
        )
        return m

    def _sequence(self, m, clear):
        """Play an attempt's triggers; on a board that cannot, they are low."""
        flow = Signal(SequenceFlow, init={"deadline": NEVER})
        if not self.parameters.sequencer:
            return flow
        m.submodules.sequencer = sequencer = Sequencer()
        wiring.connect(m, wiring.flipped(self.program), sequencer.program)
        able = Signal()
        m.d.sync += able.eq(self.settings.run & (self.settings.mode == Mode.GATED))
        m.d.comb += [
            sequencer.settings.eq(self.settings.sequence),
            sequencer.able.eq(able),
            sequencer.clear.eq(clear),
            *(getattr(sequencer, name).eq(flow[name]) for name in ("begin", "hold", "success", "ending")),
            sequencer.heralds.eq(self.pins),
            sequencer.branch.eq(flow.branch),
            sequencer.skip.eq(self.skip),
            *(flow[name].eq(getattr(sequencer, name)) for name in ("own", "reference", "playing", "busy", "deadline")),
            self.triggers.eq(sequencer.triggers),
            self.status.eq(sequencer.status),
        ]
        return flow

    def _keep_in_step(self, m, sequence, clear):
        """Listen and talk to the other board; on a board that cannot, there is none."""
        flow = Signal(SyncFlow, init={"deadline": NEVER})
        if not self.parameters.sync:
            return flow
        m.submodules.sync_lines = lines = SyncLines()
        m.d.comb += [
            lines.settings.eq(self.settings.sync),
            lines.inputs.eq(self.sync_in),
            self.sync_out.eq(lines.outputs),
            lines.clear.eq(clear),
            lines.herald.eq(self.pins.any()),
            lines.skip.eq(self.skip),
            *(getattr(lines, name).eq(flow[name]) for name in ("start", "resting", "upper")),
            *(flow[name].eq(getattr(lines, name)) for name in ("partner", "reference", "jump", "busy", "deadline")),
            *(sequence[name].eq(getattr(lines, name)) for name in ("hold", "success", "ending")),
            *(self.counts[f"sync_{name}"].eq(lines.counts[name]) for name in lines.counts.shape().members),
            self.sync_status.eq(lines.status),
        ]
        return flow

    def _delay(self, m, sequence, sync):
        """Return each pin's samples after its delay, whether they are as they should be, and whether more may come.

        A reference of the board's own, or of the other board, takes the pin's place, so that it has the same delay.
        """
        channels, samples = self.parameters.channels, self.parameters.samples
        pins = Signal(data.ArrayLayout(samples, channels + 1))
        inside = sequence.reference & sequence.own | sync.reference & sync.partner
        m.d.comb += pins.eq(Cat(self.samples, Mux(sequence.own | sync.partner, inside, self.reference)))
        if not self.parameters.delay_depth:
            return pins, Const(1), Const(0)
        m.submodules.delays = delays = InputDelays(self.parameters, channels + 1)
        m.d.comb += [delays.i.eq(pins), delays.ticks.eq(self.settings.delay)]
        return delays.o, delays.valid, delays.busy

    def _sample(self, m, pins, valid, clear, pulses):
        samplers = [Sampler(self.parameters) for _ in range(self.parameters.channels)]
        m.submodules.reference = reference = Sampler(self.parameters)
        run, gated = Signal(), Signal()
        m.d.sync += [
            run.eq(self.settings.run & valid),
            gated.eq(self.settings.run & valid & (self.settings.mode == Mode.GATED) & ~clear),
        ]
        m.d.comb += [reference.samples.eq(pins[self.parameters.channels]), reference.run.eq(gated)]
        m.d.comb += reference.pulses.eq(pulses)
        for channel, sampler in enumerate(samplers):
            m.submodules[f"sampler{channel}"] = sampler
            m.d.comb += [
                sampler.samples.eq(pins[channel]),
                sampler.run.eq(run),
                self.clicks[channel].eq(delayed(m, sampler.click, self._decided - SAMPLED)),
                self.counts.clicks[channel].eq(self.clicks[channel].valid),
                self.counts.merged[channel].eq(delayed(m, sampler.merged, self._decided - SAMPLED)),
            ]
        return samplers, reference, gated

    def _follow_attempts(self, m, reference, gated, clear, sequence, sync):
        m.submodules.tracker = tracker = AttemptTracker(self.parameters)
        m.d.comb += [
            tracker.reference.eq(reference.coming),
            tracker.merged.eq(reference.merges),
            tracker.enable.eq(gated),
            sequence.begin.eq(tracker.start),
            sync.start.eq(tracker.start),
            sync.resting.eq(~tracker.inside & ~sequence.playing & ~clear),
            tracker.clear.eq(clear),
            tracker.attempt_clocks.eq(self.settings.attempt_clocks),
            tracker.reference_timeout.eq(self.settings.reference_timeout),
            tracker.skip.eq(self.skip),
            self.counts.attempts.eq(delayed(m, tracker.start, self._decided - FOLLOWED)),
            self.counts.references_doubled.eq(delayed(m, tracker.doubled, self._decided - FOLLOWED)),
            self.counts.references_missed.eq(delayed(m, tracker.missed, self._decided - FOLLOWED)),
        ]
        return tracker

    def _gate(self, m, samplers, reference, tracker, clear):
        gates = []
        for channel, sampler in enumerate(samplers):
            m.submodules[f"gate{channel}"] = gate = Gate(self.parameters)
            m.d.comb += [
                gate.click.eq(sampler.click),
                gate.start.eq(self.settings.gate_start[channel]),
                gate.stop.eq(self.settings.gate_stop[channel]),
                gate.always.eq(self.settings.mode == Mode.FREE_RUNNING),
                gate.begin.eq(tracker.start),
                gate.inside.eq(tracker.inside),
                gate.sub.eq(tracker.sub),
                gate.ahead.eq(tracker.ahead),
                gate.clear.eq(clear),
                self.counts.gated[channel].eq(delayed(m, gate.counts, self._decided - GATED)),
            ]
            gates.append(gate)
        return gates

    def _gather(self, m, gates, tracker):
        """Return what the gates let pass of a clock, and its attempt."""
        slot = Signal(Slot(self.parameters))
        for channel, gate in enumerate(gates):
            m.d.comb += slot.clicks[channel].eq(gate.gated)
        for name in "start", "number", "flagged":
            m.d.comb += slot[name].eq(delayed(m, getattr(tracker, name), GATED - FOLLOWED))
        return slot

    def _match_plainly(self, m, slot, clear):
        patterns = []
        for index in range(self.parameters.patterns):
            m.submodules[f"pattern{index}"] = pattern = PlainPattern(self.parameters)
            m.d.comb += [
                pattern.settings.required.eq(self.settings.required[index]),
                pattern.settings.window.eq(self.settings.window[index]),
                pattern.clear.eq(clear),
                pattern.slot.eq(slot),
                self.counts.heralds[index].eq(pattern.decided),
                self.verdicts[index].eq(pattern.verdict),
            ]
            patterns.append(pattern)
        return patterns

    def _match(self, m, gates, slot, clear):
        """Return whether clicks wait to be looked at, and the patterns."""
        now = Signal(Now(self.parameters))
        for channel, gate in enumerate(gates):
            m.d.comb += now.clicks[channel].eq(gate.ticks)
        m.d.comb += [now.start.eq(slot.start), now.number.eq(slot.number)]
        m.submodules.line = line = DelayLine(self.parameters)
        m.d.comb += [line.slot.eq(slot), line.clear.eq(clear)]
        clock = Signal(STAMP_BITS - self.parameters.sub_bits)  # ages are differences: no matter where it starts
        m.d.sync += clock.eq(clock + 1)

        patterns = []
        for index in range(self.parameters.patterns):
            m.submodules[f"pattern{index}"] = pattern = Pattern(self.parameters)
            m.d.comb += [
                *(
                    getattr(pattern.settings, name).eq(self.settings[name][index])
                    for name in ("required", "forbidden", "window", "outcome", "minimum", "maximum", "guard")
                ),
                pattern.settings.gated.eq(self.settings.mode == Mode.GATED),
                pattern.clear.eq(clear),
                pattern.clock.eq(clock),
                pattern.now.eq(now),
                pattern.slot.eq(line.slots[index]),
                line.clocks[index].eq(pattern.delay),
                line.channels[index].eq(pattern.channels),
                self.counts.heralds[index].eq(pattern.decided),
                self.counts.vetoed[index].eq(pattern.vetoed),
                self.heralds_lost[index].eq(pattern.lost),
                self.verdicts[index].eq(pattern.verdict),
            ]
            patterns.append(pattern)
        return ~line.idle, patterns

    def _count_accidentals(self, m, clicks, clear):
        """Return whether a click may yet be part of a completion."""
        settings = self.settings
        enable = Signal()
        m.submodules.shift_line = line = ShiftLine(self.parameters)
        m.d.sync += [line.clocks.eq(settings.accidental_clocks), enable.eq(settings.accidental_clocks != 0)]
        m.d.comb += [line.clicks.eq(clicks), line.clear.eq(clear)]
        active = Signal(self.parameters.patterns)
        for index in range(self.parameters.patterns):
            m.submodules[f"accidentals{index}"] = finder = AccidentalFinder(self.parameters)
            m.d.comb += [
                finder.direct.eq(line.direct),
                finder.late.eq(line.late),
                finder.required.eq(settings.required[index]),
                finder.shifted.eq(settings.shifted[index]),
                finder.window.eq(settings.window[index]),
                finder.minimum.eq(settings.minimum[index]),
                finder.enable.eq(enable),
                finder.clear.eq(clear),
                active[index].eq(finder.active),
                self.counts.accidentals[index].eq(delayed(m, finder.found, self._decided - GATED - FOUND)),
            ]
        return ~line.idle | active.any()

    def _record(self, m, patterns, tracker, sync):
        """Return whether there is nothing to be recorded."""
        m.submodules.queue = queue = DecisionQueue(self.parameters)
        m.submodules.writer = writer = HeraldWriter(self.parameters)
        m.d.comb += [
            queue.clock.eq(self.clock),
            queue.decided.eq(self.counts.heralds),
            queue.kept.eq(self.counts.heralds & ~self.heralds_lost),
            queue.start.eq(self.counts.attempts),
            queue.sub.eq(delayed(m, tracker.sub, self._decided - FOLLOWED)),
            queue.missed.eq(self.counts.references_missed),
            queue.slipped.eq(Cat(self.counts[f"sync_{name}"] for name in SyncCounts.members).any()),
            queue.jump.eq(sync.jump),
            queue.number.eq(self.settings.sync.number),
            queue.take.eq(self.settings.sync.take),
            sync.upper.eq(queue.attempt[SYNC_NUMBER_BITS:]),
        ]
        wiring.connect(m, queue.queue, writer.queue)
        wiring.connect(m, wiring.flipped(self.heralds), writer.heralds)
        for index, pattern in enumerate(patterns):
            m.d.comb += [writer.heads[index].eq(pattern.head), pattern.take.eq(writer.take[index])]
        return queue.idle & writer.idle

    def _record_plainly(self, m, slot, patterns, tracker):
        """Return whether there is nothing to be recorded."""
        m.submodules.queue = queue = PlainHeralds(self.parameters)
        m.d.comb += [
            queue.clock.eq(self.clock),
            queue.decided.eq(self.counts.heralds),
            queue.begins.eq(delayed(m, tracker.start, self._decided - FOLLOWED - 1)),
            queue.start.eq(self.counts.attempts),
            queue.sub.eq(delayed(m, tracker.sub, self._decided - FOLLOWED)),
            queue.missed.eq(self.counts.references_missed),
            queue.slot.eq(delayed(m, slot, PLAIN_DECISION)),
            queue.gated.eq(self.settings.mode == Mode.GATED),
            self.heralds_lost.eq(queue.lost),
        ]
        for index, pattern in enumerate(patterns):
            m.d.comb += [
                queue.subs[index].eq(pattern.sub),
                queue.channels[index].eq(pattern.required),
                queue.outcomes[index].eq(self.settings.outcome[index]),
            ]
        wiring.connect(m, wiring.flipped(self.heralds), queue.records)
        return queue.idle

    def _announce(self, m, patterns):
        """The pins hang on logic: a board has registers of its own in the pins' IO cells."""
        for outcome, pin in enumerate(self.pins):
            fires = []
            for index, pattern in enumerate(patterns):
                plain, others = Signal(), Signal()
                ours = self.settings.outcome[index] == outcome
                if self.parameters.compact:
                    m.d.sync += plain.eq(ours)
                    fires.append(plain & pattern.decided)
                    continue
                m.d.sync += [plain.eq(ours & pattern.plain), others.eq(ours & ~pattern.plain)]
                fires.append(plain & pattern.fired | others & delayed(m, pattern.decided, 1))
            m.d.comb += pin.eq(Cat(fires).any())

    def _choose_branch(self, m, patterns, sequence):
        """With the pins: of the heralds that have a branch, take that of the lowest pattern."""
        branches, heralds = Signal.like(self.settings.sequence.branches), Signal(self.parameters.patterns)
        m.d.sync += branches.eq(self.settings.sequence.branches)
        outcomes = []
        for index, pattern in enumerate(patterns):
            outcome, branching = Signal(2, name=f"branch_outcome{index}"), Signal(name=f"branching{index}")
            m.d.sync += [outcome.eq(self.settings.outcome[index]), branching.eq(branches.bit_select(outcome, 1))]
            decided = Mux(pattern.plain, pattern.fired, delayed(m, pattern.decided, 1))
            m.d.comb += heralds[index].eq(branching & decided)
            outcomes.append(outcome)
        lowest = heralds & -heralds
        m.d.comb += [
            sequence.branch.valid.eq(heralds.any()),
            sequence.branch.outcome.eq(
                reduce(or_, (Mux(low, outcome, 0) for low, outcome in zip(lowest, outcomes, strict=False)))
            ),
        ]

    def _rest(self, m, edge, busy, active, recorded):
        """Be idle when nothing has happened for longer than anything takes to come out."""
        settling = Signal(range(SETTLE + 1), init=SETTLE)
        with m.If(edge | busy | active):
            m.d.sync += settling.eq(SETTLE)
        with m.Elif(settling != 0):
            m.d.sync += settling.eq(settling - 1)
        m.d.comb += self.idle.eq((settling == 0) & ~edge & ~busy & ~active & recorded)
