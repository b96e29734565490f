"""The twin of a small board, which counts and matches clicks and streams none: it works, and refuses the rest."""

from contextlib import suppress

import numpy as np
import pytest

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Configuration, Outcome, Pattern, Sequence
from qlink.firmware_bridge.decoder import concatenate
from qlink.firmware_bridge.errors import ConfigurationError, EndOfStream, NoSuchRegister
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.registers import Mode
from qlink.gateware.boards.profiles import PROFILES

NAME = "ice40-hx8k"
URL = f"twin://pairs?arms=2&duration_s=0.02&pair_hz={{}}&board={NAME}"
PATTERNS = (Pattern(frozenset({0, 2}), 3, Outcome.PSI_MINUS), Pattern(frozenset({1, 3}), 3, Outcome.PSI_PLUS))


def events_of(board: Board) -> Batch:
    batches = []
    with suppress(EndOfStream):
        while True:
            batches.append(board.events(0.001))
    return concatenate(batches)


@pytest.mark.parametrize(("pair_hz", "crowded"), [(100_000, False), (20_000_000, True)])
def test_heralds_are_delivered_or_bracketed_and_all_clicks_filtered(pair_hz: int, crowded: bool) -> None:
    with open_board(URL.format(pair_hz)) as board:
        board.configure(Configuration(PATTERNS, snapshot_clocks=60_000))
        board.start()
        batch = events_of(board)
        board.stop()
        counters, account = board.snapshot(), board.telemetry
        everything = concatenate([batch, board.events(0.0)])
    assert len(everything.clicks) == 0
    assert (counters.clicks_filtered == counters.clicks).all()
    assert (account.clicks.expected, account.heralds.missing, account.frames.missing) == (0, 0, 0)
    assert counters.heralds.sum() == len(everything.heralds) + counters.heralds_lost.sum() > 0
    assert bool(counters.heralds_lost.sum()) == crowded
    assert account.heralds.bracketed == counters.heralds_lost.sum()
    assert set(np.unique(everything.heralds["channels"])) == {0b0101, 0b1010}
    assert len(everything.counters)


LACKING = {
    "pattern 0: this board has no forbidden channels": Configuration(
        (Pattern(frozenset({0}), 3, forbidden=frozenset({1})),)
    ),
    "pattern 0, window = 4096 does not fit": Configuration((Pattern(frozenset({0}), 4096),)),
    "stream_channels: this board streams no clicks": Configuration(stream_channels=frozenset({0})),
    "near_heralds: this board streams no clicks": Configuration(near_heralds=frozenset({0})),
    "this board has no accidental counters": Configuration(accidental_clocks=5),
    "delay of channel 0 = 1 does not fit": Configuration(delays={0: 1}),
    "sequence": Configuration(mode=Mode.GATED, attempt_clocks=10, sequence=Sequence(period=20)),
    "time_pps: this board has no PPS input": Configuration(time_pps=True),
}


@pytest.mark.parametrize("name", [NAME, "icebreaker"])
def test_what_the_board_lacks_is_refused_by_name(name: str) -> None:
    with open_board(f"twin://idle?board={name}") as board:
        for message, configuration in LACKING.items():
            with pytest.raises(ConfigurationError, match=message):
                board.configure(configuration)
        for register in ("stream_channels", "filter", "pattern_limits", "histogram_run", "sequence_setup"):
            with pytest.raises((NoSuchRegister, ConfigurationError)):
                board.read(register)
        parameters = PROFILES[name].parameters
        assert board.identity.window_ticks == (1 << parameters.window_bits) - 1
        assert (board.identity.codings, board.identity.veto_clocks) == (0, 0)
