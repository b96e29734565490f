"""The hardware-in-the-loop scenarios on the twin, and on a real board when `QLINK_BOARD` has its URL."""

import os
from collections.abc import Callable, Iterator

import pytest
from tests.hil.rig import NeedsStimulus, Rig
from tests.hil.scenarios import SCENARIOS
from tests.hil.twin_port import TwinPort

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.transport import open_transport
from qlink.gateware.parameters import Parameters
from qlink.sim.twin import Link, open_twin


@pytest.fixture
def twin_rig() -> Iterator[Rig]:
    port = TwinPort(open_twin(Parameters(), Link(capture=True)))
    with Board(port) as board:
        yield Rig(board, port, port, 0)


@pytest.fixture
def board_rig() -> Iterator[Rig]:
    url = os.environ.get("QLINK_BOARD")
    if not url:
        pytest.skip("no real board: set QLINK_BOARD to its URL, for instance ftdi://")
    transport = open_transport(url)
    with Board(transport) as board:
        yield Rig(board, transport, None, 0)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_on_the_twin(scenario: Callable[[Rig], None], twin_rig: Rig) -> None:
    scenario(twin_rig)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_on_a_real_board(scenario: Callable[[Rig], None], board_rig: Rig) -> None:
    try:
        scenario(board_rig)
    except NeedsStimulus as reason:
        pytest.skip(str(reason))
