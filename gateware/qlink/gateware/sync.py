"""Two boards in step: the attempts of one begin with those of the other, under the same numbers."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import SYNC_LINES, SYNC_NUMBER_BITS

from .attempt import NEVER
from .interface import SyncCounts, SyncSettings, SyncStatus
from .spread import Spread
from .sync_line import JUDGED, SENT, LineReceiver, LineSender

__all__ = ["SYNC_LATENCY", "SyncFlow", "SyncLines"]

READY, TRIGGER, SUCCESS = range(SYNC_LINES)
SYNCHRONISER = 2
STARTED = 2  # clocks from a leader's reference to `send`
FOLLOWING = 2  # clocks from a message to a follower's reference
SYNC_LATENCY = STARTED + SENT + SYNCHRONISER + JUDGED + FOLLOWING

SyncFlow = data.StructLayout(
    {
        **{name: 1 for name in ("start", "resting", "partner", "reference", "busy")},
        "jump": SYNC_NUMBER_BITS,
        "deadline": 32,
    }
)
"""What `SyncLines` and the attempts tell each other, each as the member of its name."""


class SyncLines(wiring.Component):
    """Say when attempts and heralds are, and hear when they are on the other board.

    The leader says of each attempt that it begins. The follower begins one under the same number whenever it is told,
    `SYNC_LATENCY` clocks later, besides cable and input delays; and says when it is ready for the next one, for which a
    leader may wait. Both say when they have a herald.

    Members
    -------
    settings : In(SyncSettings)
    inputs : In(3), outputs : Out(3), the lines ready, trigger, success; inputs come straight from pins
    clear : In(1), the next message is the first, whatever its order
    start : In(1), an attempt starts
    resting : In(1), no attempt runs and no trigger is on
    herald : In(1)
    skip : In(32)
    partner : Out(1), references come from the line only
    reference : Out(1), there is one at subtick 0
    jump : Out(8), with `start` and after: so many of the leader's attempts before this one were not begun here
    hold : Out(1), no attempt may begin
    success : Out(1), the other board has a herald; ending : Out(1), one that ends a sequence
    counts : Out(SyncCounts)
    status : Out(SyncStatus)
    busy : Out(1), something is coming, or going
    deadline : Out(32), clocks that may be skipped before something happens by itself, while not `busy`
    """

    settings: In(SyncSettings)
    inputs: In(SYNC_LINES)
    outputs: Out(SYNC_LINES)
    clear: In(1)
    start: In(1)
    resting: In(1)
    herald: In(1)
    skip: In(32)
    partner: Out(1)
    reference: Out(1)
    jump: Out(SYNC_NUMBER_BITS)
    hold: Out(1)
    success: Out(1)
    ending: Out(1)
    counts: Out(SyncCounts)
    status: Out(SyncStatus)
    busy: Out(1)
    deadline: Out(32)

    def elaborate(self, platform):
        m = Module()
        settings = Signal.like(self.settings)  # a copy, near what it decides
        lines, before = Signal.like(self.inputs), Signal.like(self.inputs)
        m.d.sync += [settings.eq(self.settings), self.partner.eq(settings.follower), before.eq(lines)]
        m.submodules.synchroniser = FFSynchronizer(self.inputs, lines, stages=SYNCHRONISER)
        m.submodules.attempts = attempts = LineReceiver()
        m.submodules.successes = successes = LineReceiver()
        m.d.comb += [
            attempts.line.eq(settings.leader & lines[READY] | settings.follower & lines[TRIGGER]),
            successes.line.eq((settings.leader | settings.follower) & lines[SUCCESS]),
            attempts.clear.eq(self.clear),
            successes.clear.eq(self.clear),
        ]

        number = Signal(SYNC_NUMBER_BITS)
        with m.If(settings.take):
            m.d.sync += number.eq(settings.number)
        with m.Elif(self.start):
            m.d.sync += number.eq(number + 1 + self.jump)
        sending = self._tell(m, settings, number)
        skipped, refused = self._follow(m, settings, number, attempts)
        given_up, unexpected, patience = self._wait(m, settings, number, attempts)
        strange = self._hear(m, number, successes)
        m.d.comb += self.ending.eq(self.success & settings.stop_on_success)
        counting = self._count(
            m,
            missed=skipped + Mux(settings.leader & attempts.valid, attempts.missed, 0) + given_up,
            missed_too=Mux(successes.valid, successes.missed, 0),
            doubled=attempts.doubled + successes.doubled,
            corrupt=attempts.corrupt + successes.corrupt,
            disagreed=refused + unexpected + strange,
        )

        moved = (self.inputs != lines) | (lines != before) | (self.settings.as_value() != settings.as_value())
        under_way = [sending, counting, attempts.busy, successes.busy, attempts.valid, successes.valid, patience < 0]
        m.d.comb += [
            self.busy.eq(moved | self.start | self.herald | Cat(under_way).any()),
            self.deadline.eq(patience[:32]),
            self.status.number.eq(number),
            self.status.attempts.eq(attempts.message.order),
            self.status.successes.eq(successes.message.order),
        ]
        return m

    def _tell(self, m, settings, number):
        """Send what the other board has to know. Returns whether there is more to come."""
        m.submodules.attempt_sender = attempt = LineSender()
        m.submodules.success_sender = success = LineSender()
        started, herald, ready, told = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            started.eq(self.start),
            herald.eq(self.herald & (settings.leader | settings.follower)),
            ready.eq(self.resting & settings.follower),
            told.eq(ready & (told | ~attempt.busy) & ~settings.take),
        ]
        line = Signal()
        m.d.comb += [
            attempt.send.eq(Mux(settings.leader, started, ready & ~told & ~attempt.busy & ~settings.take)),
            attempt.number.eq(Mux(settings.leader, number, number + 1)),
            success.send.eq(herald),
            success.number.eq(number),
            line.eq(attempt.line),
            self.outputs[READY].eq(line & settings.follower),
            self.outputs[TRIGGER].eq(line & settings.leader),
            self.outputs[SUCCESS].eq(success.line),
        ]
        return attempt.busy | success.busy | started | herald | (self.resting & settings.follower & ~told)

    def _follow(self, m, settings, number, attempts):
        """Begin an attempt when the leader says so. Returns how many were missed, and whether this one is none."""
        came, ahead = Signal(), attempts.message.number - number - 1
        m.d.sync += came.eq(attempts.valid & settings.follower)
        with m.If(~settings.follower | settings.take):
            m.d.sync += self.jump.eq(0)
        with m.Elif(attempts.valid):
            m.d.sync += self.jump.eq(ahead)
        far = self.jump[-1]
        m.d.sync += self.reference.eq(came & ~far)
        return Mux(came & ~far, self.jump, 0), came & far

    def _wait(self, m, settings, number, attempts):
        """Hold the next attempt until the follower is ready. Returns that it took too long, that a message was about
        another attempt, and the clocks until the former.
        """
        ready, given_up, waiting, timing = Signal(), Signal(), Signal(), Signal()
        left, load = Signal(signed(33)), Signal(signed(33))
        came, fits, late = Signal(), Signal(), Signal()
        m.d.sync += [
            came.eq(attempts.valid & settings.leader),
            fits.eq(attempts.message.number == (number + 1)[:SYNC_NUMBER_BITS]),
            late.eq(attempts.message.number == number),  # the leader has not waited, or no longer
            self.hold.eq(settings.leader & settings.await_ready & ~ready & ~given_up),
            waiting.eq(self.hold & self.resting & ~self.start),
            timing.eq(settings.ready_timeout != 0),
            load.eq(settings.ready_timeout - 2),
            left.eq(Mux(waiting, left - 1 - self.skip, load)),
        ]
        expired = waiting & timing & (left < 0) & ~given_up
        with m.If(expired):
            m.d.sync += given_up.eq(1)
        with m.If(came & fits):
            m.d.sync += ready.eq(1)
        with m.If(self.start | settings.take):
            m.d.sync += [ready.eq(0), given_up.eq(0)]
        return expired, came & ~fits & ~late, Mux(waiting & timing, left, NEVER)

    def _hear(self, m, number, successes):
        """Pass on that the other board has a herald. Returns that it is about an attempt that is not here yet."""
        came, behind = Signal(), Signal(SYNC_NUMBER_BITS)
        m.d.sync += [
            came.eq(successes.valid),
            behind.eq(number + 1 - successes.message.number),  # the leader may be one ahead
            self.success.eq(came & ~behind[-1]),
        ]
        return came & behind[-1]

    def _count(self, m, *, missed, missed_too, **others):
        """Count what went wrong. Returns whether there is more to count."""
        tallies = {name: Spread() for name in ("missed", *others)}
        noted = {"missed": Signal(9), "too": Signal(9)}
        m.d.sync += [noted["missed"].eq(missed), noted["too"].eq(missed_too)]
        m.d.comb += tallies["missed"].events.eq(noted["missed"] + noted["too"])
        m.d.sync += [tallies[name].events.eq(events) for name, events in others.items()]
        for name, tally in tallies.items():
            m.submodules[f"{name}_tally"] = tally
            m.d.comb += self.counts[name].eq(tally.one)
        return Cat([tally.one | tally.events.any() for tally in tallies.values()]).any()
