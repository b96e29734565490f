"""The fit of the board's clock, against a clock whose offset, rate and ageing are known."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware_bridge.conftest import IDENTITY

from qlink.firmware_bridge.errors import ClockUnfit
from qlink.firmware_bridge.events import TIME
from qlink.firmware_bridge.timekeeping import fit_clock
from qlink.firmware_bridge.wire import TimeSource

SECOND = 800_000_000  # ticks, nominal
PPS, TEN_MHZ = TimeSource.PPS, TimeSource.TEN_MHZ


@dataclass(frozen=True)
class Truth:
    """A board's clock that is fast by `frequency`, and ever faster: `ageing` more each second."""

    frequency: float = 12.3456789e-6
    ageing: float = 0.0
    start: int = 2**62 + 12_345
    jitter: float = 0.0  # ticks

    def ticks(self, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        since = SECOND * (seconds * (1 + self.frequency) + self.ageing * seconds**2 / 2)
        return np.floor(since + rng.normal(0, self.jitter, len(seconds)) + 0.37).astype(np.uint64) + np.uint64(
            self.start
        )


def pps(truth: Truth, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One record each; they are numbered as they came, whatever is missing."""
    times = np.zeros(len(seconds), TIME)
    times["tick"] = truth.ticks(seconds, rng)
    times["number"] = np.arange(2**32 - 7, 2**32 - 7 + len(times)).astype(np.uint32)  # they wrap
    times["epoch"] = 3
    return times


def ten_mhz(truth: Truth, count: int, every: int, rng: np.random.Generator) -> np.ndarray:
    edges = every * np.arange(count)
    times = np.zeros(count, TIME)
    times["tick"], times["edges"] = truth.ticks(edges / 1e7, rng), edges + 10**12
    times["number"], times["source"], times["epoch"] = np.arange(count), TEN_MHZ, 3
    return times


@pytest.mark.parametrize("jitter", [0.0, 8.0])
def test_finds_offset_and_drift(jitter: float, rng: np.random.Generator) -> None:
    truth = Truth(jitter=jitter)
    fit = fit_clock(pps(truth, np.arange(200.0), rng), PPS, IDENTITY)
    assert fit.frequency == pytest.approx(truth.frequency, abs=5 * fit.period_error / SECOND + 1e-12)
    assert fit.period_error < 0.003 + jitter / 500
    assert fit.origin + fit.offset == pytest.approx(truth.start, abs=1 + 4 * fit.offset_error)
    assert fit.rms == pytest.approx(np.hypot(jitter, 0.29), rel=0.2)
    assert (fit.used, fit.missing, fit.doubled, fit.outliers, fit.epoch) == (200, 0, 0, 0, 3)


def test_ageing_shows_in_the_residuals_and_can_be_fitted(rng: np.random.Generator) -> None:
    truth = Truth(ageing=1e-9)
    times = pps(truth, np.arange(300.0), rng)
    assert fit_clock(times, PPS, IDENTITY).rms > 100
    fit = fit_clock(times, PPS, IDENTITY, degree=2)
    assert fit.rms < 0.5
    assert fit.ageing == pytest.approx(SECOND * truth.ageing / 2, rel=1e-3)
    assert fit.frequency == pytest.approx(truth.frequency, abs=1e-10)
    tick = int(truth.ticks(np.array([123.456]), rng)[0])
    assert fit.seconds_at(tick) == pytest.approx(123.456, abs=2e-9)


@pytest.mark.parametrize("every", [1, 1_000, 10**6])
def test_ten_mhz_edges_give_the_same_clock(every: int, rng: np.random.Generator) -> None:
    truth = Truth(frequency=-40e-6)
    fit = fit_clock(ten_mhz(truth, 500, every, rng), TEN_MHZ, IDENTITY)
    assert fit.frequency == pytest.approx(truth.frequency, abs=5 * fit.period_error / 80 + 1e-12)
    assert (fit.missing, fit.doubled) == (0, 0)


def test_recognises_and_counts_missing_doubled_and_stray_pulses(rng: np.random.Generator) -> None:
    truth = Truth()
    seconds = np.delete(np.arange(100.0), [20, 50, 51, 52])
    extra = np.array([0.6, 30 + 25e-9, 40.3, 40.6, 70.5])  # ringing at 30 s, noise elsewhere
    fit = fit_clock(pps(truth, np.sort(np.concatenate([seconds, extra])), rng), PPS, IDENTITY)
    assert (fit.missing, fit.doubled, fit.outliers, fit.used) == (4, 5, 0, 96)
    assert fit.frequency == pytest.approx(truth.frequency, abs=1e-10)


def test_noise_before_the_first_pulse_is_none(rng: np.random.Generator) -> None:
    fit = fit_clock(pps(Truth(), np.concatenate([[-0.4], np.arange(50.0)]), rng), PPS, IDENTITY)
    assert (fit.used, fit.outliers) == (50, 0)
    assert fit.origin == Truth().start


def test_a_lost_record_is_no_missing_pulse(rng: np.random.Generator) -> None:
    times = np.delete(pps(Truth(), np.arange(50.0), rng), [7, 8, 30])
    fit = fit_clock(times, PPS, IDENTITY)
    assert (fit.missing, fit.doubled, fit.used) == (0, 0, 47)


def test_counts_ten_mhz_edges_that_were_missed_or_doubled(rng: np.random.Generator) -> None:
    times = ten_mhz(Truth(), 100, 10**6, rng)
    times["edges"][40:] -= 3
    times["edges"][70:] += 2
    fit = fit_clock(times, TEN_MHZ, IDENTITY)
    assert (fit.missing, fit.doubled, fit.outliers) == (3, 2, 0)
    assert fit.frequency == pytest.approx(Truth().frequency, abs=1e-9)


def test_a_pulse_that_came_late_is_left_out(rng: np.random.Generator) -> None:
    times = pps(Truth(jitter=2.0), np.arange(100.0), rng)
    times["tick"][33] += 5_000
    fit = fit_clock(times, PPS, IDENTITY)
    assert (fit.outliers, fit.used, fit.missing) == (1, 99, 0)
    assert fit.frequency == pytest.approx(Truth().frequency, abs=1e-10)


def test_only_the_newest_epoch_counts(rng: np.random.Generator) -> None:
    old, new = pps(Truth(frequency=-5e-6), np.arange(50.0), rng), pps(Truth(start=99), np.arange(20.0), rng)
    new["epoch"] = 4
    fit = fit_clock(np.concatenate([old, new]), PPS, IDENTITY)
    assert (fit.epoch, fit.used, fit.origin) == (4, 20, 99)


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (np.arange(2.0), "2 PPS records are too few: wait for at least 3"),
        (np.empty(0), "0 PPS records are too few"),
        (np.arange(50.0) * 0.1, "wire the input to the clock that it is for"),
        (np.zeros(10), "every 0 ticks"),
    ],
)
def test_says_why_there_is_no_fit(seconds: np.ndarray, message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ClockUnfit, match=message):
        fit_clock(pps(Truth(), seconds, rng), PPS, IDENTITY)


@given(
    frequency=st.floats(-2e-4, 2e-4),
    start=st.integers(100, 2**63),  # more than any jitter: no board has a tick before 0
    gone=st.sets(st.integers(1, 58), max_size=15),
    seed=st.integers(0, 2**32),
)
def test_finds_any_clock_through_any_gaps(frequency: float, start: int, gone: set[int], seed: int) -> None:
    truth, rng = Truth(frequency, 0.0, start, 3.0), np.random.default_rng(seed)
    seconds = np.array([float(second) for second in range(60) if second not in gone])
    fit = fit_clock(pps(truth, seconds, rng), PPS, IDENTITY)
    assert fit.missing == len(gone)
    assert fit.doubled == 0
    assert fit.frequency == pytest.approx(frequency, abs=1e-9)
