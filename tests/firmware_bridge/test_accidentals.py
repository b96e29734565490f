"""The estimate of accidental heralds: closed form, and what it is worth on drawn counts."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.firmware_bridge.accidentals import estimate_accidentals

counts = st.integers(0, 2**40)


@given(heralds=counts, accidentals=counts)
def test_without_vetoes_net_is_the_difference_with_both_counts_errors(heralds: int, accidentals: int) -> None:
    estimate = estimate_accidentals(heralds, 0, accidentals)
    assert (estimate.expected, estimate.net) == (accidentals, heralds - accidentals)
    assert estimate.expected_error == pytest.approx(sqrt(accidentals))
    assert estimate.net_error == pytest.approx(sqrt(heralds + accidentals))


@given(heralds=counts, vetoed=counts, accidentals=counts)
def test_expected_and_net_add_up_to_the_heralds(heralds: int, vetoed: int, accidentals: int) -> None:
    estimate = estimate_accidentals(heralds, vetoed, accidentals)
    assert estimate.expected + estimate.net == pytest.approx(heralds)
    assert 0 <= estimate.expected <= accidentals


@pytest.mark.parametrize(("heralds", "vetoed", "accidentals"), [(900, 0, 400), (900, 300, 400), (100, 2_000, 1_000)])
def test_the_errors_are_those_of_drawn_counts(heralds: int, vetoed: int, accidentals: int) -> None:
    rng = np.random.default_rng(5)
    drawn = [estimate_accidentals(*map(int, each)) for each in rng.poisson((heralds, vetoed, accidentals), (20_000, 3))]
    closed = estimate_accidentals(heralds, vetoed, accidentals)
    for name in ("expected", "net"):
        values = [getattr(each, name) for each in drawn]
        assert np.mean(values) == pytest.approx(getattr(closed, name), abs=0.02 * closed.net_error + 1)
        assert np.std(values) == pytest.approx(getattr(closed, f"{name}_error"), rel=0.03)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be below 0"):
        estimate_accidentals(5, -1, 0)
