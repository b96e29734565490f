"""What must hold of any two boards of ours that are in step. Plain blocking functions of a `PairRig`."""

from dataclasses import dataclass

import numpy as np
import pytest
from tests.hil.pair import PairRig
from tests.hil.rig import Edge

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Gate, Pattern, Role, Sequence, Sync
from qlink.firmware_bridge.counters import Counters
from qlink.firmware_bridge.errors import BoardError, BoardReset, EndOfStream
from qlink.firmware_bridge.registers import BY_NAME, Mode
from qlink.firmware_bridge.wire import HeraldFlag
from qlink.sim.cable import Damage

PERIOD, ATTEMPT, OPEN = 250, 240, 115  # clocks; for OPEN of them both boards' gates are open at once
CLICKS = 110  # clocks from one to the next: each attempt has at least one, and none while another one is told of
NUMBER = 2**40 + 250  # soon no attempt's lowest byte is what it was
SYNC_COUNTERS = ("sync_missed", "sync_doubled", "sync_corrupt", "sync_disagreed")


@dataclass(frozen=True, slots=True)
class Told:
    """What a board has told of one stretch of attempts."""

    heralds: np.ndarray
    before: Counters
    after: Counters

    @property
    def numbers(self) -> dict[int, int]:
        """Attempts by the ticks of their heralds."""
        return dict(zip(self.heralds["tick"].tolist(), self.heralds["attempt"].tolist(), strict=True))

    @property
    def flagged(self) -> list[int]:
        """The attempts of heralds that say that something went wrong."""
        flagged = self.heralds["flags"] & HeraldFlag.SYNC_ERROR != 0
        return [int(attempt) for attempt in self.heralds["attempt"][flagged]]

    @property
    def wrong(self) -> dict[str, int]:
        """What of `SYNC_COUNTERS` has counted."""
        counted = {name: getattr(self.after, name) - getattr(self.before, name) for name in SYNC_COUNTERS}
        return {name: count for name, count in counted.items() if count}


def both_ends_agree_on_every_attempts_number(rig: PairRig) -> None:
    for last, attempts in ((NUMBER, 300), (7, 1)):
        set_up(rig, last, attempts)
        before = [board.snapshot().attempts for board in (rig.leader, rig.follower)]
        rig.leader.start_sequence()
        while rig.leader.sequence_status().running:
            pass
        for board, begun in zip((rig.leader, rig.follower), before, strict=True):
            after = board.snapshot()
            status = board.sync_status()
            assert after.attempts - begun == attempts
            assert (status.agreed, status.number) == (True, (last + attempts) % 256)
        for board in (rig.leader, rig.follower):
            board.stop()


def heralds_of_both_ends_carry_the_same_numbers(rig: PairRig) -> None:
    leader, follower = attempted(rig, 100)
    assert leader.numbers == follower.numbers
    assert set(leader.numbers.values()) >= set(range(NUMBER + 10, NUMBER + 90))
    assert not leader.wrong
    assert not follower.wrong
    assert leader.flagged == follower.flagged == []


def a_dropped_trigger_is_counted_and_flagged(rig: PairRig) -> None:
    rig.spoil(Damage.DROPPED, 12)
    leader, follower = attempted(rig, 30)
    assert missing(leader, follower) == {NUMBER + 13}
    assert follower.wrong == {"sync_missed": 1}
    assert follower.flagged == [NUMBER + 14]


def a_corrupt_trigger_is_counted_and_flagged(rig: PairRig) -> None:
    rig.spoil(Damage.CORRUPT, 12)
    leader, follower = attempted(rig, 30)
    assert missing(leader, follower) == {NUMBER + 13}
    assert follower.wrong == {"sync_missed": 1, "sync_corrupt": 1}
    assert follower.flagged[-1] == NUMBER + 14


def a_doubled_trigger_is_counted_and_flagged(rig: PairRig) -> None:
    rig.spoil(Damage.DOUBLED, 12)
    leader, follower = attempted(rig, 30)
    assert missing(leader, follower) == set()
    assert follower.wrong == {"sync_doubled": 1}
    assert follower.flagged in ([NUMBER + 13], [NUMBER + 14])


def a_number_that_is_wrong_by_a_multiple_of_256_is_found_out(rig: PairRig) -> None:
    for behind, begun in ((256, 1), (255 * 256, 1), (2**40, 15)):
        set_up(rig, NUMBER, 20)
        rig.follower.number_attempts(NUMBER - behind)
        before = rig.follower.snapshot()
        assert rig.follower.sync_status().agreed
        rig.leader.start_sequence()
        while rig.leader.sequence_status().running:
            pass
        after = rig.follower.snapshot()
        attempts = after.attempts - before.attempts
        assert attempts <= begun
        assert after.sync_disagreed - before.sync_disagreed == 20 - attempts
        assert not rig.follower.sync_status().agreed
        for board in (rig.leader, rig.follower):
            board.stop()
        with pytest.raises(BoardError, match="until it is numbered like its leader"):
            rig.follower.start()


def a_follower_that_was_reset_begins_nothing_until_it_is_numbered(rig: PairRig) -> None:
    set_up(rig, NUMBER)
    rig.leader.start_sequence()
    rig.edges(clicks(rig, 10))
    rig.reset_follower()
    board = rig.follower
    board.configure(configuration_of(rig, board))
    before = board.snapshot()
    board.write("control", BY_NAME["control"].pack(run=1))  # past the host's own check
    rig.edges(clicks(rig, 10))
    after = board.snapshot()
    assert after.attempts == before.attempts
    assert after.sync_disagreed - before.sync_disagreed >= 9
    assert not board.sync_status().agreed
    rig.leader.stop()
    board.stop()
    rest(rig.leader)
    with pytest.raises(BoardReset):
        rest(board)
    leader, follower = attempted(rig, 30)
    assert board.sync_status().agreed
    assert set(leader.numbers.values()) == set(follower.numbers.values())  # their ticks are not alike any more
    assert follower.flagged == [min(follower.numbers.values())]  # of what there was without a herald
    assert not follower.wrong


PAIR_SCENARIOS = (
    both_ends_agree_on_every_attempts_number,
    heralds_of_both_ends_carry_the_same_numbers,
    a_dropped_trigger_is_counted_and_flagged,
    a_corrupt_trigger_is_counted_and_flagged,
    a_doubled_trigger_is_counted_and_flagged,
    a_number_that_is_wrong_by_a_multiple_of_256_is_found_out,
    a_follower_that_was_reset_begins_nothing_until_it_is_numbered,
)


def configuration_of(rig: PairRig, board: Board, attempts: int = 0) -> Configuration:
    """The gates of both boards are open at the same time."""
    leads, samples = board is rig.leader, board.identity.samples
    begin = 1 + (board.identity.sync_latency if leads else 0)
    return Configuration(
        patterns=(Pattern(frozenset({0}), 0),),
        mode=Mode.GATED,
        gates={0: Gate(begin * samples, (begin + OPEN) * samples)},
        attempt_clocks=ATTEMPT,
        stream_channels=frozenset(),
        sequence=Sequence(PERIOD, attempts=attempts) if leads else None,
        sync=Sync(Role.LEADER if leads else Role.FOLLOWER),
    )


def set_up(rig: PairRig, last: int, attempts: int = 0) -> None:
    """Have both ready, attempts numbered from `last` + 1."""
    for board in (rig.leader, rig.follower):
        board.configure(configuration_of(rig, board, attempts))
        board.number_attempts(last)
        board.start()


def clicks(rig: PairRig, attempts: int) -> list[Edge]:
    return [(clock * rig.leader.identity.samples, 0) for clock in range(0, attempts * PERIOD, CLICKS)]


def attempted(rig: PairRig, attempts: int) -> tuple[Told, Told]:
    """Let the boards make so many attempts, with clicks on both; what each of them tells."""
    set_up(rig, NUMBER, attempts)
    boards = (rig.leader, rig.follower)
    before = [board.snapshot() for board in boards]
    rig.leader.start_sequence()
    rig.edges(clicks(rig, attempts + 2))
    for board in boards:
        board.stop()
    leader, follower = (
        Told(rest(board), counters, board.snapshot()) for board, counters in zip(boards, before, strict=True)
    )
    return leader, follower


def missing(leader: Told, follower: Told) -> set[int]:
    """The attempts that the follower has not begun. What heralds it has are those of the leader."""
    assert follower.numbers.items() <= leader.numbers.items()
    return set(leader.numbers.values()) - set(follower.numbers.values())


def rest(board: Board) -> np.ndarray:
    """All heralds that are still to be fetched."""
    pieces = []
    while True:
        try:
            batch = board.events(0.0)
        except EndOfStream:
            break
        pieces.append(batch.heralds)
        if not any(len(getattr(batch, name)) for name in type(batch).__slots__):
            break
    return np.concatenate(pieces)
