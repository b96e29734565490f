import pytest

from qlink.supervisor.cli.delays import Delays, parse


def test_delays_are_read_as_they_are_typed() -> None:
    assert parse(["3=-120", "0 = +5", "reference=40"]) == Delays({3: -120, 0: 5}, 40)
    assert parse([]) == Delays()


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [(["3"], "no delay"), (["3=1.5"], "no delay"), (["3=1", "03=2"], "a delay already"), (["-1=4"], "no delay")],
)
def test_what_is_no_delay_is_refused(texts: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(texts)
