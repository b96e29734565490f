"""Prometheus metrics, made at scrape from plain numbers, in a thread of their own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from qlink.firmware_bridge.configuration import Outcome
from qlink.firmware_bridge.counters import PER_PATTERN
from qlink.firmware_bridge.wire import GROUP_SIZE, ActionCounter, CounterGroup, GlobalCounter, action_counter

from .errors import SettingsError
from .messages import Standing
from .slo import Counts
from .tally import Histogram, Tally


@dataclass(frozen=True, slots=True)
class Sight:
    """What a scrape sees. The loop goes on adding to it; numbers may be a moment apart."""

    tally: Tally
    up: bool
    received: int
    lost: dict[str, int]  # by kind
    counters: dict[int, int]  # of the board, by index
    published: dict[str, int]  # last number by topic
    totals: dict[str, Counts]  # by SLI
    standings: list[Standing]


class LinkCollector:
    """All metrics of one link: some 250 series with 8 channels and 8 patterns."""

    def __init__(self, look: Callable[[], Sight]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        sight = self._look()
        yield GaugeMetricFamily("qlink_link_up", "Whether the board is there and read.", int(sight.up))
        yield from _decisions(sight.tally)
        yield from _board(sight.counters)
        yield from _telemetry(sight)
        yield from _objectives(sight)


class MetricsServer:
    """Serves `/metrics` over HTTP from a thread of its own until closed."""

    def __init__(self, host: str, port: int, look: Callable[[], Sight]) -> None:
        registry = CollectorRegistry()
        registry.register(LinkCollector(look))
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise SettingsError(
                f"metrics cannot be served on {host}:{port} ({error.strerror}): choose another port"
            ) from error
        self.url = f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _counter(name: str, text: str, label: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in values:
        family.add_metric([value], count)
    return family


def _gauge(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    counts, below = list(histogram.counts), 0
    buckets = []
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), counts, strict=True):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)


def _decisions(tally: Tally) -> Iterator[Metric]:
    outcomes = [(outcome.name.lower(), tally.heralds[outcome]) for outcome in Outcome]
    yield _counter("qlink_heralds", "Heralds published, by Bell state.", "outcome", outcomes)
    yield CounterMetricFamily("qlink_heralds_ignored", "Heralds that had been seen before.", tally.heralds_ignored)
    yield _counter(
        "qlink_pairs", "Pairs that came into a state.", "state", [(s.lower(), n) for s, n in list(tally.pairs.items())]
    )
    yield CounterMetricFamily("qlink_purifications", "Rounds of purification begun.", tally.rounds)
    yield _counter("qlink_requests", "Requests, by what became of them.", "result", list(tally.requests.items()))
    yield _histogram("qlink_allocation_latency_seconds", "From request to pair (M3).", tally.waited_s)
    yield _histogram("qlink_herald_latency_seconds", "From herald to its publication (M7).", tally.herald_s)
    yield _histogram("qlink_commit_duration_seconds", "Of a commit to the journal.", tally.commit_s)
    yield _histogram("qlink_delivered_fidelity_ratio", "Estimated fidelity of pairs given out (M2).", tally.fidelity)


def _board(counters: dict[int, int]) -> Iterator[Metric]:
    """The board's own counters, as of its last snapshot."""
    values = dict(counters)
    texts = {
        CounterGroup.CLICKS: "Clicks, merged ones not included.",
        CounterGroup.MERGED: "Second edges within one system clock.",
        CounterGroup.GATED: "Clicks that lay in their gate.",
        CounterGroup.CLICKS_LOST: "Clicks that could not be sent.",
        CounterGroup.CLICKS_FILTERED: "Clicks not streamed because nobody asked.",
        CounterGroup.HERALDS: "Heralds decided, lost ones included.",
        CounterGroup.VETOED: "Completions that a forbidden click vetoed.",
        CounterGroup.HERALDS_LOST: "Heralds that could not be sent.",
        CounterGroup.ACCIDENTALS: "Completions with the pattern's shifted channels late.",
    }
    for group, text in texts.items():
        label = "pattern" if group in PER_PATTERN else "channel"
        members = [(str(i % GROUP_SIZE), n) for i, n in sorted(values.items()) if i // GROUP_SIZE == group]
        yield _counter(f"qlink_board_{group.name.lower()}", text, label, members)
    actions = {
        ActionCounter.STARTED: "Action tables played after a herald of the outcome.",
        ActionCounter.DROPPED: "Heralds that came while their action table was being played.",
        ActionCounter.REFUSED: "Heralds whose action table would have had to begin before they were decided.",
    }
    for what, text in actions.items():
        of_outcome = [(outcome.name.lower(), values.get(action_counter(what, outcome), 0)) for outcome in Outcome]
        yield _counter(f"qlink_board_actions_{what.name.lower()}", text, "outcome", of_outcome)
    for single in GlobalCounter:
        value = values.get(CounterGroup.GLOBAL * GROUP_SIZE + single)
        if value is not None:
            words = single.name.lower().replace("_", " ")
            yield CounterMetricFamily(f"qlink_board_{single.name.lower()}", f"Counted by the board: {words}.", value)


def _telemetry(sight: Sight) -> Iterator[Metric]:
    yield CounterMetricFamily("qlink_telemetry_received", "Clicks and heralds that came.", sight.received)
    yield _counter("qlink_telemetry_lost", "What is known to be missing.", "kind", list(sight.lost.items()))
    yield _counter("qlink_publications", "Last publication number.", "topic", list(sight.published.items()))


def _objectives(sight: Sight) -> Iterator[Metric]:
    totals = list(sight.totals.items())
    yield _counter("qlink_slo_events", "Events that count for an objective.", "slo", [(i, c.total) for i, c in totals])
    yield _counter("qlink_slo_good_events", "Good ones among them.", "slo", [(i, c.good) for i, c in totals])
    standings = sight.standings
    yield _gauge("qlink_slo_objective_ratio", "Share promised.", "slo", [(s.id, s.objective) for s in standings])
    yield _gauge(
        "qlink_slo_budget_left_ratio",
        "Share of the error budget left; below 0: overdrawn.",
        "slo",
        [(s.id, s.budget_left) for s in standings],
    )
    yield _gauge("qlink_slo_burn_rate", "Over the last hour.", "slo", [(s.id, s.burn_rate) for s in standings])
