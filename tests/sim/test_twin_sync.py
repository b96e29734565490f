"""Two compiled boards in step, and a bad cable, against the model of what a follower makes of its trigger line."""

from random import Random

import pytest
from tests.hil.pair import joined_twins
from tests.hil.pair_scenarios import NUMBER, PERIOD, Told, attempted

from qlink.firmware_bridge.registers import SYNC_BIT_CLOCKS, SYNC_TOLD_BYTES, SyncLine
from qlink.gateware.sync import SYNC_LATENCY
from qlink.sim.cable import BETWEEN, MESSAGE_CLOCKS, Damage, End, Fault
from qlink.sim.sync import Follower, follow, frame, told

ATTEMPTS = 120


def said(attempts: int) -> list[int]:
    """The trigger line of a leader, from the start bit of the first of its attempts."""
    line = []
    for number in range(NUMBER + 1, NUMBER + 1 + attempts):
        levels = [bit for bit in frame(*told(number)) for _ in range(SYNC_BIT_CLOCKS)]
        line += levels + [0] * (PERIOD - len(levels))
    return [0, *line]


def spoilt(line: list[int], faults: list[Fault]) -> list[int]:
    """What a bad cable makes of it."""
    heard = list(line)
    for fault in faults:
        begin, (first, last) = 1 + fault.after * PERIOD, fault.clocks
        match fault.damage:
            case Damage.DROPPED:
                heard[begin : begin + MESSAGE_CLOCKS] = [0] * MESSAGE_CLOCKS
            case Damage.CORRUPT:
                heard[begin + first : begin + last] = [1 - level for level in line[begin + first : begin + last]]
            case Damage.DOUBLED:
                again = begin + MESSAGE_CLOCKS + BETWEEN
                heard[again : again + MESSAGE_CLOCKS] = line[begin : begin + MESSAGE_CLOCKS]
    return heard


def random_faults(rng: Random) -> list[Fault]:
    """To single messages and to several in a row; never two to one."""
    faults, message = [], rng.randrange(10)
    while message < ATTEMPTS - 5:
        damage, row = rng.choice(list(Damage)), rng.choice([1, 1, 3])
        bit = rng.randrange(25)
        bits = rng.randint(1, 25 - bit)
        faults += [Fault(End.RIGHT, SyncLine.TRIGGER, damage, message + n, bit, bits) for n in range(row)]
        message += row + rng.randrange(12)
    return faults


def counted(model: Follower) -> dict[str, int]:
    counts = {name: getattr(model, name) for name in ("missed", "doubled", "corrupt", "disagreed")}
    return {f"sync_{name}": count for name, count in counts.items() if count}


def references(told_: Told) -> dict[int, int]:
    """Attempts by the tick of their reference."""
    ticks = (told_.heralds["tick"] - told_.heralds["position"]).tolist()
    return dict(zip(ticks, told_.heralds["attempt"].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_a_follower_makes_of_a_bad_line_what_the_model_does(seed: int) -> None:
    faults = random_faults(Random(seed))
    with joined_twins() as (rig, cable):
        for fault in faults:
            cable.spoil(fault)
        leader, follower = attempted(rig, ATTEMPTS)
    begin = min(references(leader)) - 1 - (min(leader.numbers.values()) - NUMBER - 1) * PERIOD
    successes = ((tick - begin, number % 256) for tick, number in leader.numbers.items())
    model = follow(spoilt(said(ATTEMPTS), faults), NUMBER, successes)
    assert follower.wrong == counted(model)
    assert min(model.missed, model.doubled, model.corrupt) > 0
    first = min(follower.numbers.values())  # there may be no click yet in an attempt before
    begun = {begin + clock + SYNC_LATENCY: number for clock, number in model.begun if number >= first}
    assert references(follower) == begun
    assert len(begun) > ATTEMPTS / 3
    assert missed_and_flagged(model) <= set(follower.flagged)


def missed_and_flagged(model: Follower) -> set[int]:
    """The attempts that begin with an error."""
    return {number for clock, number in model.begun if clock in model.errors}


@pytest.mark.parametrize("wrong", [1, -1, 3, 255, 256, -256, 2**16, 2**24 + 1, 2**40, 2**55])
def test_a_number_that_is_wrong_by_a_multiple_of_256_is_found_out(wrong: int) -> None:
    for first in range(2**50 + 250, 2**50 + 250 + len(SYNC_TOLD_BYTES)):
        follower = Follower((first - 1 + 256 * wrong) % 2**64)
        for number in range(first, first + 20):
            follower.hear(number, *told(number))
        assert not follower.agreed
        assert len(follower.begun) < (2 if wrong % 256 else len(SYNC_TOLD_BYTES))


def test_a_line_that_was_cut_for_any_time_is_found_out() -> None:
    for cut in range(1, 1_000):
        follower = Follower(NUMBER)
        for number in (*range(NUMBER + 1, NUMBER + 4), *range(NUMBER + 4 + cut, NUMBER + 300 + cut)):
            follower.hear(number, *told(number))
        wrong = [number for clock, number in follower.begun if number != clock]
        assert len(wrong) <= 2
        assert not wrong or not follower.agreed
        assert follower.errors
