"""The bridge on the gateware's own RTL: what happened on the board is what the host accounts for."""

from pathlib import Path

import numpy as np
import pytest

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Configuration, Identity, Outcome, Pattern
from qlink.firmware_bridge.decoder import concatenate
from qlink.firmware_bridge.errors import BridgeError, EndOfStream
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.recording import Recorder
from qlink.firmware_bridge.registers import MOST, REGISTERS, Access, Feature, Repeat
from qlink.firmware_bridge.transport import open_transport
from qlink.firmware_bridge.wire import OUTCOMES

URL = "twin://pairs?duration_s=0.004&pair_hz=500000"
CONFIGURATION = Configuration(
    patterns=tuple(Pattern(frozenset({arm, arm + 4}), 8, Outcome(arm)) for arm in range(4)),
    stream_channels=frozenset(range(6)),
    snapshot_clocks=200_000,
)


def events_of(board: Board) -> tuple[Batch, BridgeError]:
    batches = []
    while True:
        try:
            batches.append(board.events(0.001))
        except BridgeError as error:
            return concatenate(batches), error


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Identity, Batch]:
    """A recorded run; everything that is said of the board is checked while it is there."""
    path = tmp_path_factory.mktemp("run") / "run.qlink"
    with Board(Recorder(open_transport(URL), path)) as board:
        board.configure(CONFIGURATION)
        board.start()
        batch, end = events_of(board)
        assert isinstance(end, EndOfStream)
        board.stop()
        rest = board.events(0.0)
        counters, account = board.snapshot(), board.telemetry
        late = board.events(0.0)
        identity = board.identity
    everything = concatenate([batch, rest, late])
    received = np.bincount(everything.clicks["channel"], minlength=8)
    assert (counters.clicks == received + counters.clicks_filtered + counters.clicks_lost).all()
    assert counters.clicks_filtered[6:].all()
    assert counters.heralds.sum() == len(everything.heralds) + counters.heralds_lost.sum() > 0
    assert account.clicks_expected[:8].tolist() == received.tolist()
    assert (account.clicks.missing, account.heralds.missing, account.frames.missing) == (0, 0, 0)
    return path, identity, everything


def test_every_register_of_the_map_keeps_what_fits_it() -> None:
    with open_board("twin://idle") as board:
        for register in REGISTERS:
            if register.access is not Access.WRITE or register.name == "control":
                continue
            if register.name == "pattern_limits" and not board.identity.features & Feature.MULTIPLICITY:
                continue
            counts = {Repeat.CHANNEL: board.identity.channels, Repeat.PATTERN: board.identity.patterns}
            counts[Repeat.ACTION] = board.identity.pulses * OUTCOMES
            index = counts.get(register.repeat, MOST[register.repeat]) - 1
            bits = register.bits(board.identity.widths)
            for value in (bits, bits & 0x5555_5555):
                board.write(register.name, value, index)
                assert board.read(register.name, index) == value, register.name


def test_heralds_come_in_order_with_every_number(run: tuple[Path, Identity, Batch]) -> None:
    heralds = run[2].heralds
    assert np.diff(heralds["sequence"]).tolist() == [1] * (len(heralds) - 1)
    assert (np.diff(run[2].clicks["tick"].astype(np.int64)) >= 0).all()


def test_the_recording_of_a_run_is_the_same_board_with_the_same_events(run: tuple[Path, Identity, Batch]) -> None:
    path, identity, events = run
    with open_board(f"replay://{path}") as board:
        assert board.identity == identity
        board.configure(CONFIGURATION)
        board.start()
        batch, end = events_of(board)
    assert isinstance(end, EndOfStream)
    assert all(np.array_equal(getattr(batch, name), getattr(events, name)) for name in Batch.__slots__)
