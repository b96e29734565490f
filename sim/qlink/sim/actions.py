"""What feed-forward makes of heralds, in plain Python: the authority for output pulses.

All times are ticks but those named clocks. A herald's `seen` clock is the one in which feed-forward learns of it, less
a constant: that of the completing click, or of the verdict where forbidden channels are waited for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlink.firmware_bridge.configuration import Configuration, Outcome, Pattern, Pulse
from qlink.firmware_bridge.registers import OUTPUTS, VETO_DECISION_CLOCKS
from qlink.firmware_bridge.wire import ActionCounter, action_counter

from .coincidence import Herald

LEVEL_CLOCKS = 3  # by which an action table is free again before its last pulse is out


@dataclass(frozen=True, slots=True)
class Timing:
    samples: int  # ticks a clock
    latency: int  # clocks from a completing click to the first in which a pulse can begin


@dataclass(frozen=True, slots=True)
class Level:
    """An output is high from tick `rise` on, and no longer from tick `fall` on."""

    output: int
    rise: int
    fall: int


@dataclass(frozen=True, slots=True)
class Played:
    """All pulses, each by itself, and counters by `wire.action_counter`."""

    levels: list[Level]
    counts: Counter[int]


def lateness(pattern: Pattern, samples: int) -> int:
    """Clocks from a completing click to the verdict, besides what all patterns take."""
    if pattern.plain:
        return 0
    return VETO_DECISION_CLOCKS + (-(-pattern.reach // samples) if pattern.vetoed else 0)


def play(configuration: Configuration, timing: Timing, heralds: Sequence[Herald]) -> Played:
    """Play the action tables of `heralds`, in any order."""
    levels: list[Level] = []
    counts: Counter[int] = Counter()
    free: dict[int, int] = {}  # by outcome: the clock from which on another herald is taken
    for (seen, outcome), herald in sorted(_announced(configuration, timing.samples, heralds).items()):
        table = configuration.actions.get(Outcome(outcome), ())
        earliest = timing.latency + seen - herald.tick // timing.samples
        if not table:
            continue
        if any(pulse.start // timing.samples < earliest for pulse in table):
            counts[action_counter(ActionCounter.REFUSED, outcome)] += 1
        elif seen < free.get(outcome, 0):
            counts[action_counter(ActionCounter.DROPPED, outcome)] += 1
        else:
            counts[action_counter(ActionCounter.STARTED, outcome)] += 1
            own = [_level(pulse, herald.tick) for pulse in table]
            levels += own
            free[outcome] = max(level.fall for level in own) // timing.samples - timing.latency + LEVEL_CLOCKS
    return Played(levels, counts)


def _announced(configuration: Configuration, samples: int, heralds: Sequence[Herald]) -> dict[tuple[int, int], Herald]:
    """By seen clock and outcome, the herald of the lowest pattern: others in that clock are the same."""
    found: dict[tuple[int, int], Herald] = {}
    for herald in sorted(heralds, key=lambda herald: -herald.pattern):
        seen = herald.tick // samples + lateness(configuration.patterns[herald.pattern], samples)
        found[seen, herald.outcome] = herald
    return found


def _level(pulse: Pulse, tick: int) -> Level:
    return Level(pulse.output, tick + pulse.start, tick + pulse.start + pulse.width)


def edges(levels: Sequence[Level]) -> list[tuple[int, int, int]]:
    """The (tick, output, new level) of each output's changes: pulses that touch or overlap are one."""
    changes: Counter[tuple[int, int]] = Counter()
    for level in levels:
        changes[level.rise, level.output] += 1
        changes[level.fall, level.output] -= 1
    high: Counter[int] = Counter()
    found = []
    for (tick, output), change in sorted(changes.items()):
        before, high[output] = high[output], high[output] + change
        if bool(before) != bool(high[output]):
            found.append((tick, output, int(bool(high[output]))))
    return found


def captured(pulses: NDArray[np.void], samples: int) -> list[tuple[int, int, int]]:
    """The changes of the outputs that a twin has captured (twin.PULSE), as `edges` has them."""
    level, found = [0] * OUTPUTS, []
    for pulse in pulses:
        clock, word = int(pulse["clock"]), int(pulse["actions"])
        for sub in range(samples):
            for output in range(OUTPUTS):
                new = word >> (output * samples + sub) & 1
                if new != level[output]:
                    found.append((clock * samples + sub, output, new))
                level[output] = new
    return found
