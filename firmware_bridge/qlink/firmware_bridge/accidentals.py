"""How many heralds of a pattern are there by chance, as its accidental counter says. Pure."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class AccidentalEstimate:
    """Of `heralds` of one pattern: how many are accidental, and how many are left. Errors are standard deviations.

    `net` may be below 0, by chance.
    """

    heralds: int
    expected: float  # accidental ones among them
    expected_error: float
    net: float
    net_error: float


def estimate_accidentals(heralds: int, vetoed: int, accidentals: int) -> AccidentalEstimate:
    """Estimate from counts of the same time, each a Poisson variable of its own.

    The accidental counter counts completions before any veto. So of a pattern with vetoes the same share of accidental
    completions is taken to be vetoed as of all: `heralds / (heralds + vetoed)` are left. Without, it is
    `expected = accidentals` and `net = heralds - accidentals +- sqrt(heralds + accidentals)`.
    """
    if min(heralds, vetoed, accidentals) < 0:
        raise ValueError(f"counts cannot be below 0: heralds {heralds}, vetoed {vetoed}, accidentals {accidentals}")
    completions = heralds + vetoed or 1
    left = heralds / completions if vetoed else 1.0
    by_herald = accidentals * vetoed / completions**2  # derivatives of `expected`
    by_vetoed = -accidentals * heralds / completions**2
    rest = by_vetoed**2 * vetoed + left**2 * accidentals
    return AccidentalEstimate(
        heralds=heralds,
        expected=accidentals * left,
        expected_error=sqrt(by_herald**2 * heralds + rest),
        net=heralds - accidentals * left,
        net_error=sqrt((1 - by_herald) ** 2 * heralds + rest),
    )
