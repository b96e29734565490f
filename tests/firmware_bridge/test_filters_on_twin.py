"""The filters of a compiled board, against the model: the same clicks, streamed whole and filtered."""

import numpy as np
import pytest

from qlink.firmware_bridge.board import open_board
from qlink.firmware_bridge.configuration import Configuration, Pattern
from qlink.firmware_bridge.events import Batch
from qlink.sim.stream_filter import streamed

URL = "twin://pairs?duration_s=0.003&pair_hz=8000000&efficiency=0.5&seed=3"
PATTERNS = (
    Pattern(frozenset({0, 4}), 8),
    Pattern(frozenset({1}), 2000, forbidden=frozenset({5})),
    Pattern(frozenset({2, 6}), 5, forbidden=frozenset({0, 1, 3})),
)


def run(configuration: Configuration) -> Batch:
    """All events of one run; the account is checked at every channel."""
    with open_board(URL) as board:
        board.configure(configuration)
        board.start()
        board._let_pass(0.002)
        board.stop()
        after, events = board.snapshot(), board.events(0.0)
        account = board.telemetry
    delivered = np.bincount(events.clicks["channel"], minlength=8)
    assert (after.clicks == delivered + after.clicks_filtered + after.clicks_lost).all()  # since reset
    assert (account.clicks_received[:8] == delivered).all()
    assert account.clicks.missing == account.clicks.bracketed == 0
    assert (np.diff(events.clicks["tick"].astype(np.int64)) >= 0).all()
    return events


@pytest.mark.parametrize("vicinity", [0, 40, 4000])
def test_what_is_streamed_is_what_the_model_chooses(vicinity: int) -> None:
    everything = run(Configuration(PATTERNS))
    configuration = Configuration(
        PATTERNS,
        stream_channels=frozenset(range(7)),
        near_heralds=frozenset({0, 1, 2, 4, 5}),
        vicinity=vicinity,
        snapshot_clocks=20_000,
    )
    chosen = run(configuration)
    assert len(chosen.heralds) > 50
    shift = int(chosen.heralds["tick"][0]) - int(everything.heralds["tick"][0])  # the simulation begins with the run
    begin = int(chosen.heralds["tick"][0])
    end = min(int(chosen.heralds["tick"][-1]), int(everything.clicks["tick"][-1]) + shift) - 2 * vicinity
    clicks = [(int(tick) + shift, int(channel)) for tick, channel in everything.clicks[["tick", "channel"]]]
    expected = streamed(configuration, clicks, sorted(int(tick) + shift for tick in everything.heralds["tick"]))
    seen = [(int(tick), int(channel)) for tick, channel in chosen.clicks[["tick", "channel"]]]
    inside = [click for click in expected if begin <= click[0] <= end]
    assert sorted(click for click in seen if begin <= click[0] <= end) == sorted(inside)
    assert len(inside) > 300


def test_a_share_of_the_clicks_is_streamed() -> None:
    events = run(Configuration(PATTERNS, shares={0: 2, 1: 10, 2: 65536}))
    counts = np.bincount(events.clicks["channel"], minlength=8)
    assert counts[2] == 1
    assert counts[4] > 1.6 * counts[0] > 6 * counts[1] > 0
