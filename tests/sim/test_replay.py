"""Lab recordings through the gateware's RTL, against counts that were made by other means."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.firmware_bridge.configuration import Configuration, Pattern
from qlink.firmware_bridge.errors import ConfigurationError, RecordingError
from qlink.sim.coincidence import accidentals, observe
from qlink.sim.recordings import read_recording
from qlink.sim.replay import board_for, replay, shared_out, through_board
from qlink.sim.sources import Clicks, clicks_of

DATA = Path(os.environ.get("QLINK_DATA", Path(__file__).parents[2] / "../shared/data"))
PAIRS = ((0, 4), (1, 5), (2, 6), (3, 7))
NO_LOSS = {"unresolved": 0, "merged": 0, "clicks_lost": 0, "heralds_lost": 0, "frames_missing": 0}


def recording(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}: set QLINK_DATA to the folder of recordings")
    return path


def write(path: Path, clicks: Clicks) -> Path:
    path.write_text("".join(f"{click['channel']} {click['tick']}\n" for click in clicks))
    return path


def model_counts(clicks: Clicks, patterns: Sequence[Sequence[int]], window: int) -> list[int]:
    """What the golden model finds."""
    configuration = Configuration(tuple(Pattern(frozenset(channels), window) for channels in patterns))
    edges = [(int(click["tick"]), int(click["channel"])) for click in clicks]
    heralds = observe(configuration, 4, edges, [], edges[-1][0] + 1000).heralds
    return [sum(herald.pattern == number for herald in heralds) for number in range(len(patterns))]


@pytest.mark.parametrize(
    ("window", "heralds"),
    [
        (3, [1641, 1505, 537, 288]),
        (4, [1911, 1843, 603, 318]),
        (5, [2111, 2046, 662, 340]),
        (8, [2366, 2173, 698, 427]),
    ],
)
def test_pair_source_counts_equal_the_published_ones(window: int, heralds: list[int]) -> None:
    result = replay(recording("spdc/spdc_pairs.txt"), 260, PAIRS, window)
    assert result.singles == (32918, 16543, 10835, 7932, 31926, 35366, 16592, 13057)
    assert [count.heralds for count in result.patterns] == heralds
    assert [(count.channels, count.window_ticks) for count in result.patterns] == [(pair, window) for pair in PAIRS]
    assert result.losses == NO_LOSS
    assert result.duration_s == pytest.approx(0.196, abs=0.001)


def test_accidentals_of_a_pair_source_are_those_of_its_rates(tmp_path: Path) -> None:
    """The golden model's exactly; and in sum what random streams of these rates make. The twin computes each offset."""
    window, offset = 8, 400
    clicks = read_recording(recording("spdc/spdc_pairs.txt"), channels=8).clicks[:20_000]
    result = replay(write(tmp_path / "clicks.txt", clicks), 260, PAIRS, window, accidental_offset=offset)
    edges = [(int(click["tick"]), int(click["channel"])) for click in clicks]
    patterns = [Pattern(frozenset(pair), window, shifted=frozenset(pair[1:])) for pair in PAIRS]
    counted = [count.accidentals or 0 for count in result.patterns]
    assert counted == [len(accidentals(pattern, offset // 4, 4, edges)) for pattern in patterns]
    length = int(clicks["tick"][-1] - clicks["tick"][0])
    expected = sum(result.singles[a] * result.singles[b] * (2 * window + 1) / length for a, b in PAIRS)
    assert sum(counted) == pytest.approx(expected, abs=4 * expected**0.5)


def test_emitter_counts_equal_the_golden_models(tmp_path: Path) -> None:
    """HydraHarp, 1 ps a tick. Only photons that have others near: the twin computes every clock of a window."""
    clicks = read_recording(recording("hbt/hydraharp_t2_hbt_320MHz.ptu"), channels=8).clicks
    near = np.flatnonzero(np.diff(clicks["tick"]) < 5_000)
    some = clicks[np.unique(np.concatenate([near, near + 1]))[:600]]
    result = replay(write(tmp_path / "clicks.txt", some), 1, [(0, 1)], 4_000)
    assert result.patterns[0].heralds == model_counts(some, [(0, 1)], 4_000)[0] > 50
    assert list(result.singles[:2]) == np.bincount(some["channel"]).tolist()
    assert result.losses == NO_LOSS


def test_time_beyond_32_bits_is_counted(tmp_path: Path) -> None:
    """The last photons of five seconds at 1 ps a tick, and one at the beginning."""
    clicks = read_recording(recording("picoquant/hydraharp_v30_t2.ptu"), channels=8).clicks
    some = np.concatenate([clicks[:1], clicks[-2000:]])
    result = replay(write(tmp_path / "clicks.txt", some), 1, [(0,)], 10)
    assert result.singles[0] == 2001
    assert result.patterns[0].heralds == 2001
    assert result.duration_s == pytest.approx(5.0, rel=1e-3)
    assert result.losses == NO_LOSS


def test_clicks_that_cannot_be_told_apart_are_losses(tmp_path: Path) -> None:
    clicks = clicks_of(np.array([1000, 1001, 1002, 5000, 5000]), np.array([0, 0, 0, 1, 1]))
    result = replay(write(tmp_path / "clicks.txt", clicks), 260, [(0, 1)], 4)
    assert result.losses == {**NO_LOSS, "unresolved": 2, "merged": 1}
    assert result.singles[:2] == (1, 1)


def test_shares_of_a_recording_count_as_much_as_the_whole() -> None:
    rng = np.random.default_rng(8)
    clicks = clicks_of(np.cumsum(rng.integers(1, 60, 6_000)), rng.integers(0, 8, 6_000))
    configuration = Configuration(tuple(Pattern(frozenset(pair), 20) for pair in PAIRS), stream_channels=frozenset())
    whole, *shares = (
        through_board(share, configuration, board_for(4))
        for division in (1, 4)
        for share in shared_out(clicks, division, 28)
    )
    assert len(shares) == 4
    assert (whole.heralds == sum(share.heralds for share in shares)).all()
    assert (whole.singles == sum(share.singles for share in shares)).all()
    assert whole.heralds[:4].tolist() == model_counts(clicks, PAIRS, 20)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=50), st.integers(1, 6), st.integers(0, 20))
def test_a_recording_is_cut_only_where_it_is_quiet(steps: list[int], shares: int, quiet: int) -> None:
    clicks = clicks_of(np.cumsum(steps) + 10**12, 0)
    parts = shared_out(clicks, shares, quiet)
    assert 1 <= len(parts) <= shares
    assert sum(len(part) for part in parts) == len(clicks)
    start = 0
    for part in parts:
        original = clicks["tick"][start : start + len(part)]
        moved = int(original[0]) - int(part["tick"][0])
        assert moved % 4 == 0
        assert part["tick"][0] < 4
        assert (part["tick"] + np.uint64(moved) == original).all()
        assert start == 0 or original[0] - clicks["tick"][start - 1] > quiet
        start += len(part)


def test_nothing_is_counted_of_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "clicks.txt"
    path.write_text("0 1\n0 5\nnonsense\n")
    with pytest.raises(RecordingError, match="line 3"):
        replay(path, 260, [(0, 1)], 4)


@pytest.mark.parametrize(
    ("tick_ps", "patterns", "window", "message"),
    [
        (None, [(0, 1)], 4, "does not say what its time unit is"),
        (0.0, [(0, 1)], 4, "tick_ps has to be above 0"),
        (260, [(0, 8)], 4, "channel 8 does not exist"),
        (260, [(0, 1)] * 17, 4, "17 patterns do not fit"),
        (260, [(0, 1)], 65_536, "window = 65536 does not fit"),
    ],
)
def test_says_what_does_not_fit(
    tmp_path: Path, tick_ps: float | None, patterns: list[tuple[int, int]], window: int, message: str
) -> None:
    path = write(tmp_path / "clicks.txt", clicks_of(np.array([1, 5]), np.array([0, 1])))
    with pytest.raises(ConfigurationError, match=message):
        replay(path, tick_ps, patterns, window)


@pytest.mark.parametrize(("patterns", "size"), [(0, 4), (1, 4), (4, 4), (5, 8), (8, 8), (9, 16), (16, 16), (17, 16)])
def test_a_replay_takes_the_smallest_board_that_does(patterns: int, size: int) -> None:
    assert board_for(patterns).patterns == size


def test_a_ptu_files_own_time_unit_holds() -> None:
    with pytest.raises(ConfigurationError, match="its time unit is 1 ps: leave tick_ps out"):
        replay(recording("hbt/hydraharp_t2_hbt_320MHz.ptu"), 260, [(0, 1)], 4)
