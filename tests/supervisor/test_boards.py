"""The reader's thread, over a real `Board` on bytes that end."""

import logging
import queue
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Identity, Sequence, SequenceStatus
from qlink.firmware_bridge.decoder import concatenate
from qlink.firmware_bridge.encoding import Herald, encode_stream
from qlink.firmware_bridge.errors import BridgeError, ConfigurationError, EndOfStream, TransportError
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.registers import BY_NAME, MAGIC, REGISTERS, SequenceEnd
from qlink.firmware_bridge.wire import CONTRACT_VERSION
from qlink.supervisor.boards import (
    Arrived,
    BoardGone,
    BoardReader,
    BoardRefused,
    BoardUp,
    LinkState,
    News,
    Reading,
    SequenceOver,
)
from qlink.supervisor.errors import SettingsError
from qlink.supervisor.settings import Backoff

READING = Reading(configuration=None, backoff=Backoff(0.01, 2.0, 0.04), poll_s=0.01, silence_s=10.0)
HERALDS = b"".join(encode_stream([Herald(100 * n, n, 0, 2, {0: 0}) for n in range(50)]))


class Finite:
    """A recording in memory: its bytes, then the end (or an error)."""

    def __init__(self, data: bytes, end: Exception) -> None:
        self._data = data
        self._end = end

    @property
    def recorded_registers(self) -> Mapping[int, int]:
        values = {
            "magic": MAGIC,
            "contract_version": CONTRACT_VERSION,
            "board": int.from_bytes(b"FINI", "little"),
            "geometry": BY_NAME["geometry"].pack(channels=8, patterns=8, samples=1),
            "tick_fs": 1_000_000,
            "clock_hz": 10**9,
            "herald_latency": 1,
            "build": 1,
        }
        all_zero = {register.address: 0 for register in REGISTERS}
        return all_zero | {BY_NAME[name].address: value for name, value in values.items()}

    def read(self, size: int, timeout_s: float) -> bytes:
        if not self._data:
            raise self._end
        data, self._data = self._data[:size], self._data[size:]
        return data

    def write(self, data: bytes) -> None:
        raise TransportError("a recording takes nothing")

    def close(self) -> None:
        pass


def read(open_board: Callable[[], Board], until: Callable[[News], bool]) -> list[News]:
    """The news up to one, from a reader that is then stopped."""
    news: queue.Queue[News] = queue.Queue()
    reader = BoardReader(open_board, READING, lambda: 5, news.put)
    reader.start()
    told = [news.get(timeout=10)]
    while not until(told[-1]):
        told.append(news.get(timeout=10))
    reader.stop()
    assert reader.join(5)
    return told


def test_a_recording_is_read_to_its_end() -> None:
    board = lambda: Board(Finite(HERALDS, EndOfStream("the recording is over")))  # noqa: E731
    told = read(board, lambda news: isinstance(news, BoardGone))
    assert isinstance(told[0], BoardUp)
    assert told[0].identity.board == "FINI"
    assert sum(len(news.batch.heralds) for news in told if isinstance(news, Arrived)) == 50
    assert told[-1] == BoardGone(LinkState.ENDED, "the recording is over")


@pytest.mark.parametrize("error", [TransportError("the cable was pulled"), RuntimeError("a bug")])
def test_whatever_goes_wrong_the_board_is_opened_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    ends = iter([error, error, EndOfStream("over")])
    board = lambda: Board(Finite(HERALDS, next(ends)))  # noqa: E731
    told = read(board, lambda news: isinstance(news, BoardGone) and news.state is LinkState.ENDED)
    assert [type(news).__name__ for news in told if not isinstance(news, Arrived)] == ["BoardUp", "BoardGone"] * 3
    assert f"the link is unavailable: {error}" in caplog.text


def test_a_board_that_never_answers_is_complained_about_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def no_board() -> Board:
        raise TransportError("nothing is plugged in")

    seen: list[News] = []
    read(no_board, lambda news: seen.append(news) or len(seen) == 5)  # type: ignore[func-returns-value]
    assert seen == [BoardGone(LinkState.DOWN, "nothing is plugged in")] * 5
    assert caplog.text.count("the link is unavailable") == 1
    assert [record.args[0] for record in caplog.records if record.msg.startswith("trying") and record.args][:5] == [  # type: ignore[index]
        0.01,
        0.02,
        0.04,
        0.04,
        0.04,
    ]


# -- what a board is set to


class Sequenced:
    """A board with a sequence that has ended. It is lost after so many looks at it."""

    identity = Identity(1, "SEQU", 8, 8, 4, 1_250_000, 200_000_000, 9, 1)

    def __init__(self, done: list[str], ends: int = 3, refusal: BridgeError | None = None) -> None:
        self.done, self._left, self._refusal = done, ends, refusal

    def configure(self, configuration: Configuration) -> None:
        if self._refusal is not None:
            raise self._refusal
        self.done.append("configure")

    def number_attempts(self, last: int) -> None:
        self.done.append(f"number {last}")

    def start(self) -> None:
        self.done.append("start")

    def start_sequence(self) -> None:
        self.done.append("start the sequence")

    def sequence_status(self) -> SequenceStatus:
        self.done.append("look")
        return ENDED

    def stop(self) -> None:
        self.done.append("stop")

    def events(self, timeout_s: float) -> Batch:
        self._left -= 1
        if self._left < 0:
            raise TransportError("unplugged")
        return concatenate([])

    def read(self, name: str) -> int:
        return 0

    def close(self) -> None:
        self.done.append("close")


ENDED = SequenceStatus(running=False, end=SequenceEnd.HERALD, attempts=12)
PLAIN = Configuration()
ATTEMPTS = Configuration(sequence=Sequence(period=100))


def watched(configuration: Configuration, first_attempt: int | None, **board: Any) -> tuple[list[str], list[News]]:
    """What is done with a board until it is lost for the second time or refused, and what is told."""
    done: list[str] = []
    seen: list[News] = []
    reading = Reading(configuration, Backoff(0.01, 2.0, 0.04), 0.01, silence_s=-1.0, first_attempt=first_attempt)
    news: queue.Queue[News] = queue.Queue()
    reader = BoardReader(lambda: Sequenced(done, **board), reading, lambda: 5, news.put)
    reader.start()
    while sum(isinstance(each, BoardGone) for each in seen) < 2 and not any(isinstance(e, BoardRefused) for e in seen):
        seen.append(news.get(timeout=10))
    reader.stop()
    assert reader.join(5)
    return done, seen


def test_a_sequence_is_begun_whenever_the_board_is_and_its_end_is_told_once() -> None:
    done, told = watched(ATTEMPTS, None)
    once = ["configure", "start", "start the sequence", "look", "close"]
    assert done[:10] == once * 2
    assert [each for each in told if isinstance(each, SequenceOver)] == [SequenceOver(ENDED)] * 2


def test_a_board_without_a_sequence_is_not_asked_for_one() -> None:
    assert watched(PLAIN, None)[0][:3] == ["configure", "start", "close"]


def test_attempts_are_numbered_once_though_the_board_is_lost() -> None:
    done, _ = watched(PLAIN, 1000)
    assert done[:6] == ["configure", "number 999", "start", "close", "configure", "start"]


def test_a_board_that_can_never_be_what_it_is_asked_to_be_is_given_up() -> None:
    done, told = watched(PLAIN, None, refusal=ConfigurationError("pattern 0: channel 9 does not exist"))
    assert (done, told) == (["close"], [BoardRefused("pattern 0: channel 9 does not exist")])


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.1), (2, 0.2), (3, 0.4), (7, 5.0), (10**6, 5.0)])
def test_pauses_grow_up_to_a_limit(failures: int, delay_s: float) -> None:
    assert Backoff(0.1, 2.0, 5.0).delay_s(failures) == pytest.approx(delay_s)


@pytest.mark.parametrize("values", [(0.0, 2.0, 5.0), (6.0, 2.0, 5.0), (0.1, 0.5, 5.0)])
def test_a_backoff_that_makes_no_sense_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(SettingsError, match="back-off needs"):
        Backoff(*values)
