"""What the sequencer does with its triggers, in plain Python, clock by clock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from qlink.firmware_bridge.configuration import Outcome, ReferenceSource, Sequence
from qlink.firmware_bridge.registers import SequenceEnd

HERALD_CLOCKS = 4  # from the clock of a herald's pin to the first one in which the triggers show it


@dataclass(frozen=True, slots=True)
class Events:
    """What happens around a sequence, by the clock since it could first show a trigger."""

    heralds: Mapping[int, Outcome] = field(default_factory=dict)  # in the clock of the pin
    references: Collection[int] = ()  # accepted ones, in the clock in which an attempt's first triggers can be shown
    stop: int | None = None  # in the first clock that shows it


@dataclass(frozen=True, slots=True)
class Played:
    """The triggers' levels in each clock, one bit each; the clocks in which an attempt begins; why it ended."""

    levels: list[int]
    attempts: list[int]
    end: SequenceEnd


def play(sequence: Sequence, events: Events, clocks: int) -> Played:
    """Play a sequence for so many clocks."""
    idle = sum(1 << trigger for trigger in sequence.idle_high)
    levels: list[int] = []
    attempts: list[int] = []
    end, heard, runs = SequenceEnd.NONE, 0, False
    for clock in range(clocks):
        herald = events.heralds.get(clock - HERALD_CLOCKS)
        heard = heard if herald is None else clock
        if clock == events.stop:
            end = SequenceEnd.STOPPED
        elif herald in sequence.stop_on:
            end = SequenceEnd.HERALD
        elif sequence.timeout and clock - heard >= sequence.timeout:
            end = SequenceEnd.TIMEOUT
        elif runs and clock - attempts[-1] == sequence.period:
            runs = False
            if len(attempts) == sequence.attempts:
                end = SequenceEnd.DONE
        if end is not SequenceEnd.NONE:
            break
        if not runs and (sequence.reference is ReferenceSource.OWN or clock in events.references):
            runs = True
            attempts.append(clock)
        levels.append(idle ^ (triggers(sequence, clock - attempts[-1]) if runs else 0))
    return Played(levels + [idle] * (clocks - len(levels)), attempts, end)


def triggers(sequence: Sequence, clock: int) -> int:
    """Which triggers are on so many clocks after an attempt's start."""
    return sum(
        1 << trigger
        for trigger, windows in sequence.windows.items()
        if any(window.start <= clock < window.stop for window in windows)
    )
