"""What a link is taken to be, and the words for what becomes of pairs and requests."""

from dataclasses import dataclass, field
from enum import StrEnum

from .bell import BellDiagonal
from .errors import SettingsError

FOREVER_NS = 2**62  # later than any time that a clock will show
PRIORITIES = 8
MAX_TIME_NS = 10**15  # no deadline or lifetime is longer: eleven days
MAX_MEMORY_SLOTS = 1_000_000


def _within(settings: object, name: str, low: float, high: float) -> None:
    value = getattr(settings, name)
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}; it is {low:g} to {high:g}")


class PairState(StrEnum):
    """The life of a pair, see docs/life-cycle.md."""

    HERALDED = "HERALDED"
    STORED = "STORED"
    PURIFYING = "PURIFYING"
    READY = "READY"
    ALLOCATED = "ALLOCATED"
    DELIVERED = "DELIVERED"
    CONSUMED = "CONSUMED"
    EXPIRED = "EXPIRED"
    DISCARDED = "DISCARDED"


class RefusalCode(StrEnum):
    """Why a tenant hears ERR."""

    UNKNOWN_TENANT = "UNKNOWN_TENANT"
    INVALID = "INVALID"  # a field is out of its range
    KEY_REUSED = "KEY_REUSED"  # the same key, another wish
    NUMBER_TOO_LARGE = "NUMBER_TOO_LARGE"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    FIDELITY_UNREACHABLE = "FIDELITY_UNREACHABLE"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    NO_SUCH_REQUEST = "NO_SUCH_REQUEST"
    NO_SUCH_PAIR = "NO_SUCH_PAIR"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Chance that a herald with a flag announces nothing: its pair is taken as mixed by so much, and discarded at 1."""

    reference_doubled: float = 1.0  # which attempt is meant is not known
    reference_missed: float = 0.05
    heralds_lost: float = 0.02

    def __post_init__(self) -> None:
        for name in ("reference_doubled", "reference_missed", "heralds_lost"):
            _within(self, name, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class LinkModel:
    """What the link promises: rate, states at birth, memories.

    `states` are Bell-diagonal after the correction that `outcome` asks for, one per outcome, in the order of Deutsch
    et al.: no error, Y (psi-), X (psi+), Z (phi-).
    """

    states: tuple[BellDiagonal, BellDiagonal, BellDiagonal, BellDiagonal] = ((0.92, 0.01, 0.02, 0.05),) * 4
    uncertainty: float = 0.02  # half width of the interval around a fidelity at birth
    t2_s: tuple[float, float] = (1.0, 1.0)  # dephasing time of each node's memory; inf: none
    depolarizing_s: tuple[float, float] = (float("inf"), float("inf"))
    t2_uncertainty: float = 0.1  # relative
    memory_slots: int = 128  # pairs that both nodes can hold at once
    rate_hz: float = 1000.0  # usable pairs, contracted
    settle_ns: int = 0  # from herald to READY: the word travels, the nodes correct
    doubt: Doubt = Doubt()

    def __post_init__(self) -> None:
        for state in self.states:
            if not (min(state) >= 0 and abs(sum(state) - 1) <= 1e-9):
                raise SettingsError(
                    f"Bell-diagonal state {state} is none: its four parts are not negative and add up to 1"
                )
        if len(self.states) != 4:
            raise SettingsError("states needs four states, one per outcome")
        if not min(*self.t2_s, *self.depolarizing_s) > 0:
            raise SettingsError("t2_s and depolarizing_s are times above zero; inf means no decay")
        _within(self, "memory_slots", 1, MAX_MEMORY_SLOTS)
        _within(self, "uncertainty", 0.0, 0.5)
        _within(self, "t2_uncertainty", 0.0, 1.0)
        _within(self, "settle_ns", 0, MAX_TIME_NS)
        if not self.rate_hz > 0:
            raise SettingsError("rate_hz is the pairs per second that the link promises, above zero")


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who may ask for how much."""

    weight: float = 1.0  # share of the pairs within a priority class, relative to the others'
    max_waiting: int = 100_000  # pairs asked for and not given yet
    rate_hz: float = 0.0  # pairs asked for per second in the long run; 0: no limit
    burst: int = 1000  # pairs above that rate

    def __post_init__(self) -> None:
        _within(self, "weight", 1e-3, 1e6)
        _within(self, "max_waiting", 0, 10**9)
        _within(self, "rate_hz", 0.0, 1e9)
        _within(self, "burst", 1, 10**9)


@dataclass(frozen=True, slots=True)
class PurificationPolicy:
    """When DEJMPS is worth it."""

    enabled: bool = True
    duration_ns: int = 1_000_000  # one round: local gates, and the message to the other node
    answer_ns: int = 10_000_000  # a round without an answer after so long has failed
    min_success: float = 0.5
    candidates: int = 6  # best pairs that a decision looks at; its time grows with the square
    backoff_ns: int = 1_000_000  # after a failure; doubles with each in a row
    max_backoff_ns: int = 1_000_000_000

    def __post_init__(self) -> None:
        for name in ("duration_ns", "answer_ns", "backoff_ns", "max_backoff_ns"):
            _within(self, name, 1, MAX_TIME_NS)
        _within(self, "min_success", 0.0, 1.0)
        _within(self, "candidates", 2, 100)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that decisions depend on beside the events. Kept in the journal, so that a replay decides alike."""

    link: LinkModel = LinkModel()
    tenants: dict[str, Tenant] = field(default_factory=dict)
    default_tenant: Tenant | None = Tenant()  # for who is not in `tenants`; None: refuse them
    purification: PurificationPolicy = PurificationPolicy()
    min_useful_fidelity: float = 0.5  # a pair below it has EXPIRED
    max_number: int = 100_000  # pairs in one request
    admission_probability: float = 0.05  # a request less likely to be served in time is refused
    rate_window_s: float = 10.0  # over which the link's rate is observed
    lowest_class_every: int = 16  # so many allocations serve the highest class first, the next one the lowest; 0: never
    remembered_requests: int = 10_000  # ended requests whose keys are still answered as before

    def __post_init__(self) -> None:
        _within(self, "min_useful_fidelity", 0.5, 0.999)
        _within(self, "max_number", 1, 10**9)
        _within(self, "admission_probability", 0.0, 1.0)
        _within(self, "rate_window_s", 1e-3, 1e6)
        _within(self, "lowest_class_every", 0, 10**9)
        _within(self, "remembered_requests", 0, 10**7)
