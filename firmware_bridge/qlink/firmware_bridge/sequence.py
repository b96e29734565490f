"""From a `Sequence` to the program that a board plays in each attempt. Pure."""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from itertools import pairwise

from .configuration import REGISTER_MAX, Configuration, Identity, ReferenceSource, Sequence, Window
from .errors import ConfigurationError
from .registers import SEGMENTS_A_WORD, TRIGGERS, Mode

WINDOWS = 4  # of one trigger


@dataclass(frozen=True, slots=True)
class Segment:
    """So many clocks with the same triggers on, one bit each."""

    clocks: int
    on: int


def segments_of(sequence: Sequence) -> list[Segment]:
    """The segments of one attempt; their clocks add up to its period. `sequence` has been checked."""
    windows = [(trigger, window) for trigger, several in sequence.windows.items() for window in several]
    edges = {0, sequence.period, *(edge for _, window in windows for edge in (window.start, window.stop))}
    return [
        Segment(end - begin, sum({1 << trigger for trigger, window in windows if window.start <= begin < window.stop}))
        for begin, end in pairwise(sorted(edges))
    ]


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
    for name, low in {"period": 1, "attempts": 0, "timeout": 0}.items():
        value = getattr(sequence, name)
        if not low <= value <= REGISTER_MAX:
            raise ConfigurationError(f"sequence, {name} = {value} does not fit: it goes from {low} to {REGISTER_MAX}")
    _check_period(configuration.attempt_clocks, sequence)
    for trigger in sorted({*sequence.windows, *sequence.idle_high}):
        check_trigger(trigger, identity)
    for trigger, windows in sorted(sequence.windows.items()):
        _check_windows(trigger, windows, sequence.period)


def check_trigger(trigger: int, identity: Identity) -> None:
    """Raise `ConfigurationError` for a trigger that does not exist, or leads to no pin."""
    if not 0 <= trigger < TRIGGERS:
        raise ConfigurationError(f"trigger {trigger} does not exist, there are 0 to {TRIGGERS - 1}")
    if trigger >= identity.triggers:
        has = f"those of 0 to {identity.triggers - 1} only" if identity.triggers else "none at all"
        raise ConfigurationError(f"trigger {trigger} has no pin on this board, which has {has}")


def _check_period(attempt_clocks: int, sequence: Sequence) -> None:
    """The period of attempts and their length have to leave room for each other."""
    if sequence.reference is ReferenceSource.OWN and attempt_clocks > sequence.period:
        raise ConfigurationError(
            f"sequence, period = {sequence.period} is shorter than an attempt, attempt_clocks = {attempt_clocks}: "
            "raise the one or lower the other"
        )
    if sequence.reference is ReferenceSource.EXTERNAL and attempt_clocks < sequence.period:
        raise ConfigurationError(
            f"sequence, period = {sequence.period} is longer than an attempt, attempt_clocks = {attempt_clocks}: "
            "the next reference could come before its triggers are over"
        )


def _check_windows(trigger: int, windows: Several[Window], period: int) -> None:
    if len(windows) > WINDOWS:
        raise ConfigurationError(f"trigger {trigger}: {len(windows)} windows do not fit, it can have {WINDOWS}")
    for number, window in enumerate(windows):
        name = f"trigger {trigger}, window {number}"
        if not 0 <= window.start < window.stop:
            raise ConfigurationError(f"{name}: start {window.start} is not in 0 to stop {window.stop} - 1")
        if window.stop > period:
            raise ConfigurationError(f"{name}: stop {window.stop} is past the period of {period} clocks")
    ordered = sorted(windows, key=lambda window: window.start)
    for earlier, later in pairwise(ordered):
        if later.start < earlier.stop:
            both = f"[{earlier.start}, {earlier.stop}) and [{later.start}, {later.stop})"
            raise ConfigurationError(f"trigger {trigger}: windows {both} overlap")
