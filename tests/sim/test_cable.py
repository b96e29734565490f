"""Two twins joined line to line: time, skipping, resets, and what can be spoilt."""

import numpy as np
import pytest
from tests.hil.pair import SMALL
from tests.hil.twin_port import TwinPort

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Gate, Pattern, Role, Sequence, Sync
from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.registers import BY_NAME, MAGIC, Mode, SyncLine
from qlink.firmware_bridge.settings import settings_of
from qlink.firmware_bridge.wire import Operation
from qlink.gateware.parameters import Parameters
from qlink.sim.cable import Cable, Damage, End, Fault
from qlink.sim.errors import TwinError
from qlink.sim.sources import clicks_of
from qlink.sim.twin import Link, Twin, open_twin

PERIOD, SETUP, ATTEMPTS = 3_000, 15_000, 30
LEADER = Configuration(
    patterns=(Pattern(frozenset({0}), 0),),
    mode=Mode.GATED,
    gates={0: Gate(100, 2_000)},
    attempt_clocks=2_500,
    flush_clocks=500,
    sequence=Sequence(PERIOD, attempts=ATTEMPTS),
    sync=Sync(Role.LEADER, await_ready=True, ready_timeout=4_000),
)
FOLLOWER = Configuration(
    patterns=LEADER.patterns,
    mode=Mode.GATED,
    gates={0: Gate(0, 1_800)},
    attempt_clocks=2_400,
    flush_clocks=500,
    sync=Sync(Role.FOLLOWER),
)


def joined(*faults: Fault, skipping: bool = True) -> tuple[Twin, Twin, Cable]:
    left, right = (open_twin(SMALL, Link(skipping=skipping)) for _ in End)
    return left, right, Cable(left, right, faults)


def requests(configuration: Configuration) -> bytes:
    """What sets a board up and starts it, and its sequence, if it has one."""
    with Board(TwinPort(open_twin(SMALL))) as board:
        settings = [(s.name, s.value, s.index) for s in settings_of(configuration, board.identity)]
    settings += [("sync_number_low", 7, 0), ("sync_command", 1, 0), ("control", 3, 0)]
    settings += [("sequence_command", 1, 0)] if configuration.sequence else []
    words = ((BY_NAME[name].address + index, value) for name, value, index in settings)
    return b"".join(encode_request(Operation.WRITE, 1, address, value) for address, value in words)


def session(*faults: Fault, skipping: bool = True) -> tuple[list[bytes], list[Twin]]:
    """What comes up from two boards that make attempts, clicks on both; the leader is begun last."""
    left, right, _ = joined(*faults, skipping=skipping)
    data = {left: b"", right: right.run(SETUP, requests=requests(FOLLOWER))}
    left.request(requests(LEADER))
    clicks = clicks_of(np.arange(SETUP * 2, SETUP * 2 + ATTEMPTS * PERIOD, 1_100), 0)
    right.feed(clicks)
    data[left] += left.run(SETUP + (ATTEMPTS + 5) * PERIOD, clicks)
    data[right] += right.run(1)
    return list(data.values()), [left, right]


def test_skipping_does_not_show() -> None:
    drop = Fault(End.RIGHT, SyncLine.TRIGGER, Damage.DROPPED, after=10)
    skipped, twins = session(drop)
    computed, slow = session(drop, skipping=False)
    assert skipped == computed
    assert all(twin.evaluated < twin.now / 2 for twin in twins)
    assert all(twin.evaluated == twin.now for twin in slow)
    heralds = [Decoder().feed(data).heralds for data in skipped]
    attempts = [set(some["attempt"].tolist()) for some in heralds]
    assert attempts[0] == set(range(10, 8 + ATTEMPTS))  # the first ones are over before the clicks
    assert attempts[0] - attempts[1] == {7 + 11}


def test_time_passes_for_both_and_bytes_wait_until_they_are_asked_for() -> None:
    left, right, _ = joined()
    right.request(encode_request(Operation.READ, 9, BY_NAME["magic"].address))
    assert left.run(2_000) == b""
    assert (left.now, right.now) == (2_000, 2_000)
    assert not right.idle
    replies = Decoder().feed(right.work(right.now, 0)).replies
    assert replies["value"].tolist() == [MAGIC]
    assert right.now == 2_000


def test_one_of_them_can_be_reset() -> None:
    left, right, cable = joined()
    left.run(700)
    right.reset()
    left.run(300)
    right.run(50)
    assert (left.now, right.now) == (1_050, 350)
    assert cable.carried(End.LEFT, SyncLine.READY) == 0


def test_what_cannot_be_joined_or_spoilt_is_refused() -> None:
    left, right, cable = joined()
    with pytest.raises(TwinError, match="one other only"):
        Cable(open_twin(SMALL), right)
    with pytest.raises(TwinError, match="two kinds of gateware"):
        Cable(open_twin(SMALL), open_twin(Parameters()))
    with pytest.raises(TwinError, match="no message can be spoilt so"):
        cable.spoil(Fault(End.LEFT, SyncLine.READY, Damage.CORRUPT, bit=25))
    assert left.now == right.now == 0
