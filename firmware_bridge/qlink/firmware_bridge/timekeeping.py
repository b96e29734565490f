"""The board's clock by a better one: offset, rate and ageing from TIME records. Pure.

Pulse `k` of the better clock lies at tick `origin + offset + period * k + ageing * k**2`. Which pulse a record is of
is told by its tick, as pulses may be missing or doubled; how many there were in between, the board has counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .configuration import Identity
from .errors import ClockUnfit
from .wire import TimeSource

PULSES_HZ = {TimeSource.PPS: 1, TimeSource.TEN_MHZ: 10_000_000}
PULL_MAX = 1e-3  # by which a clock may be off; a record's distance from the one before is no pulse's beyond it
PHASE_MAX = 0.25  # of a pulse's period, by which a record may be off the one before it and be taken for a pulse's
ROUNDS_MAX = 20
DEVIATIONS = 5.0  # beyond which a record is left out, in standard deviations
QUANTUM = 2.0  # ticks: nothing closer is ever left out

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClockFit:
    """What the records of one input say of the board's clock, in one epoch. Errors are standard deviations."""

    source: TimeSource
    epoch: int
    origin: int  # tick of the first record used: pulse 0 is the one that it is of
    offset: float  # ticks
    period: float  # ticks a pulse
    ageing: float  # ticks a pulse squared: the period becomes longer by twice this
    offset_error: float
    period_error: float
    frequency: float  # by what share the board's clock is fast, against what its identity says; 1e-6 is 1 ppm
    rms: float  # ticks, of the residuals
    used: int  # records
    outliers: int  # records of a pulse, and left out
    missing: int  # pulses
    doubled: int  # pulses that came too much
    residuals: Floats  # ticks, of those used, in order

    def pulse_at(self, tick: int) -> float:
        """The better clock's time at a tick of this epoch, in pulses since pulse 0."""
        distance = float(tick - self.origin) - self.offset
        pulse = distance / self.period
        for _ in range(3):
            pulse -= (self.period * pulse + self.ageing * pulse**2 - distance) / (self.period + 2 * self.ageing * pulse)
        return pulse

    def seconds_at(self, tick: int) -> float:
        """Likewise in seconds since pulse 0."""
        return self.pulse_at(tick) / PULSES_HZ[self.source]


def fit_clock(times: NDArray[np.void], source: TimeSource, identity: Identity, degree: int = 1) -> ClockFit:
    """Fit the records (events.TIME) of `source` in their newest epoch. `degree` 2: with ageing.

    Residuals beyond five standard deviations, by their median, are left out. Raises `ClockUnfit`, which says why, when
    there are too few records, or when they are no clock's that the board's could follow.
    """
    records = times[times["source"] == source]
    records = records[records["epoch"] == records["epoch"].max()] if len(records) else records
    records = records[np.argsort(records["tick"], kind="stable")]
    if len(records) < degree + 2:
        raise ClockUnfit(f"{len(records)} {source.name} records are too few: wait for at least {degree + 2}")
    origin = int(records["tick"][0])
    ticks = (records["tick"] - np.uint64(origin)).astype(np.float64)
    counts = np.diff(_counts(records, source))
    nominal = 1e15 / identity.tick_fs / PULSES_HZ[source]
    period = _typical_period(ticks, counts, nominal)
    steps = list(_steps(ticks, counts, period))
    if len(steps) < degree + 2:
        raise ClockUnfit(f"of {len(records)} {source.name} records {len(steps)} lie where a pulse may: is it a clock?")
    at = np.array([step.record for step in steps])
    pulses = np.cumsum([step.pulses for step in steps]).astype(np.float64)
    pulses -= pulses[0]
    surplus = np.array([step.counted - step.pulses for step in steps[1:]])
    shift = ticks[at[0]]
    line = _Line(pulses, ticks[at] - shift, degree)
    return ClockFit(
        source=source,
        epoch=int(records["epoch"][0]),
        origin=origin + int(shift),
        offset=line.coefficients[0],
        period=line.coefficients[1],
        ageing=line.coefficients[2] if degree == 2 else 0.0,
        offset_error=line.errors[0],
        period_error=line.errors[1],
        frequency=line.coefficients[1] / nominal - 1,
        rms=float(np.sqrt(np.mean(line.residuals**2))),
        used=len(line.residuals),
        outliers=len(at) - len(line.residuals),
        missing=int(-surplus[surplus < 0].sum()),
        doubled=int(surplus[surplus > 0].sum()),
        residuals=line.residuals,
    )


def _counts(records: NDArray[np.void], source: TimeSource) -> NDArray[np.int64]:
    """How many pulses the board has counted up to each record, from any number on. Numbers wrap, edges do not."""
    if source is TimeSource.TEN_MHZ:
        edges: NDArray[np.uint64] = records["edges"]
        return (edges - edges[:1]).astype(np.int64)
    steps = np.diff(records["number"], prepend=records["number"][:1]).astype(np.uint32)
    return np.cumsum(steps.astype(np.int64))


def _typical_period(ticks: Floats, counts: NDArray[np.int64], nominal: float) -> float:
    """The median of what neighbouring records say, in ticks a pulse."""
    some = counts > 0
    periods = np.diff(ticks)[some] / counts[some]
    period = float(np.median(periods)) if some.any() else 0.0
    if abs(period / nominal - 1) > PULL_MAX:
        raise ClockUnfit(
            f"a pulse comes every {period:.6g} ticks, by the board's own clock every {nominal:.6g}: "
            "wire the input to the clock that it is for"
        )
    return period


@dataclass(frozen=True, slots=True)
class _Step:
    """From the record before that is a pulse's to this one: pulses by the ticks, and as the board has counted."""

    record: int
    pulses: int
    counted: int


def _steps(ticks: Floats, counts: NDArray[np.int64], period: float) -> Iterator[_Step]:
    """Pass over the records that lie where no pulse may, or are of the pulse that is known."""
    anchor, counted = _first(ticks, period), 0
    yield _Step(anchor, 0, 0)
    for record in range(anchor + 1, len(ticks)):
        counted += int(counts[record - 1])
        distance = (ticks[record] - ticks[anchor]) / period
        pulses = round(distance)
        if pulses and abs(distance - pulses) < PHASE_MAX:
            yield _Step(record, pulses, counted)
            anchor, counted = record, 0


def _first(ticks: Floats, period: float) -> int:
    """The first record that most of those after it agree with, as far as a few of them tell."""
    for record in range(len(ticks) - 1):
        distances = (ticks[record + 1 : record + 6] - ticks[record]) / period
        near = np.abs(distances - np.round(distances)) < PHASE_MAX
        if 2 * near.sum() > len(near):
            return record
    return 0


class _Line:
    """A polynomial by least squares, again and again without what is far off. Inputs of any scale."""

    def __init__(self, x: Floats, y: Floats, degree: int) -> None:
        scale = max(float(np.abs(x).max()), 1.0)
        powers = np.vander(x / scale, degree + 1, increasing=True)
        kept = np.ones(len(x), np.bool_)
        for _ in range(ROUNDS_MAX):
            solution = np.linalg.lstsq(powers[kept], y[kept], rcond=None)[0]
            residuals = y - powers @ solution
            deviation = 1.4826 * float(np.median(np.abs(residuals[kept])))
            near = np.abs(residuals) <= max(DEVIATIONS * deviation, QUANTUM)
            if (near == kept).all() or near.sum() < degree + 2:
                break
            kept = near
        self.residuals: Floats = residuals[kept]
        freedom = max(int(kept.sum()) - degree - 1, 1)
        variance = float((self.residuals**2).sum()) / freedom
        spread = np.sqrt(variance * np.diag(np.linalg.inv(powers[kept].T @ powers[kept])))
        scales = scale ** np.arange(degree + 1)
        self.coefficients = [float(value) for value in solution / scales]
        self.errors = [float(value) for value in spread / scales]
