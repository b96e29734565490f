"""Looks at a running service and its applications, and says what the demo shows."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from qlink.firmware_bridge.configuration import Outcome
from qlink.firmware_bridge.wire import CounterGroup, counter_index
from qlink.supervisor.effects import Allocated, HeraldPublished, PairEnded, Purify, RequestExpired
from qlink.supervisor.messages import Body, Standing
from qlink.supervisor.metrics import Sight

from .application import Experience
from .live_view import DemoState, Objective
from .output import bell_state, share

SHORT_NAMES = {"M1": "entanglement", "M2": "fidelity", "M3": "latency", "M4": "availability", "M9": "telemetry"}
RATE_OVER_S = 1.0
HISTORY = 100  # herald rates kept


@dataclass(frozen=True, slots=True)
class Sample:
    """Counts at a moment."""

    time_s: float
    clicks: tuple[int, ...]
    heralds: int


@dataclass(slots=True)
class Observer:
    """Remembers enough of the past for rates, and the last event of each kind."""

    seed: int
    channels: int
    duration_s: float | None
    heard: int = 0  # heralds that came to our subscriber
    _samples: deque[Sample] = field(default_factory=deque)
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    _events: dict[str, tuple[float, str]] = field(default_factory=dict)  # time and words, by kind

    def hear(self, body: Body, elapsed_s: float) -> None:
        """Take in a publication."""
        self.heard += isinstance(body, HeraldPublished)
        if (told := words(body)) is not None:
            kind, text = told
            self._events[kind] = (elapsed_s, text)

    def look(self, elapsed_s: float, sight: Sight, experiences: Sequence[Experience]) -> DemoState:
        """Return what there is to see, `elapsed_s` after the beginning."""
        phi_plus, psi_minus, psi_plus, phi_minus = (sight.tally.heralds[outcome] for outcome in Outcome)
        heralds = (phi_plus, psi_minus, psi_plus, phi_minus)
        clicks = tuple(
            sight.counters.get(counter_index(CounterGroup.CLICKS, channel), 0) for channel in range(self.channels)
        )
        click_rates, herald_rate = self._rate(Sample(elapsed_s, clicks, sum(heralds)))
        self._rates.append(herald_rate)
        return DemoState(
            seed=self.seed,
            elapsed_s=elapsed_s,
            duration_s=self.duration_s,
            click_rates=click_rates,
            heralds=heralds,
            herald_rates=tuple(self._rates),
            pairs=pairs(sight, sum(heralds)),
            tenants=tuple(experience.view() for experience in experiences),
            objectives=tuple(map(objective, sight.standings)),
            received=sight.received,
            lost=sum(count for kind, count in sight.lost.items() if kind != "frame"),
            gaps=sight.lost.get("frame", 0),
            events=tuple(f"{time_s:6.2f} s  {text}" for time_s, text in sorted(self._events.values())),
        )

    def _rate(self, now: Sample) -> tuple[tuple[float, ...], float]:
        """Clicks by channel, and heralds, per second, over the last second or so."""
        self._samples.append(now)
        while len(self._samples) > 2 and self._samples[1].time_s < now.time_s - RATE_OVER_S:
            self._samples.popleft()
        before = self._samples[0]
        span_s = now.time_s - before.time_s or 1.0
        rates = tuple((new - old) / span_s for new, old in zip(now.clicks, before.clicks, strict=True))
        return rates, (now.heralds - before.heralds) / span_s


def words(body: Body) -> tuple[str, str] | None:
    """Kind and words of a publication worth telling."""
    match body:
        case HeraldPublished():
            return "herald", f"herald in attempt {body.attempt}: pair {body.pair}, {bell_state(body.outcome)}"
        case Purify():
            return "purify", f"pair {body.keep} purified with pair {body.spend}, success {body.success_probability:.0%}"
        case PairEnded() if body.state != "CONSUMED":
            return "ended", f"pair {body.pair} {body.state.lower()}: {body.reason}"
        case Allocated():
            low, high = body.fidelity_low, body.fidelity_high
            return (
                body.tenant,
                f"pair {body.pair} to {body.tenant}, fidelity {body.fidelity:.3f} ({low:.3f} to {high:.3f})",
            )
        case RequestExpired():
            return (
                f"{body.tenant} late",
                f"request {body.create_id} of {body.tenant} expired with {body.delivered} pairs",
            )
        case _:
            return None


def pairs(sight: Sight, heralds: int) -> tuple[tuple[str, int], ...]:
    """What became of the pairs."""
    counts = sight.tally.pairs
    ended = sum(count for state, count in counts.items() if state in ("CONSUMED", "EXPIRED", "DISCARDED"))
    return (
        ("in memory", heralds - ended),
        ("given", counts["ALLOCATED"]),
        ("purifications", sight.tally.rounds),
        ("too old", counts["EXPIRED"]),
        ("discarded", counts["DISCARDED"]),
    )


def objective(standing: Standing) -> Objective:
    """Write how an objective stands."""
    return Objective(
        id=standing.id,
        name=SHORT_NAMES.get(standing.id, standing.name),
        value=None if standing.value is None else share(standing.value),
        target=f"≥ {share(standing.objective)}",
        budget=standing.budget_left,
    )
