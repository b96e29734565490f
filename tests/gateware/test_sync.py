"""Two boards joined line to line, with whatever can go wrong on a line."""

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from qlink.firmware_bridge.registers import BY_NAME, SYNC_BIT_CLOCKS, SYNC_FRAME_BITS, SequenceEnd
from qlink.firmware_bridge.wire import HeraldFlag
from qlink.gateware.detection import Detection
from qlink.gateware.parameters import Parameters
from qlink.gateware.sync import SYNC_LATENCY
from qlink.sim.bench import simulate

PARAMETERS = Parameters(
    channels=1, patterns=1, samples=1, delay_depth=0, veto_depth=8, pattern_depth=8, herald_depth=8, click_depth=8
)
LEADER, FOLLOWER = range(2)
READY, TRIGGER, SUCCESS = range(3)
PERIOD, ATTEMPT, CLICK = 300, 260, 200  # clocks; both boards' detectors click so long after the leader's reference
MESSAGE = SYNC_BIT_CLOCKS * SYNC_FRAME_BITS
FIRST_CLOCKS, FIRST_OF_BRANCH = 0x111, 0x000  # behind the bus
FOLLOWED = 240  # clocks of a follower's program and branch
SETUP = 60
NOTHING_WRONG = {"missed": 0, "doubled": 0, "corrupt": 0, "disagreed": 0}


class Pair(wiring.Component):
    """Two boards, the lines from each to the other with noise."""

    to_leader: In(3)
    to_follower: In(3)

    def __init__(self):
        super().__init__()
        self.boards = [Detection(PARAMETERS) for _ in range(2)]

    def elaborate(self, platform):
        m = Module()
        leader, follower = self.boards
        m.submodules.leader, m.submodules.follower = leader, follower
        m.d.comb += [
            leader.sync_in.eq(follower.sync_out ^ self.to_leader),
            follower.sync_in.eq(leader.sync_out ^ self.to_follower),
        ]
        return m


@dataclass
class Board:
    """What one of them has told; `attempts` by the clock of the reference."""

    attempts: list[int] = field(default_factory=list)
    heralds: list[tuple[int, int, HeraldFlag]] = field(default_factory=list)  # attempt, tick, flags
    counts: dict[str, int] = field(default_factory=lambda: dict(NOTHING_WRONG))
    lines: list[int] = field(default_factory=list)
    end: SequenceEnd = SequenceEnd.NONE
    running: bool = False
    branched: int = 0

    @property
    def numbers(self):
        return [attempt for attempt, _, _ in self.heralds]

    @property
    def flagged(self):
        return [attempt for attempt, _, flags in self.heralds if flags & HeraldFlag.SYNC_ERROR]


def registers(sync, **sequence):
    return {
        "run": 1,
        "mode": 1,
        "attempt_clocks": ATTEMPT,
        "gate_stop": [ATTEMPT],
        "required": [1],
        "sync": sync,
        "sequence": sequence,
    }


async def write(ctx, program, words):
    for address, value in words.items():
        ctx.set(program.address, address)
        ctx.set(program.value, value)
        ctx.set(program.write, 1)
        await ctx.tick()
    ctx.set(program.write, 0)


def joined(
    clocks, noise=(), *, leader=None, follower=None, stop_on=0, clicks=lambda clock: (True, True), number=0, branch=0
):
    """Run both for so many clocks; `noise` are (clock, board that hears it, line).

    With a `branch`, the leader's attempts after a herald last so many clocks, and the follower has a sequence, too.
    """
    dut, seen = Pair(), [Board(), Board()]
    disturbed = {}
    for clock, board, line in noise:
        disturbed[clock, board] = disturbed.get((clock, board), 0) ^ 1 << line
    settings = [
        registers({"leader": 1, **(leader or {})}, segments=1, stop_on=stop_on, branches=branch > 0),
        registers({"follower": 1, **(follower or {})}, segments=branch > 0, external=1, branches=branch > 0),
    ]
    words = BY_NAME["branch_segment"]
    programs = [
        {FIRST_CLOCKS: PERIOD, FIRST_OF_BRANCH: words.pack(clocks=branch, last=1)},
        {FIRST_CLOCKS: FOLLOWED, FIRST_OF_BRANCH: words.pack(clocks=FOLLOWED, last=1)},
    ]

    async def drive(ctx):
        for board, program in zip(dut.boards, programs, strict=True):
            await write(ctx, board.program, program)
        for board, values in zip(dut.boards, settings, strict=True):
            sync = {**values["sync"], "number": number, "take": 1}
            ctx.set(board.settings, {"restart": 1, **values, "sync": sync})
            ctx.set(board.heralds.ready, 1)
        await ctx.tick()
        for board in dut.boards:
            ctx.set(board.settings.restart, 0)
            ctx.set(board.settings.sync.take, 0)
        await ctx.tick().repeat(SETUP)
        for board in dut.boards:
            ctx.set(board.settings.sequence.start, 1)
        for clock in range(clocks):
            step(ctx, clock)
            await ctx.tick()
            for board in dut.boards:
                ctx.set(board.settings.sequence.start, 0)
        for board, told in zip(dut.boards, seen, strict=True):
            status = ctx.get(board.status)
            told.end, told.running, told.branched = SequenceEnd(status.end), bool(status.running), status.branched

    def step(ctx, clock):
        attempts = seen[LEADER].attempts
        clicking = bool(attempts) and clock - attempts[-1] == CLICK - (PARAMETERS.herald_latency)
        ctx.set(dut.to_leader, disturbed.get((clock, LEADER), 0))
        ctx.set(dut.to_follower, disturbed.get((clock, FOLLOWER), 0))
        for index, (board, told) in enumerate(zip(dut.boards, seen, strict=True)):
            ctx.set(board.samples, clicking and clicks(clock)[index])
            told.lines.append(ctx.get(board.sync_out))
            counts = ctx.get(board.counts)
            if counts.attempts:
                told.attempts.append(clock)
            for name in told.counts:
                told.counts[name] += counts[f"sync_{name}"]
            if ctx.get(board.heralds.valid):
                herald = ctx.get(board.heralds.payload)
                told.heralds.append((herald.attempt, herald.tick, HeraldFlag(herald.flags)))

    simulate(dut, drive, limit=clocks + 200)
    return seen


def begins(board, line):
    """The clocks in which messages begin on a line of a board."""
    high, found = [word >> line & 1 for word in board.lines], []
    for clock, level in enumerate(high):
        if level and (not found or clock - found[-1] > MESSAGE):
            found.append(clock)
    return found


@pytest.fixture(scope="module")
def calm():
    """Five attempts with nothing wrong."""
    return joined(1_700, number=2**40 + 250)


def test_the_follower_begins_its_attempts_a_constant_time_after_the_leader(calm):
    leader, follower = calm
    assert [b - a for a, b in zip(leader.attempts, follower.attempts, strict=True)] == [SYNC_LATENCY] * 6


def test_both_ends_agree_on_the_number_of_every_attempt(calm):
    leader, follower = calm
    assert leader.numbers == follower.numbers == [2**40 + 250 + n for n in range(1, 6)]
    assert [tick for _, tick, _ in leader.heralds] == [tick for _, tick, _ in follower.heralds]
    assert leader.counts == follower.counts == NOTHING_WRONG
    assert {flags for board in calm for _, _, flags in board.heralds} == {HeraldFlag.GATED}


def test_branches_keep_both_in_step():
    leader, follower = joined(1_900, number=2**40 + 250, branch=420)
    assert [b - a for a, b in pairwise(leader.attempts)] == [PERIOD, 420, 420, 420]  # the first one heralds, too
    assert [b - a for a, b in zip(leader.attempts, follower.attempts, strict=True)] == [SYNC_LATENCY] * 5
    assert leader.numbers == follower.numbers == [2**40 + 250 + n for n in range(1, 6)]
    assert leader.counts == follower.counts == NOTHING_WRONG
    assert (leader.branched, follower.branched) == (4, 4)


def dropped(calm, clock):
    """What to add to the trigger line so that the message that begins in `clock` is not there."""
    levels = [word >> TRIGGER & 1 for word in calm[LEADER].lines]
    return [(t, FOLLOWER, TRIGGER) for t in range(clock, clock + MESSAGE) if levels[t]]


def test_a_missed_trigger_is_counted_and_flagged_and_the_numbers_agree_again(calm):
    third = begins(calm[LEADER], TRIGGER)[2]
    leader, follower = joined(1_700, dropped(calm, third), number=2**40 + 250)
    assert [number % 256 for number in follower.numbers] == [251, 252, 254, 255]
    assert follower.counts == {**NOTHING_WRONG, "missed": 1}
    assert [number % 256 for number in follower.flagged] == [254]
    assert set(follower.numbers) < set(leader.numbers)


@pytest.mark.parametrize("place", [0, 3, 20])
def test_a_corrupt_trigger_begins_nothing(calm, place):
    second = begins(calm[LEADER], TRIGGER)[1] + place * SYNC_BIT_CLOCKS
    noise = [(second + n, FOLLOWER, TRIGGER) for n in range(SYNC_BIT_CLOCKS)]
    _, follower = joined(1_100, noise)
    assert follower.numbers == [1, 3]
    assert follower.counts["missed"] == 1
    assert follower.counts["corrupt"] >= (place > 0)
    assert follower.flagged == [3]


def test_a_doubled_trigger_begins_nothing(calm):
    first, second, *_ = begins(calm[LEADER], TRIGGER)
    levels = [word >> TRIGGER & 1 for word in joined(500)[LEADER].lines]
    again = [(t + MESSAGE + 20, FOLLOWER, TRIGGER) for t in range(first, first + MESSAGE) if levels[t]]
    assert again[-1][0] < second
    leader, follower = joined(1_100, again)
    assert follower.numbers == leader.numbers == [1, 2, 3]
    assert follower.counts == {**NOTHING_WRONG, "doubled": 1}
    assert follower.flagged in ([1], [2])


def test_a_leader_waits_for_its_follower_but_not_for_ever():
    waits = {"await_ready": 1, "ready_timeout": 250}
    leader, follower = joined(1_400, leader=waits)
    assert leader.numbers == follower.numbers == [1, 2, 3]
    gaps = {b - a for a, b in zip(leader.attempts, leader.attempts[1:], strict=False)}
    assert len(gaps) == 1
    assert gaps.pop() > SYNC_LATENCY + ATTEMPT + MESSAGE
    assert leader.counts == follower.counts == NOTHING_WRONG

    silence = [(t, LEADER, READY) for t, word in enumerate(follower.lines[:120]) if word >> READY & 1]
    leader, follower = joined(700, silence, leader=waits)
    assert leader.numbers == follower.numbers == [1]
    assert leader.counts["missed"] >= 1
    assert leader.flagged == [1]


def test_a_herald_of_the_other_board_ends_the_sequence_when_it_is_told_of():
    leader, follower = joined(900, leader={"stop_on_success": 1}, clicks=lambda clock: (False, clock > 400))
    assert leader.numbers == []
    assert follower.numbers[0] == 2
    assert len(leader.attempts) == 3
    assert (leader.end, leader.running) == (SequenceEnd.HERALD, False)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_on_the_lines_no_attempt_has_two_numbers(seed):
    rng, clocks = Random(seed), 2_400
    noise = []
    for _ in range(rng.randrange(1, 9)):
        begin, board, line = rng.randrange(clocks - 600), rng.choice([LEADER, FOLLOWER]), rng.choice([TRIGGER, SUCCESS])
        noise += [(begin + n, board, line) for n in range(rng.choice([1, 4, 9, 40, 150])) if rng.random() < 0.8]
    leader, follower = joined(clocks, noise)
    ticks = {tick: number for number, tick, _ in leader.heralds}
    assert len(ticks) >= 7
    assert all(ticks[tick] == number for number, tick, _ in follower.heralds)
    lost = [number for number in leader.numbers if number < follower.numbers[-1] and number not in follower.numbers]
    assert follower.counts["missed"] >= len(lost)
    after = {min(number for number in follower.numbers if number > missing) for missing in lost}
    assert after <= set(follower.flagged)
