"""Two boards in step: what the host sets, and what it refuses."""

from dataclasses import replace
from typing import Any

import pytest

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, ReferenceSource, Role, Sequence, Sync, SyncStatus
from qlink.firmware_bridge.errors import BoardError, ConfigurationError
from qlink.firmware_bridge.registers import BY_NAME, SYNC_MESSAGE_CLOCKS, Mode
from qlink.firmware_bridge.settings import check

LEADER = Configuration(
    mode=Mode.GATED,
    attempt_clocks=90,
    sequence=Sequence(period=SYNC_MESSAGE_CLOCKS),
    sync=Sync(Role.LEADER, await_ready=True, ready_timeout=5_000, stop_on_success=True),
)
FOLLOWER = Configuration(mode=Mode.GATED, attempt_clocks=SYNC_MESSAGE_CLOCKS, sync=Sync(Role.FOLLOWER))


def test_roles_arrive_and_are_cleared(board: Board) -> None:
    board.configure(LEADER)
    setup = BY_NAME["sync_setup"].unpack(board.read("sync_setup"))
    assert setup == {"leader": 1, "follower": 0, "await_ready": 1, "stop_on_success": 1}
    assert board.read("sync_ready_timeout") == 5_000
    board.configure(FOLLOWER)
    assert BY_NAME["sync_setup"].unpack(board.read("sync_setup"))["follower"] == 1
    board.configure(Configuration())
    assert board.read("sync_setup") == 0


REFUSED: dict[str, tuple[Configuration, dict[str, Any], str]] = {
    "free running": (FOLLOWER, {"mode": Mode.FREE_RUNNING}, "set mode to GATED"),
    "a short period": (LEADER, {"sequence": Sequence(period=90)}, "every 90 clocks is too often, a message takes 108"),
    "a short attempt": (FOLLOWER, {"attempt_clocks": 20}, "every 20 clocks is too often"),
    "a waiting follower": (FOLLOWER, {"sync": Sync(Role.FOLLOWER, await_ready=True)}, "it is the leader that waits"),
    "an own reference": (FOLLOWER, {"sequence": Sequence(period=500)}, "set reference to EXTERNAL"),
    "a timeout": (LEADER, {"sync": Sync(Role.LEADER, ready_timeout=2**32)}, "ready_timeout = 4294967296 does not fit"),
}


@pytest.mark.parametrize(("configuration", "change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_name(
    board: Board, configuration: Configuration, change: dict[str, Any], message: str
) -> None:
    check(configuration, board.identity)
    with pytest.raises(ConfigurationError, match=message):
        check(replace(configuration, **change), board.identity)


def test_a_board_without_lines_says_so(board: Board) -> None:
    with pytest.raises(ConfigurationError, match="built without lines"):
        check(FOLLOWER, replace(board.identity, sync_latency=0))


def test_a_follower_may_play_triggers_of_its_own(board: Board) -> None:
    check(replace(FOLLOWER, sequence=Sequence(100, reference=ReferenceSource.EXTERNAL)), board.identity)


def test_attempts_are_numbered_by_the_host(board: Board, peer: Any) -> None:
    board.number_attempts(2**40 + 7)
    assert (board.read("sync_number_low"), board.read("sync_number_high")) == (7, 2**8)
    assert [request.value for request in peer.requests if request.address == BY_NAME["sync_command"].address] == [1]
    with pytest.raises(ConfigurationError, match="number -1 does not fit"):
        board.number_attempts(-1)
    board.identity = replace(board.identity, sync_latency=0)
    with pytest.raises(ConfigurationError, match="built without lines to another one"):
        board.number_attempts(7)


def test_a_follower_is_not_started_before_it_is_numbered(board: Board, peer: Any) -> None:
    board.configure(LEADER)
    board.start()
    board.configure(FOLLOWER)
    with pytest.raises(BoardError, match="until it is numbered like its leader"):
        board.start()
    assert BY_NAME["control"].unpack(board.read("control"))["run"] == 0
    peer.set("sync_status", BY_NAME["sync_status"].pack(agreed=1, number=7, attempts=8, successes=3))
    board.start()
    assert board.sync_status() == SyncStatus(agreed=True, number=7, heard=8, successes=3)


def test_a_board_without_lines_agrees_with_nobody(board: Board) -> None:
    board.identity = replace(board.identity, sync_latency=0)
    with pytest.raises(ConfigurationError, match="built without lines to another one"):
        board.sync_status()
    board.start()
