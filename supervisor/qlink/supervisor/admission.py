"""Whether a request is taken: a "no" comes at once, with a reason and a predicted probability. Pure functions."""

from dataclasses import dataclass
from math import ceil, inf, sqrt

from .allocation import Missing
from .bell import decay
from .events import Request
from .memory import AgeingState
from .model import MAX_TIME_NS, PRIORITIES, LinkModel, PurificationPolicy, RefusalCode, Settings, Tenant
from .purification import reachable

__all__ = ["Load", "No", "Offer", "admit", "check_fields", "link_offer", "poisson_at_least"]

_EXACT_BELOW = 24.0  # expected pairs up to which the Poisson sum is taken term by term


@dataclass(frozen=True, slots=True)
class No:
    """Why not."""

    code: RefusalCode
    reason: str
    probability: float = 0.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What the link has for one quality (fidelity and lifetime)."""

    share: float  # pairs delivered per pair heralded; 0: none at all
    delay_ns: int  # from herald to pair
    best_fidelity: float  # the most it could have for that lifetime


@dataclass(frozen=True, slots=True)
class Load:
    """What a new request finds."""

    ready: int  # free pairs that serve it
    missing: Missing
    rate_hz: float  # heralded pairs
    tokens: float  # pairs that its tenant may still ask for; infinite without a limit


class ObservedRate:
    """Heralded pairs per second: the contract's at first, more and more what was seen over the last window or two."""

    def __init__(self, contracted_hz: float, window_s: float) -> None:
        self._contracted_hz = contracted_hz
        self._window_ns = int(window_s * 1e9)
        self.since_ns: int | None = None
        self.count = 0

    def saw(self, now_ns: int) -> None:
        """One more pair."""
        if self.since_ns is None:
            self.since_ns = now_ns
        elif now_ns - self.since_ns > 2 * self._window_ns:
            self._forget(now_ns)
        self.count += 1

    def hz(self, now_ns: int) -> float:
        """The contract weighs as much as a tenth of a window that was seen."""
        if self.since_ns is not None and now_ns - self.since_ns > 2 * self._window_ns:
            self._forget(now_ns)
        seen_s = 0.0 if self.since_ns is None else (now_ns - self.since_ns) * 1e-9
        prior_s = self._window_ns * 1e-10
        return (self._contracted_hz * prior_s + self.count) / (prior_s + seen_s)

    def _forget(self, now_ns: int) -> None:
        """Keep the rate, let it weigh one window."""
        seen_ns = now_ns - (self.since_ns or 0)
        self.count = self.count * self._window_ns // seen_ns
        self.since_ns = now_ns - self._window_ns


class Buckets:
    """Token buckets, one per tenant with a rate limit: pairs that it may ask for now."""

    def __init__(self) -> None:
        self.levels: dict[str, tuple[float, int]] = {}  # tokens, and when

    def tokens(self, name: str, tenant: Tenant, now_ns: int) -> float:
        if tenant.rate_hz <= 0:
            return inf
        tokens, then_ns = self.levels.get(name, (float(tenant.burst), now_ns))
        return min(float(tenant.burst), tokens + tenant.rate_hz * (now_ns - then_ns) * 1e-9)

    def take(self, name: str, tenant: Tenant, number: int, now_ns: int) -> None:
        if tenant.rate_hz > 0:
            self.levels[name] = (self.tokens(name, tenant, now_ns) - number, now_ns)


def check_fields(wish: Request, settings: Settings) -> No | None:
    """Refuse what no load and no link could make right."""
    if not 1 <= len(wish.key) <= 200 or not 1 <= len(wish.tenant) <= 200:
        return No(RefusalCode.INVALID, "key and tenant are 1 to 200 characters; a key names one request of its tenant")
    if wish.number < 1:
        return No(RefusalCode.INVALID, f"number is {wish.number}: ask for at least one pair")
    if not 0.0 <= wish.min_fidelity <= 1.0:
        return No(RefusalCode.INVALID, f"min_fidelity is {wish.min_fidelity}: it lies between 0 and 1")
    if not 0 < wish.max_time_ns <= MAX_TIME_NS or not 0 <= wish.min_lifetime_ns <= MAX_TIME_NS:
        return No(RefusalCode.INVALID, f"max_time_ns is 1 to {MAX_TIME_NS}, min_lifetime_ns 0 to {MAX_TIME_NS}")
    if not 0 <= wish.priority < PRIORITIES:
        return No(RefusalCode.INVALID, f"priority is {wish.priority}: it is 0 to {PRIORITIES - 1}")
    slots = settings.link.memory_slots
    if wish.atomic and wish.number > slots:
        return No(
            RefusalCode.NUMBER_TOO_LARGE,
            f"{wish.number} pairs at once do not fit {slots} memories: ask for {slots} or fewer, or without atomic",
        )
    if wish.number > settings.max_number:
        return No(
            RefusalCode.NUMBER_TOO_LARGE,
            f"{wish.number} pairs are more than one request may have: split it into requests of {settings.max_number}",
        )
    return None


def link_offer(fidelity: float, lifetime_ns: int, link: LinkModel, policy: PurificationPolicy) -> Offer:
    """What fresh pairs, or one round of purification on two of them, make of this quality.

    Outcomes are taken as equally frequent.
    """
    age_ns = link.settle_ns + lifetime_ns
    plain = [AgeingState(state, 0.0, link).fidelity(age_ns) for state in link.states]
    serving = sum(each >= fidelity for each in plain)
    if serving or not policy.enabled:
        return Offer(serving / 4, link.settle_ns, max(plain))
    after_ns = policy.duration_ns + lifetime_ns
    fresh = [AgeingState(state, 0.0, link).aged(link.settle_ns) for state in link.states]
    rounds = [reachable(first, second, after_ns, link) for first in fresh for second in fresh]
    chances = [success for result, success in rounds if result >= fidelity and success >= policy.min_success]
    best = max(max(plain), *(result for result, _ in rounds))
    return Offer(sum(chances) / 2 / len(rounds), link.settle_ns + policy.duration_ns, best)


def admit(wish: Request, tenant: Tenant, offer: Offer, load: Load, settings: Settings) -> No | float:
    """The predicted probability that the request gets all its pairs in time, or why it is not taken."""
    if offer.share == 0:
        return No(
            RefusalCode.FIDELITY_UNREACHABLE,
            f"fidelity {wish.min_fidelity:.4g} for {wish.min_lifetime_ns / 1e6:g} ms is beyond this link: "
            f"ask for {_rounded_down(offer.best_fidelity)} or less, or for a shorter lifetime",
        )
    if load.missing.tenant + wish.number > tenant.max_waiting:
        return No(
            RefusalCode.QUOTA_EXCEEDED,
            f"{load.missing.tenant} of {tenant.max_waiting} pairs that this tenant may wait for are asked already: "
            "wait for them, or cancel some",
        )
    if load.tokens < wish.number:
        return No(
            RefusalCode.QUOTA_EXCEEDED,
            f"this tenant may ask for {tenant.rate_hz:g} pairs a second: try again with a new key in "
            f"{(wish.number - load.tokens) / tenant.rate_hz:.3g} s, or for no more than {tenant.burst} at once",
        )
    probability = _in_time(wish, offer, load)
    if probability < settings.admission_probability:
        return No(
            RefusalCode.DEADLINE_TOO_SHORT,
            f"{wish.number} such pairs in {wish.max_time_ns / 1e6:g} ms come with probability {probability:.2g}: "
            "ask for fewer, for a lower fidelity or with a later deadline, under a new key",
            probability,
        )
    return probability


def _in_time(wish: Request, offer: Offer, load: Load) -> float:
    queue = load.missing
    own = ceil((queue.same_tenant + wish.number) / queue.share)
    ahead = min(own, queue.same_class + wish.number)  # the others may run dry before its turn is over
    missing = queue.higher + ahead - load.ready
    if missing <= 0:
        return 1.0
    time_s = max(0, wish.max_time_ns - offer.delay_ns) * 1e-9
    return poisson_at_least(missing, load.rate_hz * offer.share * time_s)


def poisson_at_least(number: int, expected: float) -> float:
    """Chance of `number` or more events where `expected` are: exact for few, within 0.01 by the normal law for many."""
    if expected < _EXACT_BELOW:
        term = decay(expected)
        below = 0.0
        for count in range(min(number, 200)):
            below += term
            term *= expected / (count + 1)
        return max(0.0, 1.0 - below)
    return _normal_above((number - 0.5 - expected) / sqrt(expected))


def _normal_above(z: float) -> float:
    """Upper tail of the normal law, to 1e-7 (Abramowitz and Stegun 26.2.17)."""
    t = 1 / (1 + 0.2316419 * abs(z))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = 0.3989422804014327 * decay(z * z / 2) * series
    return tail if z >= 0 else 1 - tail


def _rounded_down(fidelity: float) -> str:
    return f"{int(fidelity * 1e4) / 1e4:.4f}"
