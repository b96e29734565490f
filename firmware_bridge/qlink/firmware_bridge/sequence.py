"""From a `Sequence` to the program that a board plays in each attempt. Pure."""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from itertools import pairwise

from .configuration import REGISTER_MAX, Branch, Configuration, Identity, Outcome, ReferenceSource, Sequence, Window
from .errors import ConfigurationError
from .registers import BY_NAME, SEGMENTS_A_WORD, TRIGGERS, Mode

WINDOWS = 4  # of one trigger
BRANCH_SEGMENT = BY_NAME["branch_segment"]
CLOCKS_MAX = BRANCH_SEGMENT.unpack(REGISTER_MAX)["clocks"]  # of a branch's segment


@dataclass(frozen=True, slots=True)
class Segment:
    """So many clocks with the same triggers on, one bit each."""

    clocks: int
    on: int


def segments_of(attempt: Sequence | Branch) -> list[Segment]:
    """The segments of one attempt; their clocks add up to its period. `attempt` has been checked."""
    windows = [(trigger, window) for trigger, several in attempt.windows.items() for window in several]
    edges = {0, attempt.period, *(edge for _, window in windows for edge in (window.start, window.stop))}
    return [
        Segment(end - begin, sum({1 << trigger for trigger, window in windows if window.start <= begin < window.stop}))
        for begin, end in pairwise(sorted(edges))
    ]


def branch_segments_of(branch: Branch) -> list[Segment]:
    """Likewise of a branch, whose segments are shorter: what is too long for one takes several, the shortest first."""
    pieces = []
    for segment in segments_of(branch):
        longest = (segment.clocks - 1) // CLOCKS_MAX
        pieces += [Segment(segment.clocks - longest * CLOCKS_MAX, segment.on)]
        pieces += [Segment(CLOCKS_MAX, segment.on)] * longest
    return pieces


def branch_words(branch: Branch) -> Iterator[int]:
    """A word for each of its segments."""
    segments = branch_segments_of(branch)
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        yield BRANCH_SEGMENT.pack(clocks=segment.clocks, last=int(last), on=segment.on)


def level_words(segments: Several[Segment]) -> Iterator[int]:
    """The triggers of four segments to a word."""
    for first in range(0, len(segments), SEGMENTS_A_WORD):
        yield sum(segment.on << TRIGGERS * n for n, segment in enumerate(segments[first : first + SEGMENTS_A_WORD]))


def check_sequence(configuration: Configuration, sequence: Sequence, identity: Identity) -> None:
    """Raise `ConfigurationError` naming the first value of the sequence that the board cannot take."""
    if not identity.sequence_segments:
        raise ConfigurationError("sequence: this board was built without a sequencer")
    if configuration.mode is not Mode.GATED:
        raise ConfigurationError("sequence: attempts exist in gated mode only, so set mode to GATED")
    for name in ("attempts", "timeout"):
        _check_range(f"sequence, {name}", getattr(sequence, name), 0)
    _check_attempt("sequence, ", sequence, configuration, sequence.reference, identity)
    for trigger in sorted(sequence.idle_high):
        check_trigger(trigger, identity)
    for outcome, branch in sorted(sequence.branches.items()):
        _check_branch(outcome, branch, configuration, sequence, identity)


def _check_attempt(
    name: str, attempt: Sequence | Branch, configuration: Configuration, reference: ReferenceSource, identity: Identity
) -> None:
    """Period and windows, of all attempts or of a branch; `name` begins each sentence."""
    _check_range(f"{name}period", attempt.period, 1)
    _check_period(name, attempt.period, configuration.attempt_clocks, reference)
    for trigger, windows in sorted(attempt.windows.items()):
        check_trigger(trigger, identity)
        _check_windows(f"{name}trigger {trigger}", windows, attempt.period)


def _check_branch(
    outcome: Outcome, branch: Branch, configuration: Configuration, sequence: Sequence, identity: Identity
) -> None:
    """While a branch's last segment is played, the board fetches the next branch: it has to last so long."""
    name = f"branch of {outcome.name}"
    if not identity.branch_segments:
        raise ConfigurationError(f"{name}: this board's gateware is built without branches, leave branches out")
    if all(pattern.outcome != outcome for pattern in configuration.patterns):
        raise ConfigurationError(f"{name}: no pattern heralds it, so it would never be played")
    if outcome in sequence.stop_on:
        raise ConfigurationError(f"{name}: it would never be played, as stop_on has its herald end the sequence")
    _check_attempt(f"{name}, ", branch, configuration, sequence.reference, identity)
    segments = segments_of(branch)
    if segments[-1].clocks < identity.branch_latency:
        raise ConfigurationError(
            f"{name}: its triggers change {segments[-1].clocks} clocks before its end, they have to rest for its last "
            f"{identity.branch_latency}: close the windows earlier or raise period"
        )
    if (count := len(branch_segments_of(branch))) > identity.branch_segments:
        raise ConfigurationError(
            f"{name}: {count} segments do not fit, it can have {identity.branch_segments}: one from each change of a "
            f"trigger to the next, and one more for every {CLOCKS_MAX} clocks without any"
        )


def check_trigger(trigger: int, identity: Identity) -> None:
    """Raise `ConfigurationError` for a trigger that does not exist, or leads to no pin."""
    if not 0 <= trigger < TRIGGERS:
        raise ConfigurationError(f"trigger {trigger} does not exist, there are 0 to {TRIGGERS - 1}")
    if trigger >= identity.triggers:
        has = f"those of 0 to {identity.triggers - 1} only" if identity.triggers else "none at all"
        raise ConfigurationError(f"trigger {trigger} has no pin on this board, which has {has}")


def check_manual(value: int, identity: Identity) -> None:
    """Raise `ConfigurationError` for a value of `trigger_manual` that holds a trigger without a pin."""
    held = BY_NAME["trigger_manual"].unpack(value)["mask"]
    for trigger in range(TRIGGERS):
        if held >> trigger & 1:
            check_trigger(trigger, identity)


def _check_range(name: str, value: int, low: int) -> None:
    if not low <= value <= REGISTER_MAX:
        raise ConfigurationError(f"{name} = {value} does not fit: it goes from {low} to {REGISTER_MAX}")


def _check_period(name: str, period: int, attempt_clocks: int, reference: ReferenceSource) -> None:
    """The period of attempts and their length have to leave room for each other."""
    if reference is ReferenceSource.OWN and attempt_clocks > period:
        raise ConfigurationError(
            f"{name}period = {period} is shorter than an attempt, attempt_clocks = {attempt_clocks}: "
            "raise the one or lower the other"
        )
    if reference is ReferenceSource.EXTERNAL and attempt_clocks < period:
        raise ConfigurationError(
            f"{name}period = {period} is longer than an attempt, attempt_clocks = {attempt_clocks}: "
            "the next reference could come before its triggers are over"
        )


def _check_windows(trigger: str, windows: Several[Window], period: int) -> None:
    if len(windows) > WINDOWS:
        raise ConfigurationError(f"{trigger}: {len(windows)} windows do not fit, it can have {WINDOWS}")
    for number, window in enumerate(windows):
        name = f"{trigger}, window {number}"
        if not 0 <= window.start < window.stop:
            raise ConfigurationError(f"{name}: start {window.start} is not in 0 to stop {window.stop} - 1")
        if window.stop > period:
            raise ConfigurationError(f"{name}: stop {window.stop} is past the period of {period} clocks")
    ordered = sorted(windows, key=lambda window: window.start)
    for earlier, later in pairwise(ordered):
        if later.start < earlier.stop:
            both = f"[{earlier.start}, {earlier.stop}) and [{later.start}, {later.stop})"
            raise ConfigurationError(f"{trigger}: windows {both} overlap")
