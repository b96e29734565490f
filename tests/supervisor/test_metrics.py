"""Metrics over real HTTP, as Prometheus would read them."""

import math
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from qlink.firmware_bridge.configuration import Outcome
from qlink.firmware_bridge.wire import ActionCounter, CounterGroup, GlobalCounter, action_counter, counter_index
from qlink.supervisor.effects import (
    Acknowledged,
    Allocated,
    Completed,
    Effect,
    HeraldIgnored,
    HeraldPublished,
    PairEnded,
    Purify,
    Refused,
)
from qlink.supervisor.errors import SettingsError
from qlink.supervisor.metrics import MetricsServer, Sight
from qlink.supervisor.objectives import Objectives
from qlink.supervisor.slo import Contract, Counts, Observed
from qlink.supervisor.tally import Tally

MS = 1_000_000
CONTRACT = Contract(rate_hz=100.0, latency_s=0.1)


def sight() -> Sight:
    """What a link looks like after a second or so."""
    tally = Tally(CONTRACT)
    effects: list[Effect] = [
        *(HeraldPublished(1000 * MS - 3 * MS, n, n, 0, 0, 0, outcome=2, flags=0, fidelity=0.9) for n in (1, 2, 3)),
        HeraldIgnored(0, 1, "seen"),
        Purify(1, 2, 0.8),
        PairEnded(2, "CONSUMED", "spent"),
        Acknowledged("qkd", "a", 1),
        Refused("qkd", "b", "INVALID", "no"),
        *(Allocated(0, "qkd", "a", 1, n, n, 2, 0.89 + 0.02 * n, 0.8, 1, 0, n * 60 * MS) for n in (1, 2)),
        Completed("qkd", "a", 1),
    ]
    tally.take(effects, 1000 * MS)
    tally.commit_s.observe(0.00015)
    objectives = Objectives(CONTRACT)
    objectives.close(10.0, tally.observed(up=True, received=1000, lost=1))
    counters = {counter_index(CounterGroup.CLICKS, channel): 100 + channel for channel in range(8)}
    counters |= {counter_index(CounterGroup.VETOED, pattern): pattern for pattern in range(8)}
    counters |= {counter_index(CounterGroup.GLOBAL, GlobalCounter.ATTEMPTS): 5000}
    counters |= {action_counter(ActionCounter.STARTED, Outcome.PSI_MINUS): 7}
    lost, published = {"click": 1}, {"herald": 3, "request/qkd/": 5}
    return Sight(tally, True, 1000, lost, counters, published, objectives.totals, objectives.standings())


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    server = MetricsServer("127.0.0.1", 0, sight)
    with urllib.request.urlopen(server.url, timeout=10) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        yield response.read().decode()
    server.close()


@pytest.fixture(scope="module")
def families(page: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(page)}


def samples(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in families[name].samples}


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("qlink_link_up", (), 1),
        ("qlink_heralds", ("psi_plus",), 3),
        ("qlink_heralds", ("phi_plus",), 0),
        ("qlink_heralds_ignored", (), 1),
        ("qlink_pairs", ("allocated",), 2),
        ("qlink_pairs", ("consumed",), 1),
        ("qlink_purifications", (), 1),
        ("qlink_requests", ("acknowledged",), 1),
        ("qlink_requests", ("refused",), 1),
        ("qlink_requests", ("completed",), 1),
        ("qlink_board_clicks", ("7",), 107),
        ("qlink_board_vetoed", ("3",), 3),
        ("qlink_board_actions_started", ("psi_minus",), 7),
        ("qlink_board_actions_refused", ("psi_minus",), 0),
        ("qlink_board_attempts", (), 5000),
        ("qlink_telemetry_received", (), 1000),
        ("qlink_telemetry_lost", ("click",), 1),
        ("qlink_publications", ("herald",), 3),
        ("qlink_slo_good_events", ("M1",), 0),  # 3 heralds of 100
        ("qlink_slo_events", ("M3",), 2),
        ("qlink_slo_good_events", ("M3",), 1),  # 60 ms; 120 ms is late
        ("qlink_slo_good_events", ("M9",), 1000),
        ("qlink_slo_events", ("M9",), 1001),
        ("qlink_slo_objective_ratio", ("M4",), 0.99),
    ],
)
def test_tells_numbers(families: dict[str, Metric], name: str, labels: tuple[str, ...], value: float) -> None:
    assert samples(families, name)[labels] == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "bound", "below", "count", "total"),
    [
        ("qlink_herald_latency_seconds", "0.005", 3, 3, 0.009),
        ("qlink_allocation_latency_seconds", "0.1", 1, 2, 0.18),
        ("qlink_commit_duration_seconds", "0.0002", 1, 1, 0.00015),
        ("qlink_delivered_fidelity_ratio", "0.92", 1, 2, 1.84),
    ],
)
def test_tells_distributions(
    families: dict[str, Metric], name: str, bound: str, below: int, count: int, total: float
) -> None:
    by_name = {(s.name.removeprefix(name), s.labels.get("le")): s.value for s in families[name].samples}
    assert by_name["_bucket", bound] == below
    assert by_name["_bucket", "+Inf"] == by_name["_count", None] == count
    assert by_name["_sum", None] == pytest.approx(total)


def test_every_metric_is_named_by_the_conventions(families: dict[str, Metric]) -> None:
    for family in families.values():
        assert family.name.startswith("qlink_")
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_ratio"))
        assert not any(math.isnan(sample.value) for sample in family.samples)


def test_stays_small(page: str) -> None:
    assert sum(1 for line in page.splitlines() if not line.startswith("#")) < 2000


def test_promtool_finds_nothing_to_complain_about(page: str) -> None:
    promtool = shutil.which(os.environ.get("PROMTOOL", "promtool"))
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    check = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_a_port_that_is_taken_is_named() -> None:
    server = MetricsServer("127.0.0.1", 0, sight)
    port = int(server.url.split(":")[2].split("/")[0])
    with pytest.raises(SettingsError, match=f"127.0.0.1:{port} .* choose another port"):
        MetricsServer("127.0.0.1", port, sight)
    server.close()


def test_windows_are_judged_by_what_came_in_them() -> None:
    objectives = Objectives(CONTRACT)
    objectives.begin(Observed(up=True, heralds=1000))
    first = objectives.close(11.0, Observed(up=True, heralds=1100))
    second = objectives.close(12.0, Observed(up=True, heralds=1101))
    assert (first.number, first.counts["M1"]) == (10, Counts(1, 1))
    assert (second.number, second.counts["M1"]) == (11, Counts(0, 1))
    assert objectives.totals["M1"] == Counts(1, 2)
    assert objectives.end_of_window_s(11.25) == 12.0
