import pytest

from qlink.gateware.shift_counter import ShiftCounter


@pytest.mark.parametrize("most", [1, 2, 6, 7, 38, 126, 127, 216, 217, 408])
def test_knows_every_count_by_its_state(most):
    counter = ShiftCounter(most)
    counts, state = counter.counts(), counter.zero
    assert len(counts) == 1 << counter.bits
    for count in range(most + 1):
        assert counts[state] == count
        state = counter.next(state)


def test_takes_hardly_more_bits_than_a_number():
    for most in range(1, 500):
        assert ShiftCounter(most).bits <= (most + 1).bit_length() + 1
    assert ShiftCounter(216).bits == 8
