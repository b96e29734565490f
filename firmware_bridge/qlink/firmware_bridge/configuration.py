"""What a board is set to do. Checked whole, before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from .registers import OUTPUTS, TRIGGERS, VETO_CLOCKS, WINDOW_BITS, Mode, SequenceEnd, Width
from .wire import Coding

WINDOW_MAX = 2**WINDOW_BITS - 1
PULSE_MAX = 2**24 - 1  # ticks, of start and width
REGISTER_MAX = 2**32 - 1
SHARE_MAX = 2**16
ALL_CODINGS = sum(1 << coding for coding in Coding)


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
    sequence_segments: int = 0  # that an attempt's program can have; 0: the board has no sequencer
    trigger_latency: int = 0  # system clocks from an accepted reference's clock to the first of its triggers
    branch_segments: int = 0  # that each branch can have; 0: attempts have none
    branch_latency: int = 0  # system clocks from a herald's pin to the soonest attempt that plays its branch
    sync_latency: int = 0  # system clocks from a leader's reference to its follower's; 0: no lines to another board
    features: int = 0  # a Feature, or several
    histogram_bins: int = 0
    pulses: int = 0  # of an outcome's action table; 0: the board has no feed-forward
    action_latency: int = 0  # system clocks
    vicinity_ticks: int = 0  # how far from a herald is near at most; 0: clicks cannot be chosen by heralds
    codings: int = ALL_CODINGS  # bit n: the coding of number n; 0: clicks are counted and matched, not streamed
    triggers: int = TRIGGERS  # of the sequencer that lead to pins, from 0 on
    outputs: int = OUTPUTS  # of feed-forward that do
    pps: bool = True  # whether there is such an input
    ten_mhz: bool = True
    veto_clocks: int = VETO_CLOCKS  # the longest window of a pattern that something can veto; 0: nothing can
    window_ticks: int = WINDOW_MAX  # the longest window

    @property
    def widths(self) -> Mapping[Width, int]:
        """Of the register fields that boards have in different widths."""
        return {
            Width.CHANNELS: self.channels,
            Width.FORBIDDEN: self.channels if self.veto_clocks else 0,
            Width.WINDOW: self.window_ticks.bit_length(),
            Width.DELAY: self.delay_ticks.bit_length(),
            Width.VICINITY: self.vicinity_ticks.bit_length(),
        }


@dataclass(frozen=True, slots=True)
class Pattern:
    """Clicks on all `required` channels within `window` ticks, and none on a `forbidden` one: docs/coincidence.md.

    With a `minimum`, so many of the required channels are enough; with a `maximum`, clicks on more of them veto. With a
    `guard`, so do further clicks on them for so many ticks before and after. With `shifted` channels, of the required
    ones, accidentals are counted: coincidences with these channels late.
    """

    required: frozenset[int]
    window: int
    outcome: Outcome = Outcome.PSI_PLUS
    forbidden: frozenset[int] = frozenset()
    shifted: frozenset[int] = frozenset()
    minimum: int = 0  # 0: all
    maximum: int = 0  # 0: any number
    guard: int = 0  # ticks; 0: none, else at least the window

    @property
    def reach(self) -> int:
        """Ticks around a coincidence in which a click may veto it."""
        return self.guard or self.window

    @property
    def vetoed(self) -> bool:
        """Whether anything can veto it, so that it is decided late."""
        return bool(self.forbidden or self.maximum or self.guard)

    @property
    def plain(self) -> bool:
        """Whether all its channels are needed and nothing can veto it, so that it is decided at once."""
        return not self.vetoed and self.minimum in (0, len(self.required))


@dataclass(frozen=True, slots=True)
class Gate:
    """A click counts at `start <= ticks since this attempt's reference < stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Window:
    """A trigger is on at `start <= clocks since the attempt's start < stop`."""

    start: int
    stop: int


class ReferenceSource(Enum):
    """Where a sequence's references come from."""

    OWN = "own"  # the board begins each attempt itself, when the last one's period is over
    EXTERNAL = "external"  # the reference input, or a follower's leader: each accepted reference begins one


@dataclass(frozen=True, slots=True)
class Branch:
    """What the triggers do in the attempt after a herald, instead of what they do in all others: docs/attempts.md."""

    period: int  # clocks
    windows: Mapping[int, tuple[Window, ...]] = field(default_factory=dict)  # by trigger


@dataclass(frozen=True, slots=True)
class Sequence:
    """Attempts one after the other: docs/attempts.md. Begun by `Board.start_sequence`."""

    period: int  # clocks
    windows: dict[int, tuple[Window, ...]] = field(default_factory=dict)  # by trigger
    reference: ReferenceSource = ReferenceSource.OWN
    attempts: int = 0  # then it ends; 0: never
    stop_on: frozenset[Outcome] = frozenset()  # a herald of these outcomes ends it
    timeout: int = 0  # it ends after so many clocks without any herald; 0: never
    idle_high: frozenset[int] = frozenset()  # triggers whose idle level is 1, and which are 0 in their windows
    branches: Mapping[Outcome, Branch] = field(default_factory=dict)  # for one attempt after a herald of the outcome


class Role(Enum):
    """Which of two boards in step this is."""

    LEADER = "leader"  # tells the other one of every attempt
    FOLLOWER = "follower"  # begins an attempt whenever it is told, and looks at no reference input


@dataclass(frozen=True, slots=True)
class Sync:
    """Two boards in step: docs/attempts.md. Both begin with the same number, see `Board.number_attempts`."""

    role: Role
    await_ready: bool = False  # a leader's sequence waits for its follower
    ready_timeout: int = 0  # but for so many clocks at most; 0: for ever
    stop_on_success: bool = False  # a herald of the other board ends this one's sequence


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """What a board says of another one that it is in step with; of numbers the lowest eight bits."""

    agreed: bool  # it was given a number, and nothing contradicts it; a follower begins no attempts without
    number: int  # of the attempt begun last
    heard: int  # in the message heard last about attempts
    successes: int  # counts the messages heard about heralds


@dataclass(frozen=True, slots=True)
class SequenceStatus:
    """What a board says of the sequence begun last."""

    running: bool
    end: SequenceEnd  # NONE while it runs
    attempts: int  # begun since its start, modulo 2**32
    branched: int = 0  # of these: that played a branch, likewise


@dataclass(frozen=True, slots=True)
class Pulse:
    """On `output` from `start` ticks after the tick of a herald's completing click on, for `width` ticks."""

    output: int
    start: int
    width: int


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
    shares: dict[int, int] = field(default_factory=dict)  # by channel: one in so many of its clicks is streamed
    near_heralds: frozenset[int] = frozenset()  # channels of which only clicks near a herald are streamed
    vicinity: int = 0  # ticks from a herald that are near it, before and after
    coding: Coding | None = None  # of streamed clicks; None: the shortest that the board has
    delays: dict[int, int] = field(default_factory=dict)  # by channel, in ticks; may be negative
    reference_delay: int = 0
    actions: Mapping[Outcome, tuple[Pulse, ...]] = field(default_factory=dict)  # what a herald sets off
    time_pps: bool = False  # a TIME record of every edge of the PPS input
    time_ten_mhz: int = 0  # and of every so many edges of the 10 MHz input; 0: of none
    sequence: Sequence | None = None  # None: all triggers are 0
    sync: Sync | None = None  # None: a board of its own
    accidental_clocks: int = 0  # by which `shifted` channels are late for the accidental counters

    @property
    def common_delay(self) -> int:
        """Ticks by which all inputs are late besides their own delay: as many as the most negative delay asks for."""
        return -min(0, self.reference_delay, *self.delays.values())
