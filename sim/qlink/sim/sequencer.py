"""What the sequencer does with its triggers, in plain Python, clock by clock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from qlink.firmware_bridge.configuration import Branch, Outcome, ReferenceSource, Sequence
from qlink.firmware_bridge.registers import SequenceEnd

HERALD_CLOCKS = 4  # from the clock of a herald's pin to the first one in which the triggers show it
BRANCH_CLOCKS = 8  # to the first one in which an attempt can begin that plays its branch


@dataclass(frozen=True, slots=True)
class Events:
    """What happens around a sequence, by the clock since it could first show a trigger."""

    heralds: Mapping[int, Outcome] = field(default_factory=dict)  # in the clock of the pin
    references: Collection[int] = ()  # accepted ones, in the clock in which an attempt's first triggers can be shown
    stop: int | None = None  # in the first clock that shows it


@dataclass(frozen=True, slots=True)
class Played:
    """The triggers' levels in each clock, one bit each; the clocks in which an attempt begins; why it ended.

    `branched` are those of the attempts that play a branch.
    """

    levels: list[int]
    attempts: list[int]
    end: SequenceEnd
    branched: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Choice:
    """The next attempt that begins at `ready` or later plays this outcome's branch."""

    outcome: Outcome
    ready: int


def choose(waiting: Choice | None, sequence: Sequence, herald: Outcome | None, clock: int) -> Choice | None:
    """Which branch waits for its attempt when the triggers learn of a herald, or of none, in `clock`.

    The last one does; but a herald of the outcome that waits already changes nothing.
    """
    if herald is None or herald not in sequence.branches or (waiting and waiting.outcome is herald):
        return waiting
    return Choice(herald, clock - HERALD_CLOCKS + BRANCH_CLOCKS)


def play(sequence: Sequence, events: Events, clocks: int) -> Played:
    """Play a sequence for so many clocks."""
    idle = sum(1 << trigger for trigger in sequence.idle_high)
    levels: list[int] = []
    attempts: list[int] = []
    branched: list[int] = []
    end, heard, waiting = SequenceEnd.NONE, 0, None
    attempt: Sequence | Branch | None = None  # what is played
    for clock in range(clocks):
        herald = events.heralds.get(clock - HERALD_CLOCKS)
        heard = heard if herald is None else clock
        waiting = choose(waiting, sequence, herald, clock)
        if clock == events.stop:
            end = SequenceEnd.STOPPED
        elif herald in sequence.stop_on:
            end = SequenceEnd.HERALD
        elif sequence.timeout and clock - heard >= sequence.timeout:
            end = SequenceEnd.TIMEOUT
        elif attempt and clock - attempts[-1] == attempt.period:
            attempt = None
            if len(attempts) == sequence.attempts:
                end = SequenceEnd.DONE
        if end is not SequenceEnd.NONE:
            break
        if not attempt and (sequence.reference is ReferenceSource.OWN or clock in events.references):
            attempt = sequence
            attempts.append(clock)
            if waiting and waiting.ready <= clock:
                attempt, waiting = sequence.branches[waiting.outcome], None
                branched.append(clock)
        levels.append(idle ^ (triggers(attempt, clock - attempts[-1]) if attempt else 0))
    return Played(levels + [idle] * (clocks - len(levels)), attempts, end, branched)


def triggers(attempt: Sequence | Branch, clock: int) -> int:
    """Which triggers are on so many clocks after an attempt's start."""
    return sum(
        1 << trigger
        for trigger, windows in attempt.windows.items()
        if any(window.start <= clock < window.stop for window in windows)
    )
