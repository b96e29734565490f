import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.supervisor.errors import RuleError, SettingsError
from qlink.supervisor.slo import (
    DAY_S,
    HOUR_S,
    RULES,
    Contract,
    Counts,
    History,
    Objective,
    Observed,
    Rule,
    alert,
    budget_left,
    budget_used,
    burn_rate,
    check_rule,
    hours_to_exhaust,
    judge,
    possible_rules,
    standing,
)

ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("QLINK_DATA", ROOT / "../shared/data")).resolve().parent / "vectors" / "formulas.json"
CONTRACT = Contract(rate_hz=100.0)
AVAILABILITY = Objective("M4", "link availability", 0.99)


def test_burn_rates_equal_the_workbooks() -> None:
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is not there: set QLINK_DATA to the folder beside it")
    vectors = [v for v in json.loads(VECTORS.read_text())["vectors"] if v["kind"] == "slo_burn_rate"]
    assert vectors
    for vector in vectors:
        given, period_s = vector["inputs"], vector["inputs"]["period_days"] * DAY_S
        rate = burn_rate(given["slo"], given["error_ratio"])
        assert {
            "burn_rate": rate,
            "hours_to_exhaust": hours_to_exhaust(rate, period_s),
            "budget_fraction_used_in_1h": budget_used(rate, HOUR_S, period_s),
            "budget_fraction_used_in_6h": budget_used(rate, 6 * HOUR_S, period_s),
        } == pytest.approx(vector["outputs"])


@pytest.mark.parametrize(
    ("observed", "good"),
    [
        (Observed(up=True, heralds=100), {"M1", "M4"}),
        (Observed(up=True, heralds=70), {"M1", "M4"}),  # three standard deviations are chance
        (Observed(up=True, heralds=69), set()),
        (Observed(up=False, heralds=100), {"M1"}),  # the board was away for a moment
        (Observed(up=True, heralds=100, pairs=2, pairs_faithful=2, pairs_in_time=2), {"M1", "M2", "M3", "M4"}),
        (Observed(up=True, heralds=100, pairs=2, pairs_faithful=0, pairs_in_time=2), {"M1", "M3"}),
        (Observed(up=True, heralds=100, events=1000), {"M1", "M4", "M9"}),
        (Observed(up=True, heralds=100, events=1000, events_lost=1), {"M1", "M4"}),
    ],
)
def test_a_window_is_good_when_it_kept_the_contract(observed: Observed, good: set[str]) -> None:
    counts = judge(observed, CONTRACT)
    assert {id for id, count in counts.items() if count.total and count.good == count.total} == good


def test_nothing_delivered_is_neither_good_nor_bad() -> None:
    counts = judge(Observed(up=True, heralds=100), CONTRACT)
    assert counts["M2"] == counts["M3"] == counts["M9"] == Counts(0, 0)


@pytest.mark.parametrize(
    ("share", "factors"),
    [(0.999, [14.4, 6, 1]), (0.9306, [14.4, 6, 1]), (0.93, [6, 1]), (0.9, [6, 1]), (0.8334, [6, 1]), (0.83, [1])],
)
def test_rules_that_could_never_fire_are_refused(share: float, factors: list[float]) -> None:
    objective = Objective("M1", "success", share)
    assert [rule.factor for rule in possible_rules(objective)] == factors
    for rule in RULES:
        if rule.factor in factors:
            check_rule(objective, rule)
        else:
            with pytest.raises(RuleError, match=f"{rule.factor:g} can never be reached .* of M1"):
                check_rule(objective, rule)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5])
def test_an_objective_without_a_budget_is_refused(share: float) -> None:
    with pytest.raises(SettingsError, match="between 0 and 1"):
        Objective("M1", "success", share)


def after(*spans: tuple[float, float]) -> History:
    """A history of spans one after the other: how long, and how many of 10 windows in 10 s are bad."""
    history, now_s = History(), 0.0
    for duration_s, bad in spans:
        for _ in range(int(duration_s / 10)):
            now_s += 10
            history.add(now_s, Counts(10 - int(bad), 10))
    return history


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(12 * HOUR_S, 0)], ""),
        ([(12 * HOUR_S, 0), (0.5 * HOUR_S, 10)], "page"),  # 50 % of an hour bad: burn rate 50
        ([(12 * HOUR_S, 0), (0.5 * HOUR_S, 10), (HOUR_S, 0)], "ticket"),  # over: nobody is woken, the budget is gone
        ([(HOUR_S, 0), (60, 10)], ""),  # a minute is not worth a page
        ([(4 * DAY_S, 0), (6 * HOUR_S, 1)], "page"),
        ([(120, 10)], ""),  # just started: not enough seen
    ],
)
def test_alerts_when_the_budget_burns_fast_and_still(spans: list[tuple[float, float]], expected: str) -> None:
    assert alert(AVAILABILITY, after(*spans)) == expected


def test_an_alert_needs_both_windows() -> None:
    rule = Rule(14.4, HOUR_S, HOUR_S / 12, "page")
    assert alert(AVAILABILITY, after((HOUR_S, 10), (600, 0)), [rule]) == ""
    assert alert(AVAILABILITY, after((HOUR_S, 10), (120, 0)), [rule]) == "page"


def test_tells_how_an_objective_stands() -> None:
    found = standing(AVAILABILITY, after((HOUR_S, 0), (36, 10)))
    assert found.value == pytest.approx(1 - 30 / 3630)
    assert found.budget_left == pytest.approx(1 - 100 * 30 / 3630)
    assert found.alert == ""


def test_an_objective_without_events_has_no_value() -> None:
    found = standing(AVAILABILITY, History())
    assert (found.value, found.budget_left, found.burn_rate, found.alert) == (None, 1.0, 0.0, "")


def test_a_budget_is_overdrawn_below_zero() -> None:
    assert budget_left(AVAILABILITY, Counts(97, 100)) == pytest.approx(-2.0)


def test_nothing_burns_for_ever() -> None:
    assert hours_to_exhaust(0.0) == float("inf")


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 5), st.integers(0, 5)), max_size=60), st.integers(1, 5000)
)
def test_a_span_counts_what_happened_in_it(steps: list[tuple[int, int, int]], span_s: int) -> None:
    history, now_s, entries = History(entry_s=1.0), 0, []
    for wait_s, good, bad in steps:
        now_s += wait_s
        entries.append((now_s, Counts(good, good + bad)))
        history.add(now_s, entries[-1][1])
    expected = sum((counts for time_s, counts in entries if time_s > now_s - span_s), Counts())
    assert history.over(span_s) == expected


def test_old_entries_go() -> None:
    history = History(keep_s=100.0, entry_s=1.0)
    for now_s in range(1, 1001):
        history.add(now_s, Counts(1, 1))
    assert history.over(1e9).total <= 102
    assert history.over(10).total == 10
