"""What a board is set to do. Checked whole, before anything is written."""

from dataclasses import dataclass, field
from enum import IntEnum

from .registers import Mode

WINDOW_MAX = 2**16 - 1
REGISTER_MAX = 2**32 - 1


class Outcome(IntEnum):
    """The Bell state that a herald announces, in the order of Deutsch et al., PRL 77, 2818 (1996)."""

    PHI_PLUS = 0
    PSI_MINUS = 1
    PSI_PLUS = 2
    PHI_MINUS = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """What a board says it is."""

    contract_version: int
    board: str
    channels: int
    patterns: int
    samples: int
    tick_fs: int
    clock_hz: int
    herald_latency: int  # system clocks
    build: int
    delay_ticks: int = 0  # longest delay of an input


@dataclass(frozen=True, slots=True)
class Pattern:
    """Clicks on all `required` channels within `window` ticks, and none on a `forbidden` one: docs/coincidence.md."""

    required: frozenset[int]
    window: int
    outcome: Outcome = Outcome.PSI_PLUS
    forbidden: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Gate:
    """A click counts at `start <= ticks since this attempt's reference < stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that decides what becomes a herald, and what is streamed."""

    patterns: tuple[Pattern, ...] = ()
    mode: Mode = Mode.FREE_RUNNING
    gates: dict[int, Gate] = field(default_factory=dict)  # by channel; gated mode needs one per used channel
    attempt_clocks: int = 0
    reference_timeout: int = 0
    flush_clocks: int = 200_000
    snapshot_clocks: int = 0
    stream_channels: frozenset[int] | None = None  # None: all
    delays: dict[int, int] = field(default_factory=dict)  # by channel, in ticks; may be negative
    reference_delay: int = 0
    time_pps: bool = False  # a TIME record of every edge of the PPS input
    time_ten_mhz: int = 0  # and of every so many edges of the 10 MHz input; 0: of none

    @property
    def common_delay(self) -> int:
        """Ticks by which all inputs are late besides their own delay: as many as the most negative delay asks for."""
        return -min(0, self.reference_delay, *self.delays.values())
