import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.supervisor.errors import PublicationsLost
from qlink.supervisor.gaps import Gap, NumberCheck


def test_without_a_beginning_the_first_message_is_it() -> None:
    assert NumberCheck({}).take("herald", 77, 3) == (None, 0)


def test_with_a_beginning_what_came_since_is_missed() -> None:
    assert NumberCheck({"herald": 10}).take("herald", 14, 1) == (Gap("herald", 11, 13), 0)


def test_a_heartbeat_tells_of_a_loss_when_nothing_follows() -> None:
    check = NumberCheck({})
    check.take("herald", 1, 5)
    assert check.take("herald", 6, 0) == (None, 0)
    assert check.take("herald", 9, 0) == (Gap("herald", 6, 8), 0)


def test_what_was_filled_already_is_known() -> None:
    check = NumberCheck({"herald": 8})
    assert check.take("herald", 7, 4) == (None, 2)
    assert check.take("herald", 7, 2) == (None, 4)


def test_topics_are_counted_apart() -> None:
    check = NumberCheck({"herald": 10})
    assert check.take("pair", 3, 1) == (None, 0)
    assert check.take("herald", 11, 1) == (None, 0)


def test_numbers_that_begin_anew_are_an_error() -> None:
    check = NumberCheck({"herald": 10})
    with pytest.raises(PublicationsLost, match="herald went back from 10 to 3"):
        check.take("herald", 4, 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=50))
def test_whatever_is_lost_is_found_once_and_in_order(messages: list[tuple[int, bool]]) -> None:
    check, number = NumberCheck({"t": 0}), 1
    got: list[int] = []
    for count, lost in [*messages, (0, False)]:
        if not lost:
            gap, known = check.take("t", number, count)
            if gap is not None:
                got += range(gap.first, gap.last + 1)
            got += range(number + known, number + count)
        number += count
    assert got == list(range(1, number))
