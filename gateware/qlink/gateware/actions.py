"""Feed-forward: output pulses at set ticks after the click that completed a herald."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import OUTPUTS
from qlink.firmware_bridge.wire import OUTCOMES

from .completion import FIRED
from .gate import Mark, reaches
from .interface import Action, ActionCounts, Settings
from .pattern import DECISION, Verdict
from .pipeline import delayed

__all__ = ["ACTION_CLOCKS", "ActionTable", "Actions"]

ACTION_CLOCKS = 8  # from a pattern's `fired` to the first tick that a pulse may begin at
COUNT_BITS = 26  # of clocks since the click: the highest is out of any pulse's reach


class Announcement(data.StructLayout):
    """A herald of an outcome: its click's subtick, and the clocks from the click to what is at the outputs now."""

    def __init__(self, parameters):
        super().__init__({"valid": 1, "sub": parameters.sub_bits, "earliest": range(parameters.veto_depth + 32)})


class Actions(wiring.Component):
    """Play the action table of each outcome that is heralded.

    An outcome is heralded at most once a clock: by the lowest of the patterns that fire. Its table is played whole or
    not at all: it is refused when a pulse would begin sooner than it can, and dropped while it is still being played.
    Pulses of several outcomes on one output add up. All outputs are low while `clear`.

    Members
    -------
    verdicts : In(array of Verdict)
    latency : clocks from a completing click to `Verdict.fired`, at elaboration
    settings : In(Settings)
    clear : In(1), all outputs go low, and nothing is played
    outputs : Out(outputs * samples), bit `o * samples + s` is output o at subtick s
    counts : Out(ActionCounts)
    idle : Out(1)
    """

    def __init__(self, parameters, latency):
        self._parameters = parameters
        self._latency = latency
        super().__init__(
            {
                "verdicts": In(data.ArrayLayout(Verdict(parameters), parameters.patterns)),
                "settings": In(Settings(parameters)),
                "clear": In(1),
                "outputs": Out(OUTPUTS * parameters.samples),
                "counts": Out(ActionCounts),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        samples, pulses = self._parameters.samples, self._parameters.pulses
        clear = delayed(m, self.clear, 1)
        announcements = self._announce(m, clear)
        lines = []
        under_way = [announcement.valid for announcement in announcements]
        for outcome, announcement in enumerate(announcements):
            m.submodules[f"table{outcome}"] = table = ActionTable(self._parameters)
            m.d.comb += [table.announcement.eq(announcement), table.clear.eq(clear)]
            for pulse in range(pulses):
                action = self.settings.actions[pulse * OUTCOMES + outcome]
                m.d.comb += table.actions[pulse].eq(action)
                output = Signal(2, name=f"output{outcome}_{pulse}")
                m.d.sync += output.eq(action.output)
                lines.append((output, table.levels[pulse]))
            under_way.append(table.busy)
            for name in ActionCounts.members:
                m.d.comb += self.counts[name][outcome].eq(getattr(table, name))
        for output in range(OUTPUTS):
            levels = (Mux(chosen == output, level, 0) for chosen, level in lines)
            m.d.sync += self.outputs[output * samples :][:samples].eq(reduce(or_, levels, Const(0, samples)))
        playing = Cat(*under_way, self.outputs).any()
        m.d.comb += self.idle.eq(~playing & ~delayed(m, playing, 1) & ~delayed(m, playing, 2))
        return m

    def _announce(self, m, clear):
        """Find out which outcomes are heralded, and by which click: verdicts, the lowest of them, its numbers."""
        parameters = self._parameters
        fires, subs, earliest, outcomes = [], [], [], []
        for index, verdict in enumerate(self.verdicts):
            vetoing, fire = Signal(name=f"vetoing{index}"), Signal(name=f"fire{index}")
            sub = Signal(parameters.sub_bits, name=f"sub{index}")
            first = Signal(Announcement(parameters)["earliest"].shape, name=f"earliest{index}")
            outcome = Signal(2, name=f"outcome{index}")
            late = Mux(vetoing, verdict.delay + (DECISION - FIRED), 0)
            m.d.sync += [
                vetoing.eq(~verdict.plain),
                outcome.eq(self.settings.outcome[index]),
                first.eq(late + self._latency + ACTION_CLOCKS),
                fire.eq((Mux(vetoing, verdict.decided, verdict.fired)) & ~clear),
                sub.eq(Mux(vetoing, verdict.decided_sub, verdict.fired_sub)),
            ]
            fires.append(fire)
            subs.append(delayed(m, sub, 1))
            earliest.append(first)
            outcomes.append(outcome)

        announcements = []
        for number in range(OUTCOMES):
            wanted = Cat(fire & (outcome == number) for fire, outcome in zip(fires, outcomes, strict=True))
            chosen = Signal(parameters.patterns, name=f"chosen{number}")
            announcement = Signal(Announcement(parameters), name=f"announcement{number}")
            m.d.sync += [
                chosen.eq(wanted & (~wanted + 1)),
                announcement.valid.eq(chosen.any() & ~clear),
                announcement.sub.eq(_select(chosen, subs)),
                announcement.earliest.eq(_select(chosen, earliest)),
            ]
            announcements.append(announcement)
        return announcements


class ActionTable(wiring.Component):
    """The pulses of one outcome, by a common count of clocks since the click.

    Members
    -------
    actions : In(array of an action), ticks; may change only while `clear`. Width 0: none
    announcement : In(Announcement)
    clear : In(1)
    levels : Out(array of samples), of each pulse
    started, dropped, refused : Out(1), what became of the announcement, two clocks later
    busy : Out(1), a table is under way, or about to be
    """

    def __init__(self, parameters):
        self._parameters = parameters
        super().__init__(
            {
                "actions": In(Action).array(parameters.pulses),
                "announcement": In(Announcement(parameters)),
                "clear": In(1),
                "levels": Out(parameters.samples).array(parameters.pulses),
                "started": Out(1),
                "dropped": Out(1),
                "refused": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        judged = Signal.like(self.announcement)
        used, unsafe = Signal(self._parameters.pulses), Signal(self._parameters.pulses)
        playing, begin, done = Signal(), Signal(), Signal()
        count = Signal(COUNT_BITS)

        m.d.sync += [judged.eq(self.announcement), judged.valid.eq(self.announcement.valid & ~self.clear)]
        asked = judged.valid & used.any()
        accept = Signal()
        m.d.comb += [
            accept.eq(asked & ~unsafe.any() & ~playing & ~self.clear),
            self.busy.eq(judged.valid | playing),
        ]
        m.d.sync += [
            self.started.eq(accept),
            self.refused.eq(asked & unsafe.any()),
            self.dropped.eq(asked & ~unsafe.any() & playing),
            begin.eq(accept),
            count.eq(Mux(accept, judged.earliest, count + 1)),
        ]
        sub = Signal.like(judged.sub)
        with m.If(accept):
            m.d.sync += [playing.eq(1), sub.eq(judged.sub)]
        with m.Elif(self.clear | ~begin & done | count[-1]):
            m.d.sync += playing.eq(0)

        ends = Signal(self._parameters.pulses)
        begun = delayed(m, begin, 1)  # as late as the marks' comparisons
        m.d.comb += done.eq(ends.all())
        for index in range(self._parameters.pulses):
            start, stop = self._prepare(m, index, used[index], unsafe[index])
            rises, falls = (
                self._mark(m, f"{name}{index}", ticks, count) for name, ticks in (("start", start), ("stop", stop))
            )
            for mark in rises, falls:
                m.d.comb += [mark.begin.eq(begun), mark.sub.eq(sub)]
            m.d.comb += ends[index].eq(~used[index] | falls.passed[-1])
            m.d.sync += self.levels[index].eq(Mux(playing & ~begin, rises.passed & ~falls.passed, 0))
        return m

    def _prepare(self, m, index, used, unsafe):
        """Copy a pulse's settings, and judge it for the announcement that comes."""
        sub_bits = self._parameters.sub_bits
        start, width = Signal(24, name=f"start{index}_ticks"), Signal(24, name=f"width{index}")
        stop = Signal(25, name=f"stop{index}_ticks")
        action = self.actions[index]
        m.d.sync += [
            start.eq(action.start),
            width.eq(action.width),
            stop.eq(start + width),
            used.eq(width != 0),
            unsafe.eq(used & (start[sub_bits:] < self.announcement.earliest)),
        ]
        return start, stop

    def _mark(self, m, name, ticks, count):
        m.submodules[name] = mark = Mark(self._parameters)
        m.d.comb += [mark.ticks.eq(ticks), mark.equal.eq(reaches(m, count, ticks[self._parameters.sub_bits :]))]
        return mark


def _select(one_hot, values):
    """Return the value whose bit is set, else 0."""
    return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(one_hot, values, strict=True)))
