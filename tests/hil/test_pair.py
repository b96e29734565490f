"""Scenarios of two boards in step: on joined twins, and on real boards whose lines are joined.

For the latter `QLINK_LEADER` and `QLINK_FOLLOWER` have their URLs.
"""

import os
from collections.abc import Callable, Iterator

import pytest
from tests.hil.pair import NeedsFaults, PairRig, joined_twins
from tests.hil.pair_scenarios import PAIR_SCENARIOS
from tests.hil.rig import NeedsStimulus

from qlink.firmware_bridge.board import open_board


@pytest.fixture
def twin_pair() -> Iterator[PairRig]:
    with joined_twins() as (rig, _):
        yield rig


@pytest.fixture
def board_pair() -> Iterator[PairRig]:
    urls = [os.environ.get(name) for name in ("QLINK_LEADER", "QLINK_FOLLOWER")]
    if not all(urls):
        pytest.skip("no real boards: set QLINK_LEADER and QLINK_FOLLOWER to the URLs of two whose lines are joined")
    with open_board(str(urls[0])) as leader, open_board(str(urls[1])) as follower:
        yield PairRig(leader, follower)


@pytest.mark.parametrize("scenario", PAIR_SCENARIOS)
def test_on_two_twins(scenario: Callable[[PairRig], None], twin_pair: PairRig) -> None:
    scenario(twin_pair)


@pytest.mark.parametrize("scenario", PAIR_SCENARIOS)
def test_on_two_real_boards(scenario: Callable[[PairRig], None], board_pair: PairRig) -> None:
    try:
        scenario(board_pair)
    except (NeedsStimulus, NeedsFaults) as reason:
        pytest.skip(str(reason))
