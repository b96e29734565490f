"""The histogram of a compiled board, through `Board`, against the model."""

import numpy as np
import pytest

from qlink.firmware_bridge.board import open_board
from qlink.firmware_bridge.configuration import Configuration
from qlink.firmware_bridge.errors import BoardError, ConfigurationError
from qlink.firmware_bridge.histogram import HistogramSettings
from qlink.sim.histogram import histogram

URL = "twin://pairs?duration_s=0.01&pair_hz=20000000&efficiency=0.5"


@pytest.mark.parametrize(
    "settings",
    [HistogramSettings(0, 4), HistogramSettings(4, 0, 4, 400), HistogramSettings(1, 5, 32, -8000)],
    ids=str,
)
def test_counts_what_the_model_counts(settings: HistogramSettings) -> None:
    with open_board(URL) as board:
        board.configure(Configuration())
        board.begin_histogram(settings)
        board.start()
        board._let_pass(0.0005)
        board.stop()
        seen = board.end_histogram()
        clicks = board.events(0.0).clicks
        assert board.telemetry.clicks.bracketed == board.telemetry.clicks.missing == 0
    ticks = {channel: clicks["tick"][clicks["channel"] == channel].tolist() for channel in range(8)}
    model = histogram(settings, 1024, ticks[settings.start], ticks[settings.stop])
    assert (seen.starts, seen.stops) == (len(ticks[settings.start]), len(ticks[settings.stop]))
    assert seen.counts.tolist() == model.counts
    assert seen.outside == model.starts_outside + model.stops_outside
    assert seen.starts > 200
    assert not seen.saturated


def test_a_delay_moves_the_peak() -> None:
    peaks = []
    for delay in (0, -37):
        with open_board(URL) as board:
            board.configure(Configuration(stream_channels=frozenset(), delays={4: delay}))
            board.start()
            seen = board.histogram(HistogramSettings(0, 4), 0.001)
            peaks.append(int(seen.delays[np.argmax(seen.counts)]))
    assert abs(peaks[0]) <= 1
    assert peaks[1] - peaks[0] in (-36, -37, -38)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (HistogramSettings(8, 0), "histogram start: channel 8 does not exist"),
        (HistogramSettings(0, -1), "histogram stop: channel -1 does not exist"),
        (HistogramSettings(0, 1, 3), "histogram width = 3 does not fit"),
        (HistogramSettings(0, 1, 65536), "histogram width = 65536 does not fit"),
        (HistogramSettings(0, 1, 1, 3), "histogram offset = 3 does not fit: it is whole clocks, of 4 ticks"),
        (HistogramSettings(0, 1, 1, -8004), "histogram offset = -8004 does not fit: it goes from -8000 to 8000"),
    ],
)
def test_refuses_what_does_not_fit(settings: HistogramSettings, names: str) -> None:
    with open_board("twin://idle") as board:
        with pytest.raises(ConfigurationError, match=names):
            board.begin_histogram(settings)
        with pytest.raises(BoardError, match="no histogram was begun"):
            board.end_histogram()
