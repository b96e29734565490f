"""Action tables: when a pulse can begin, and what a board cannot play. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from .configuration import PULSE_MAX, Configuration, Identity, Outcome, Pattern, Pulse
from .errors import ConfigurationError
from .registers import OUTPUTS, VETO_DECISION_CLOCKS


def check_actions(configuration: Configuration, identity: Identity) -> None:
    """Raise `ConfigurationError` naming the first value of an action table that the board cannot take."""
    for outcome, pulses in sorted(configuration.actions.items()):
        _check_table(outcome, pulses, configuration.patterns, identity)


def _check_table(outcome: Outcome, pulses: Sequence[Pulse], patterns: Sequence[Pattern], identity: Identity) -> None:
    """A pulse cannot begin before the herald is decided: after the slowest of the patterns that have this outcome."""
    name = f"actions of {outcome.name}"
    if len(pulses) > identity.pulses:
        has = f"{identity.pulses} for an outcome" if identity.pulses else "no feed-forward"
        raise ConfigurationError(f"{name}: {len(pulses)} pulses do not fit, the board has {has}")
    ours = {number: pattern for number, pattern in enumerate(patterns) if pattern.outcome == outcome}
    if pulses and not ours:
        raise ConfigurationError(f"{name}: no pattern heralds it, so nothing would ever happen")
    for number, pulse in enumerate(pulses):
        _check_range(f"{name}, pulse {number}, output", pulse.output, 0, OUTPUTS - 1)
        if pulse.output >= identity.outputs:
            has = f"those of 0 to {identity.outputs - 1} only" if identity.outputs else "none at all"
            raise ConfigurationError(
                f"{name}, pulse {number}: output {pulse.output} has no pin on this board, which has {has}"
            )
        _check_range(f"{name}, pulse {number}, start", pulse.start, 0, PULSE_MAX)
        _check_range(f"{name}, pulse {number}, width", pulse.width, 1, PULSE_MAX)
        for slow, pattern in ours.items():
            earliest = earliest_start(pattern, identity)
            if pulse.start < earliest:
                raise ConfigurationError(
                    f"{name}, pulse {number}, start = {pulse.start} is too soon: by pattern {slow} a pulse can begin "
                    f"{earliest} ticks after the click at the soonest, as it is decided before that"
                )
    for output in range(OUTPUTS):
        own = sorted((pulse for pulse in pulses if pulse.output == output), key=lambda pulse: pulse.start)
        for first, second in pairwise(own):
            if second.start <= first.start + first.width:
                raise ConfigurationError(
                    f"{name}, output {output}: the pulse at {second.start} begins before the one at {first.start} has "
                    "ended: leave a tick between them, or make one of them"
                )


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} = {value} does not fit: it goes from {low} to {high}")


def earliest_start(pattern: Pattern, identity: Identity) -> int:
    """Ticks after a completing click of `pattern` at which feed-forward can begin a pulse, on every subtick alike."""
    clocks = identity.action_latency
    if not pattern.plain:
        clocks += VETO_DECISION_CLOCKS + (-(-pattern.reach // identity.samples) if pattern.vetoed else 0)
    return clocks * identity.samples
