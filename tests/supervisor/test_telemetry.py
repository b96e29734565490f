"""From encoded frames to what the core hears."""

import pytest

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import Click, Counter, Herald, Loss, Record, encode_stream
from qlink.firmware_bridge.wire import CounterGroup, counter_index
from qlink.supervisor.events import BoardStarted, Event, Heralded, TelemetryLost, Ticked
from qlink.supervisor.link_clock import TimeSource
from qlink.supervisor.telemetry import ATTEMPTS, BoardAccount, account

NOW_NS = 10**18
NS_TICKS = 1_000_000


def herald(sequence: int, tick: int = 0) -> Herald:
    return Herald(tick or 1000 + sequence, sequence, 2, 3, {0: 0}, attempt=9, flags=4)


class Board:
    """Encodes records and hands them, decoded, to an account."""

    def __init__(self) -> None:
        self.account: BoardAccount = account(NS_TICKS, TimeSource.BOARD)
        self._decoder = Decoder()
        self._frame = 0

    def sends(self, *records: Record, lost_frames: int = 0) -> list[Event]:
        self._frame += lost_frames
        frames = list(encode_stream(records, sequence=self._frame))
        self._frame += len(frames)
        return list(self.account.events(self._decoder.feed(b"".join(frames)), NOW_NS))


def test_a_herald_is_told_with_all_that_it_says() -> None:
    assert Board().sends(herald(7, tick=5000)) == [Heralded(NOW_NS, 7, 9, 5000, 2, 3, 4)]


def test_heralds_of_one_batch_are_dated_by_their_ticks() -> None:
    told = Board().sends(herald(0, tick=1000), Click(1200, 1), herald(1, tick=1500))
    assert [event.time_ns for event in told] == [NOW_NS - 500, NOW_NS]


def test_heralds_that_are_missing_are_counted_by_their_numbers() -> None:
    board = Board()
    board.sends(herald(0))
    assert board.sends(herald(4))[0] == TelemetryLost(NOW_NS, "herald", 3)
    assert (board.account.received, board.account.lost) == (2, 3)


def test_clicks_in_a_loss_bracket_and_frames_that_are_missing_are_told() -> None:
    board = Board()
    board.sends(Click(10, 0))
    told = board.sends(Loss(200, 100, 17, counter_index(CounterGroup.CLICKS_LOST, 3)), lost_frames=2)
    assert told == [TelemetryLost(NOW_NS, "frame", 2), TelemetryLost(NOW_NS, "click", 17)]


def test_heralds_in_a_loss_bracket_are_not_counted_twice() -> None:
    board = Board()
    board.sends(herald(0))
    told = board.sends(Loss(2000, 1500, 2, counter_index(CounterGroup.HERALDS_LOST, 3)), herald(3, tick=2500))
    assert told[0] == TelemetryLost(NOW_NS, "herald", 2)
    assert board.account.lost == 2


def test_attempts_are_told_as_they_grow() -> None:
    board = Board()
    assert board.sends(Counter(100, 1, ATTEMPTS, 50)) == [Ticked(NOW_NS, 50)]
    assert board.sends(Counter(200, 2, ATTEMPTS, 80)) == [Ticked(NOW_NS, 30)]
    assert board.sends(Counter(300, 3, ATTEMPTS, 80)) == []
    assert board.account.counters == {ATTEMPTS: 80}


def test_a_board_that_counts_anew_is_told_before_its_first_herald() -> None:
    account_ = account(NS_TICKS, TimeSource.BOARD)
    first = Decoder().feed(b"".join(encode_stream([herald(5, tick=10**9)])))
    anew = Decoder().feed(b"".join(encode_stream([herald(0, tick=100)])))
    list(account_.events(first, NOW_NS))
    told = list(account_.events(anew, NOW_NS + 10))
    assert told[0] == BoardStarted(NOW_NS + 10)
    assert isinstance(told[1], Heralded)
    assert NOW_NS <= told[1].time_ns <= NOW_NS + 10


@pytest.mark.parametrize("count", [1, 10])
def test_what_came_is_counted(count: int) -> None:
    board = Board()
    board.sends(*(Click(100 + n, n % 8) for n in range(count)), herald(0, tick=500))
    assert (board.account.received, board.account.lost) == (count + 1, 0)
