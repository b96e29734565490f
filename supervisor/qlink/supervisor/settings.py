"""How one supervisor is set up. Checked whole, before anything is opened."""

from dataclasses import dataclass, field
from pathlib import Path

from qlink.firmware_bridge.configuration import Configuration

from . import model
from .errors import SettingsError
from .keys import state_directory
from .link_clock import TimeSource
from .slo import Contract

JOURNAL = "journal.sqlite"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the supervisor listens. `*` as a port takes a free one; see `addresses.Addresses` for which."""

    publications: str = "tcp://127.0.0.1:7410"
    requests: str = "tcp://127.0.0.1:7411"
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = 7412  # 0: a free one; None: no metrics


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a lost board is tried again."""

    first_s: float = 0.1
    factor: float = 2.0
    longest_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.longest_s or self.factor < 1:
            raise SettingsError("a back-off needs 0 < first_s <= longest_s, and a factor of 1 or more")

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row, from 1."""
        return min(self.first_s * self.factor ** min(failures - 1, 64), self.longest_s)


@dataclass(frozen=True, slots=True)
class Pace:
    """How the loop turns. Latency against work per event."""

    max_batch: int = 512  # events decided in one commit
    max_waiting: int = 100_000  # events not yet decided, above which requests are refused as BUSY
    heartbeat_s: float = 0.5
    poll_s: float = 0.05  # longest wait in one read of the board; a stop takes so long
    silence_s: float = 2.0  # after which a board is asked whether it is still there
    min_tick_s: float = 0.001  # shortest time between two looks at what falls due
    subscriber_backlog: int = 50_000  # messages kept for a slow subscriber before it loses some


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Everything around the core. `home` holds keys, journal and addresses."""

    home: Path = field(default_factory=state_directory)
    decisions: model.Settings = field(default_factory=model.Settings)
    configuration: Configuration | None = None  # of the board; None: as it is
    first_attempt: int | None = None  # the number of the board's next attempt when it is opened first; None: as it is
    time_source: TimeSource = TimeSource.BOARD
    endpoints: Endpoints = Endpoints()
    contract: Contract = field(default_factory=Contract)
    backoff: Backoff = Backoff()
    pace: Pace = Pace()

    @property
    def journal(self) -> Path:
        return self.home / JOURNAL
