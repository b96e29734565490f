"""Two boards in step: the attempts of one begin with those of the other, under the same numbers."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from qlink.firmware_bridge.registers import SYNC_LINES, SYNC_NUMBER_BITS, SYNC_TOLD_BYTES, SyncLine

from .attempt import NEVER
from .interface import SyncCounts, SyncSettings, SyncStatus
from .spread import Spread
from .sync_line import JUDGED, SENT, LineReceiver, LineSender

__all__ = ["SYNC_LATENCY", "SyncFlow", "SyncLines"]

SYNCHRONISER = 2
STARTED = 2  # clocks from a leader's reference to `send`
FOLLOWING = 2  # clocks from a message to a follower's reference
UPPER_BITS = 64 - SYNC_NUMBER_BITS
SYNC_LATENCY = STARTED + SENT + SYNCHRONISER + JUDGED + FOLLOWING

SyncFlow = data.StructLayout(
    {
        **{name: 1 for name in ("start", "resting", "partner", "reference", "busy")},
        "upper": UPPER_BITS,
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

    A message has the lowest byte of the attempt's number, and one of the other bytes of the number before. So a
    follower whose number is wrong by a multiple of 256 finds out, and begins nothing until it is given a number, as
    after power-on.

    Members
    -------
    settings : In(SyncSettings)
    inputs : In(3), outputs : Out(3), the lines ready, trigger, success; inputs come straight from pins
    clear : In(1), the next message is the first, whatever its order
    start : In(1), an attempt starts
    upper : In(bits), the number of the attempt begun last, without its lowest byte; a few clocks late
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
    upper: In(UPPER_BITS)
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
            attempts.line.eq(settings.leader & lines[SyncLine.READY] | settings.follower & lines[SyncLine.TRIGGER]),
            successes.line.eq((settings.leader | settings.follower) & lines[SyncLine.SUCCESS]),
            attempts.clear.eq(self.clear),
            successes.clear.eq(self.clear),
            attempts.unordered.eq(settings.follower),
        ]

        number = Signal(SYNC_NUMBER_BITS)
        with m.If(settings.take):
            m.d.sync += number.eq(settings.number)
        with m.Elif(self.start):
            m.d.sync += number.eq(number + 1 + self.jump)
        part, agreed = Signal(SYNC_NUMBER_BITS), Signal()
        upper = [self.upper.word_select(byte - 1, SYNC_NUMBER_BITS) for byte in SYNC_TOLD_BYTES]
        m.d.sync += part.eq(Cat(upper).word_select(number[: exact_log2(len(upper))], SYNC_NUMBER_BITS))
        sending = self._tell(m, settings, number, part, agreed)
        place = self._place(m, number, attempts)
        skipped, again, refused = self._follow(m, settings, number, attempts, part, agreed, place)
        given_up, unexpected, patience = self._wait(m, settings, attempts, place)
        strange = self._hear(m, number, successes)
        m.d.comb += self.ending.eq(self.success & settings.stop_on_success)
        counting = self._count(
            m,
            missed=skipped + Mux(settings.leader & attempts.valid, attempts.missed, 0) + given_up,
            missed_too=Mux(successes.valid, successes.missed, 0),
            doubled=attempts.doubled + successes.doubled + again,
            corrupt=attempts.corrupt + successes.corrupt,
            disagreed=refused + unexpected + strange,
        )

        moved = (self.inputs != lines) | (lines != before) | (self.settings.as_value() != settings.as_value())
        under_way = [sending, counting, attempts.busy, successes.busy, attempts.valid, successes.valid, patience < 0]
        m.d.comb += [
            self.busy.eq(moved | self.start | self.herald | Cat(under_way).any()),
            self.deadline.eq(patience[:32]),
            self.status.number.eq(number),
            self.status.attempts.eq(attempts.message.number),
            self.status.successes.eq(successes.message.order),
            self.status.agreed.eq(agreed),
        ]
        return m

    def _tell(self, m, settings, number, part, agreed):
        """Send what the other board has to know. Returns whether there is more to come."""
        m.submodules.attempt_sender = attempt = LineSender()
        m.submodules.success_sender = success = LineSender()
        started, herald, ready, told = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            started.eq(self.start),
            herald.eq(self.herald & (settings.leader | settings.follower)),
            ready.eq(self.resting & settings.follower & agreed),
            told.eq(ready & (told | ~attempt.busy) & ~settings.take),
        ]
        other = Signal(SYNC_NUMBER_BITS)
        with m.If(self.start):
            m.d.sync += other.eq(part)
        line = Signal()
        m.d.comb += [
            attempt.other.eq(other),
            attempt.instead.eq(settings.leader),
            attempt.send.eq(Mux(settings.leader, started, ready & ~told & ~attempt.busy & ~settings.take)),
            attempt.number.eq(Mux(settings.leader, number, number + 1)),
            success.send.eq(herald),
            success.number.eq(number),
            line.eq(attempt.line),
            self.outputs[SyncLine.READY].eq(line & settings.follower),
            self.outputs[SyncLine.TRIGGER].eq(line & settings.leader),
            self.outputs[SyncLine.SUCCESS].eq(success.line),
        ]
        return attempt.busy | success.busy | started | herald | (self.resting & settings.follower & agreed & ~told)

    def _place(self, m, number, attempts):
        """With `came`: whether a message is about the attempt after the newest one, and whether about that itself."""
        following, newest = Signal(), Signal()
        m.d.sync += [
            following.eq(attempts.message.number == (number + 1)[:SYNC_NUMBER_BITS]),
            newest.eq(attempts.message.number == number),
        ]
        return following, newest

    def _follow(self, m, settings, number, attempts, part, agreed, place):
        """Begin an attempt when the leader says so. Returns how many were missed, whether it has said so of this one
        before, and whether what it says cannot be.
        """
        following, newest = place
        came, differs, ahead = Signal(), Signal(), attempts.message.number - number - 1
        m.d.sync += [came.eq(attempts.valid & settings.follower), differs.eq(attempts.message.order != part)]
        with m.If(~settings.follower | settings.take):
            m.d.sync += self.jump.eq(0)
        with m.Elif(attempts.valid):
            m.d.sync += self.jump.eq(ahead)
        contrary = following & differs
        begins = came & agreed & ~self.jump[-1] & ~contrary
        with m.If(settings.take):
            m.d.sync += agreed.eq(1)
        with m.Elif(came & contrary):
            m.d.sync += agreed.eq(0)
        m.d.sync += self.reference.eq(begins)
        return Mux(begins, self.jump, 0), came & newest, came & ~newest & ~begins

    def _wait(self, m, settings, attempts, place):
        """Hold the next attempt until the follower is ready. Returns that it took too long, that a message was about
        another attempt, and the clocks until the former.
        """
        ready, given_up, waiting, timing = Signal(), Signal(), Signal(), Signal()
        left, load = Signal(signed(33)), Signal(signed(33))
        came, (fits, late) = Signal(), place  # late: the leader has not waited, or no longer
        m.d.sync += [
            came.eq(attempts.valid & settings.leader),
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
