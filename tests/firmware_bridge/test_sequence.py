"""Sequences: what a board is given to play, and what is refused."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware_bridge.conftest import IDENTITY

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import (
    Branch,
    Configuration,
    Gate,
    Outcome,
    Pattern,
    ReferenceSource,
    Role,
    Sequence,
    SequenceStatus,
    Sync,
    Window,
)
from qlink.firmware_bridge.errors import BoardError, ConfigurationError
from qlink.firmware_bridge.link import Patience
from qlink.firmware_bridge.registers import BY_NAME, SEGMENTS, Mode, SequenceEnd
from qlink.firmware_bridge.sequence import CLOCKS_MAX, Segment, branch_segments_of, segments_of
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


BRANCH = Branch(120, {0: (Window(5, 20),), 3: (Window(0, 8), Window(100, 112))})
BRANCHED = replace(
    ATTEMPTS,
    patterns=(Pattern(frozenset({0}), 0, Outcome.PHI_MINUS), Pattern(frozenset({0}), 0, Outcome.PSI_PLUS)),
    sequence=replace(SEQUENCE, branches={Outcome.PHI_MINUS: BRANCH}),
)
FINE = {t: tuple(Window(1 + 2 * t + 16 * n, 2 + 2 * t + 16 * n) for n in range(4)) for t in range(8)}

BRANCH_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no period": ({"period": 0}, "branch of PHI_MINUS, period = 0 does not fit: it goes from 1 to 4294967295"),
    "a period shorter than an attempt": (
        {"period": 89, "windows": {}},
        "branch of PHI_MINUS, period = 89 is shorter than an attempt, attempt_clocks = 90",
    ),
    "a window past the period": (
        {"windows": {3: (Window(0, 121),)}},
        "branch of PHI_MINUS, trigger 3, window 0: stop 121 is past the period of 120 clocks",
    ),
    "an overlap": (
        {"windows": {3: (Window(20, 30), Window(0, 21))}},
        r"branch of PHI_MINUS, trigger 3: windows \[0, 21\) and \[20, 30\) overlap",
    ),
    "five windows": ({"windows": {3: (Window(0, 1),) * 5}}, "trigger 3: 5 windows do not fit, it can have 4"),
    "a ninth trigger": ({"windows": {8: (Window(0, 1),)}}, "trigger 8 does not exist, there are 0 to 7"),
    "an edge near its end": (
        {"windows": {3: (Window(0, 113),)}},
        "branch of PHI_MINUS: its triggers change 7 clocks before its end, they have to rest for its last 8",
    ),
    "many edges": (
        {"windows": FINE},
        "branch of PHI_MINUS: 65 segments do not fit, it can have 64",
    ),
    "a long time": (
        {"period": 64 * CLOCKS_MAX + 1},
        "branch of PHI_MINUS: 69 segments do not fit, it can have 64: .* one more for every 8388607 clocks without any",
    ),
}


@pytest.mark.parametrize(("change", "message"), BRANCH_REFUSED.values(), ids=BRANCH_REFUSED)
def test_a_branch_that_does_not_fit_is_refused_by_name(board: Board, change: dict[str, Any], message: str) -> None:
    check(BRANCHED, board.identity)
    sequence = replace(SEQUENCE, branches={Outcome.PHI_MINUS: replace(BRANCH, **change)})
    with pytest.raises(ConfigurationError, match=message):
        check(replace(BRANCHED, sequence=sequence), board.identity)


def test_a_branch_needs_its_herald_and_a_board_that_has_branches(board: Board) -> None:
    with pytest.raises(ConfigurationError, match="branch of PHI_MINUS: this board's gateware is built without"):
        check(BRANCHED, replace(board.identity, branch_segments=0))
    with pytest.raises(ConfigurationError, match="branch of PHI_MINUS: no pattern heralds it"):
        check(replace(BRANCHED, patterns=BRANCHED.patterns[1:]), board.identity)
    sequence = replace(SEQUENCE, branches={Outcome.PSI_PLUS: BRANCH})
    with pytest.raises(ConfigurationError, match="branch of PSI_PLUS: it would never be played, as stop_on"):
        check(replace(BRANCHED, sequence=sequence), board.identity)


def test_a_branch_is_no_longer_than_an_attempt_that_follows_an_external_reference(board: Board) -> None:
    sequence = replace(SEQUENCE, reference=ReferenceSource.EXTERNAL, branches={Outcome.PHI_MINUS: BRANCH})
    check(replace(BRANCHED, attempt_clocks=120, sequence=sequence), board.identity)
    with pytest.raises(ConfigurationError, match="branch of PHI_MINUS, period = 120 is longer than an attempt"):
        check(replace(BRANCHED, attempt_clocks=119, sequence=sequence), board.identity)


def test_a_leader_has_time_for_its_messages_in_a_branch_too(board: Board) -> None:
    sync = Sync(Role.LEADER)
    sequence = replace(SEQUENCE, period=200, branches={Outcome.PHI_MINUS: Branch(108)})
    check(replace(BRANCHED, sequence=sequence, sync=sync), board.identity)
    sequence = replace(sequence, branches={Outcome.PHI_MINUS: Branch(107)})
    with pytest.raises(ConfigurationError, match="an attempt every 107 clocks is too often"):
        check(replace(BRANCHED, sequence=sequence, sync=sync), board.identity)


@given(st.integers(1, 60 * CLOCKS_MAX))
def test_a_branch_rests_in_several_segments_if_one_is_too_short(period: int) -> None:
    segments = branch_segments_of(Branch(period, {0: (Window(0, 1),)} if period > 1 else {}))
    assert sum(segment.clocks for segment in segments) == period
    assert all(1 <= segment.clocks <= CLOCKS_MAX for segment in segments)
    assert segments[-1].clocks == min(CLOCKS_MAX, max(period - 1, 1))


def test_branches_arrive_whole_and_are_cleared_with_the_next(board: Board) -> None:
    board.configure(BRANCHED)
    register, first = BY_NAME["branch_segment"], Outcome.PHI_MINUS * 64
    words = [register.unpack(board.read("branch_segment", first + n)) for n in range(6)]
    assert [(word["clocks"], word["on"], word["last"]) for word in words] == [
        (5, 1 << 3, 0),
        (3, 1 << 3 | 1, 0),
        (12, 1, 0),
        (80, 0, 0),
        (12, 1 << 3, 0),
        (8, 0, 1),
    ]
    assert board.read("sequence_branches") == 1 << Outcome.PHI_MINUS
    board.configure(ATTEMPTS)
    assert board.read("sequence_branches") == 0


def test_a_board_from_before_branches_has_none(peer: Any) -> None:
    peer.missing = {"branches", "sequence_branches", "sequence_branched", "branch_segment"}
    board = Board(peer, Patience(reply_s=0.5, attempts=3))
    assert (board.identity.branch_segments, board.identity.branch_latency) == (0, 0)
    board.configure(ATTEMPTS)
    assert board.sequence_status().branched == 0
    with pytest.raises(ConfigurationError, match="does not exist"):
        board.write("branch_segment", 0)


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
    peer.set("sequence_branched", 3)
    board.start_sequence()
    assert [request.value for request in peer.requests if request.address == 0x156] == [1]
    assert board.sequence_status() == SequenceStatus(True, SequenceEnd.NONE, 17, 3)
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
    with pytest.raises(ConfigurationError, match="trigger 7 has no pin on this board"):
        board.write("trigger_manual", 0x0080)
    board.write("trigger_manual", 0x8001)  # a level without its mask holds nothing
