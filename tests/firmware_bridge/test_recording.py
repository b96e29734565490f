"""Recordings play back what was recorded; damaged ones what is left of it."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Configuration, Pattern
from qlink.firmware_bridge.decoder import concatenate
from qlink.firmware_bridge.encoding import Click, Herald
from qlink.firmware_bridge.errors import (
    BoardError,
    BridgeError,
    ConfigurationError,
    EndOfStream,
    RecordingError,
    TransportError,
)
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.recording import Recorder, Replay, open_url
from qlink.firmware_bridge.wire import CONTRACT_VERSION

CONFIGURATION = Configuration(patterns=(Pattern(frozenset({0, 4}), 20),), snapshot_clocks=1000)


@pytest.fixture
def recorded(peer: Any, tmp_path: Path) -> tuple[Path, Batch]:
    """A file, and the events that its recording gave."""
    path = tmp_path / "run.qlink"
    with Board(Recorder(peer, path, now=lambda: 1e9 + peer.time_s)) as board:
        batches = []
        board.configure(CONFIGURATION)
        board.start()
        for n in range(20):
            peer.tick += 100
            peer.send([Click(peer.tick, n % 8), Herald(peer.tick, n, 0, 0, {0: 0})])
            batches.append(board.events(0.0))
        board.stop()
        batches.append(board.events(0.0))
    return path, concatenate(batches)


def play(board: Board) -> tuple[Batch, BridgeError]:
    """All events, and what ended them."""
    batches = []
    while True:
        try:
            batches.append(board.events(0.0))
        except BridgeError as error:
            return concatenate(batches), error


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Batch.__slots__)


def test_a_recording_gives_the_same_events_and_the_same_board(recorded: tuple[Path, Batch], peer: Any) -> None:
    path, events = recorded
    with open_board(f"replay://{path}") as board:
        assert board.identity == peer.identity
        batch, end = play(board)
    assert same(batch, events)
    assert isinstance(end, EndOfStream)


def test_what_runs_on_a_board_runs_on_its_recording(recorded: tuple[Path, Batch]) -> None:
    with open_board(f"replay://{recorded[0]}") as board:
        board.configure(CONFIGURATION)
        board.start()
        board.start_sequence()
        assert len(play(board)[0].heralds) == 20
        board.flush()
        board.stop()


def test_a_recording_refuses_what_only_a_board_can_do(recorded: tuple[Path, Batch]) -> None:
    with open_board(f"replay://{recorded[0]}") as board:
        with pytest.raises(ConfigurationError, match=r"the recording was made with snapshot_clocks\[0\] = 1000, not 0"):
            board.configure(Configuration(patterns=CONFIGURATION.patterns))
        with pytest.raises(BoardError, match="scratch cannot be set in a recording"):
            board.write("scratch", 5)
        board.write("snapshot_clocks", 1000)  # as it was
        with pytest.raises(BoardError, match="takes no commands"):
            board.snapshot()
        with pytest.raises(BoardError, match="the recording does not say what scratch was"):
            board.read("scratch")


def test_the_header_can_be_read_by_eye(recorded: tuple[Path, Batch]) -> None:
    with recorded[0].open("rb") as file:
        header = json.loads(file.readline())
    assert header == {
        "format": "qlink-recording",
        "format_version": 1,
        "contract_version": CONTRACT_VERSION,
        "created": 1e9,
    }


def drain(path: Path, size: int = 1 << 20) -> list[bytes]:
    """What a replay's reads give until it ends."""
    replay, pieces = Replay(path), []
    try:
        while True:
            pieces.append(replay.read(size, 0.0))
    except (EndOfStream, RecordingError):
        return pieces
    finally:
        replay.close()


def test_reads_come_in_the_size_asked_for(recorded: tuple[Path, Batch]) -> None:
    small = drain(recorded[0], size=7)
    assert max(map(len, small)) == 7
    assert b"".join(small) == b"".join(drain(recorded[0]))


# -- damage


def test_a_truncated_file_yields_what_is_intact_and_says_where_it_breaks_off(recorded: tuple[Path, Batch]) -> None:
    path, events = recorded
    path.write_bytes(path.read_bytes()[:-30])
    with open_board(f"replay://{path}") as board:
        batch, error = play(board)
        assert isinstance(error, RecordingError)
        assert "damaged at offset" in str(error)
        with pytest.raises(EndOfStream):
            board.events(0.0)
    assert len(batch.heralds) == len(events.heralds)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_no_damage_costs_more_than_what_it_hits(recorded: tuple[Path, Batch], data: st.DataObject) -> None:
    path, _ = recorded
    whole, sent = path.read_bytes(), drain(path)
    start = data.draw(st.integers(whole.index(b"\n") + 1, len(whole) - 1), label="start")
    length = data.draw(st.integers(1, 200), label="length")
    insert = data.draw(st.binary(max_size=50), label="insert")
    broken = path.with_name("broken")
    broken.write_bytes(whole[:start] + insert + whole[start + length :])
    lost = sum(map(len, sent)) - sum(map(len, drain(broken)))
    assert lost <= length + 2 * max(map(len, sent))  # the damage, and the blocks at its ends


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"", "is not a recording of ours"),
        (b"0 1234\n1 1240\n", "is not a recording of ours"),
        (b"[]\n", "is not a recording of ours"),
        (b"\xff" * 10000, "is not a recording of ours"),
        (b'{"created": 0, "format_version": 2}\n', "format version 2: update"),
        (b'{"created": 0, "contract_version": 99}\n', "recorded under wire contract 99"),
    ],
)
def test_says_what_is_no_recording(tmp_path: Path, content: bytes, names: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=names):
        Replay(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nowhere cannot be read: No such file"):
        Replay(tmp_path / "nowhere")


def test_an_existing_file_is_not_overwritten(peer: Any, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(RecordingError, match=r"precious cannot be written: File exists"):
        Recorder(peer, path)
    assert path.read_text() == "data"


def test_a_recording_without_identity_is_no_board(peer: Any, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    peer.send([Click(1, 0)])
    recorder = Recorder(peer, path)
    recorder.read(1 << 20, 0.0)
    recorder.close()
    with pytest.raises(BoardError, match="the recording does not say what magic was"):
        open_board(f"replay://{path}")


@pytest.mark.parametrize(
    ("url", "path"),
    [("replay:///tmp/x", "/tmp/x"), ("replay://runs/a%20b", "runs/a b"), ("replay://Run.qlink", "Run.qlink")],
)
def test_urls_name_paths(url: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlink.firmware_bridge.recording.Replay", lambda given: given)
    opened: Any = open_url(urlsplit(url))
    assert opened == Path(path)


def test_a_url_without_a_file_is_refused() -> None:
    with pytest.raises(TransportError, match="needs a file"):
        open_url(urlsplit("replay://"))
