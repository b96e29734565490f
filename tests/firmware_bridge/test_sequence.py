"""Sequences: what a board is given to play, and what is refused."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware_bridge.conftest import IDENTITY

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Gate, Outcome, ReferenceSource, Sequence, Window
from qlink.firmware_bridge.errors import BoardError, ConfigurationError
from qlink.firmware_bridge.registers import BY_NAME, SEGMENTS, Mode, SequenceEnd
from qlink.firmware_bridge.sequence import Segment, segments_of
from qlink.firmware_bridge.settings import check

SECOND = 200_000_000
SEQUENCE = Sequence(
    period=100,
    windows={2: (Window(0, 10), Window(40, 50)), 5: (Window(10, 45),)},
    attempts=1_000,
    stop_on=frozenset({Outcome.PSI_MINUS, Outcome.PSI_PLUS}),
    timeout=SECOND,
    idle_high=frozenset({7}),
)
ATTEMPTS = Configuration(mode=Mode.GATED, gates={0: Gate(0, 360)}, attempt_clocks=90, sequence=SEQUENCE)


def test_a_program_is_what_is_on_and_for_how_long() -> None:
    assert segments_of(SEQUENCE) == [
        Segment(10, 1 << 2),
        Segment(30, 1 << 5),
        Segment(5, 1 << 5 | 1 << 2),
        Segment(5, 1 << 2),
        Segment(50, 0),
    ]


def test_eight_triggers_with_four_windows_each_fit_a_board() -> None:
    edges = iter(range(1, 65))
    windows = {trigger: tuple(Window(next(edges), next(edges)) for _ in range(4)) for trigger in range(8)}
    assert len(segments_of(Sequence(100, windows))) == SEGMENTS


@given(st.integers(1, 2**32 - 1), st.data())
def test_the_segments_of_an_attempt_add_up_to_its_period(period: int, data: st.DataObject) -> None:
    edges = sorted(data.draw(st.sets(st.integers(0, period), max_size=8)))
    windows = tuple(Window(*pair) for pair in zip(edges[::2], edges[1::2], strict=False))
    segments = segments_of(Sequence(period, {0: windows}))
    assert sum(segment.clocks for segment in segments) == period
    assert sum(s.clocks for s in segments if s.on) == sum(window.stop - window.start for window in windows)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no period": ({"period": 0}, "period = 0 does not fit: it goes from 1 to 4294967295"),
    "a long period": ({"period": 2**32}, "period = 4294967296 does not fit"),
    "a period shorter than an attempt": ({"period": 89}, "period = 89 is shorter than an attempt, attempt_clocks = 90"),
    "a window past the period": (
        {"windows": {3: (Window(0, 1), Window(90, 101))}},
        "trigger 3, window 1: stop 101 is past the period of 100 clocks",
    ),
    "an overlap": (
        {"windows": {3: (Window(20, 30), Window(0, 21))}},
        r"trigger 3: windows \[0, 21\) and \[20, 30\) overlap",
    ),
    "an empty window": ({"windows": {3: (Window(5, 5),)}}, "trigger 3, window 0: start 5 is not in 0 to stop 5 - 1"),
    "a window before the start": ({"windows": {3: (Window(-1, 5),)}}, "trigger 3, window 0: start -1 is not in 0"),
    "five windows": ({"windows": {3: (Window(0, 1),) * 5}}, "trigger 3: 5 windows do not fit, it can have 4"),
    "a ninth trigger": ({"windows": {8: (Window(0, 1),)}}, "trigger 8 does not exist, there are 0 to 7"),
    "its idle level": ({"idle_high": frozenset({9})}, "trigger 9 does not exist"),
    "attempts": ({"attempts": 2**32}, "attempts = 4294967296 does not fit"),
    "a timeout": ({"timeout": -1}, "timeout = -1 does not fit"),
    "an external period": (
        {"reference": ReferenceSource.EXTERNAL},
        "gate of channel 0: stop 360 is past the attempt|period = 100 is longer than an attempt, attempt_clocks = 90",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_name(board: Board, change: dict[str, Any], message: str) -> None:
    check(ATTEMPTS, board.identity)
    with pytest.raises(ConfigurationError, match=message):
        check(replace(ATTEMPTS, sequence=replace(SEQUENCE, **change)), board.identity)


def test_attempts_need_gated_mode_and_a_sequencer(board: Board) -> None:
    with pytest.raises(ConfigurationError, match="set mode to GATED"):
        check(Configuration(sequence=SEQUENCE), board.identity)
    with pytest.raises(ConfigurationError, match="built without a sequencer"):
        check(ATTEMPTS, replace(board.identity, sequence_segments=0))


@pytest.mark.parametrize(
    ("triggers", "message"),
    [
        (3, "trigger 5 has no pin on this board, which has those of 0 to 2 only"),
        (6, "trigger 7 has no pin on this board, which has those of 0 to 5 only"),
        (0, "trigger 2 has no pin on this board, which has none at all"),
    ],
)
def test_a_trigger_without_a_pin_is_refused_by_name(board: Board, triggers: int, message: str) -> None:
    identity = replace(board.identity, triggers=triggers)
    with pytest.raises(ConfigurationError, match=message):
        check(ATTEMPTS, identity)
    check(replace(ATTEMPTS, sequence=Sequence(period=100)), identity)  # attempts alone need no pin


@given(st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)), st.integers(0, 8))
def test_a_sequence_is_taken_when_all_its_triggers_have_pins(on: set[int], high: set[int], triggers: int) -> None:
    sequence = Sequence(100, windows=dict.fromkeys(on, (Window(0, 5),)), idle_high=frozenset(high))
    fits = max(on | high, default=-1) < triggers
    with nullcontext() if fits else pytest.raises(ConfigurationError, match="has no pin on this board"):
        check(replace(ATTEMPTS, sequence=sequence), replace(IDENTITY, triggers=triggers))


def test_a_sequence_arrives_whole_and_is_cleared_with_the_next(board: Board) -> None:
    board.configure(ATTEMPTS)
    setup = BY_NAME["sequence_setup"].unpack(board.read("sequence_setup"))
    assert setup == {"segments": 5, "external": 0, "stop_on": 0b0110, "idle": 0x80}
    assert [board.read("sequence_clocks", n) for n in range(5)] == [10, 30, 5, 5, 50]
    assert board.read("sequence_levels", 0) == 0x04242004
    assert (board.read("sequence_attempts"), board.read("sequence_timeout")) == (1_000, SECOND)
    board.configure(Configuration())
    assert board.read("sequence_setup") == 0


def test_a_board_is_told_to_start_and_stop(board: Board, peer: Any) -> None:
    peer.set("sequence_status", BY_NAME["sequence_status"].pack(running=1))
    peer.set("sequence_begun", 17)
    board.start_sequence()
    assert [request.value for request in peer.requests if request.address == 0x156] == [1]
    assert (board.sequence_status().running, board.sequence_status().attempts) == (True, 17)
    board.stop_sequence()
    assert [request.value for request in peer.requests if request.address == 0x156] == [1, 2]


def test_a_start_that_the_board_refuses_is_an_error(board: Board, peer: Any) -> None:
    peer.set("sequence_status", BY_NAME["sequence_status"].pack(end=SequenceEnd.REFUSED))
    with pytest.raises(BoardError, match="configure one, and start the board before"):
        board.start_sequence()


def test_triggers_are_held_by_hand(board: Board) -> None:
    board.hold_triggers({0: True, 7: False})
    assert board.read("trigger_manual") == 0x0181
    board.hold_triggers({})
    assert board.read("trigger_manual") == 0
    with pytest.raises(ConfigurationError, match="trigger 8 does not exist"):
        board.hold_triggers({8: True})
    board.identity = replace(board.identity, triggers=7)
    with pytest.raises(ConfigurationError, match="trigger 7 has no pin on this board"):
        board.hold_triggers({7: False})
