"""Counter snapshots: all counters of a board at one instant."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from .configuration import Identity
from .errors import BoardReset
from .registers import Feature
from .wire import (
    GROUP_SIZE,
    OUTCOMES,
    ActionCounter,
    CounterGroup,
    GlobalCounter,
    action_counter,
    counter_index,
)

Values = NDArray[np.uint64]

PER_CHANNEL = (
    CounterGroup.CLICKS,
    CounterGroup.MERGED,
    CounterGroup.GATED,
    CounterGroup.CLICKS_LOST,
    CounterGroup.CLICKS_FILTERED,
)
OF_STREAM = (CounterGroup.CLICKS_LOST, CounterGroup.CLICKS_FILTERED)
"""On a board that streams no clicks they are not counted: none is lost, all are filtered."""

PER_PATTERN = (CounterGroup.HERALDS, CounterGroup.VETOED, CounterGroup.HERALDS_LOST, CounterGroup.ACCIDENTALS)


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """What `wire.CounterGroup` and `GlobalCounter` name, latched at `tick`. Shapes: (channels,) and (patterns,).

    `accidentals` are zeros of a board that counts none.
    """

    tick: int
    snapshot: int  # its number, wraps at 2**16
    epoch: int  # of the tick
    clicks: Values
    merged: Values
    gated: Values
    clicks_lost: Values
    clicks_filtered: Values
    heralds: Values
    vetoed: Values
    heralds_lost: Values
    accidentals: Values
    attempts: int
    references_doubled: int
    references_missed: int
    requests_bad: int
    snapshots_lost: int
    times_merged: int
    pps_lost: int
    ten_mhz_lost: int
    sync_missed: int
    sync_doubled: int
    sync_corrupt: int
    sync_disagreed: int
    actions_started: Values  # by outcome; empty on a board without feed-forward, like the next two
    actions_dropped: Values
    actions_refused: Values

    def since(self, earlier: "Counters") -> "Counters":
        """What was counted from `earlier` on, in `tick` ticks. `BoardReset` if the board has started anew meanwhile."""
        if self.epoch != earlier.epoch:
            raise BoardReset("the board was reset while it counted: count again")
        counted = [field.name for field in fields(self) if field.name not in ("snapshot", "epoch")]
        return replace(self, **{name: getattr(self, name) - getattr(earlier, name) for name in counted})


def indices_of(identity: Identity) -> NDArray[np.intp]:
    """The counters that a board's snapshot consists of."""
    kept = [group for group in PER_CHANNEL if identity.codings or group not in OF_STREAM]
    channels = [counter_index(group, member) for group in kept for member in range(identity.channels)]
    groups = set(PER_PATTERN)
    if not Feature.ACCIDENTALS & identity.features:
        groups.remove(CounterGroup.ACCIDENTALS)
    patterns = [counter_index(group, member) for group in groups for member in range(identity.patterns)]
    single = [counter_index(CounterGroup.GLOBAL, member) for member in GlobalCounter]
    return np.array([*channels, *patterns, *single, *_action_indices(identity)], np.intp)


def _action_indices(identity: Identity) -> list[int]:
    each = [action_counter(what, outcome) for what in ActionCounter for outcome in range(OUTCOMES)]
    return each if identity.pulses else []


class SnapshotAssembler:
    """Puts snapshots together from counter records, one at a time: one not whole when the next begins is lost."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._wanted = indices_of(identity)
        self._size = len(CounterGroup) * GROUP_SIZE
        self.begun: tuple[int, int, int] = (-1, -1, -1)  # epoch, number and tick of the snapshot begun last
        self._whole = False
        self._restart(self.begun)

    def take(self, records: NDArray[np.void]) -> list[Counters]:
        """The snapshots (events.COUNTER records) that became whole with `records`."""
        whole: list[Counters] = []
        edges = np.flatnonzero((np.diff(records["tick"]) != 0) | (np.diff(records["snapshot"]) != 0)) + 1
        for part in np.split(records, edges) if len(records) else ():
            key = (int(part["epoch"][0]), int(part["snapshot"][0]), int(part["tick"][0]))
            if key != self.begun:
                self._restart(key)
            known = part[part["index"] < self._size]
            self._values[known["index"]] = known["value"]
            self._seen[known["index"]] = True
            if not self._whole and self._seen[self._wanted].all():
                self._whole = True
                whole.append(self._counters())
        return whole

    def _restart(self, key: tuple[int, int, int]) -> None:
        self.begun = key
        self._values = np.zeros(self._size, np.uint64)
        self._seen = np.zeros(self._size, np.bool_)
        self._whole = False

    def _counters(self) -> Counters:
        epoch, snapshot, tick = self.begun
        single = {member.name.lower(): int(self._group(CounterGroup.GLOBAL)[member]) for member in GlobalCounter}
        filtered = CounterGroup.CLICKS_FILTERED if self._identity.codings else CounterGroup.CLICKS
        return Counters(
            tick=tick,
            snapshot=snapshot,
            epoch=epoch,
            clicks=self._group(CounterGroup.CLICKS),
            merged=self._group(CounterGroup.MERGED),
            gated=self._group(CounterGroup.GATED),
            clicks_lost=self._group(CounterGroup.CLICKS_LOST),
            clicks_filtered=self._group(filtered),
            heralds=self._group(CounterGroup.HERALDS),
            vetoed=self._group(CounterGroup.VETOED),
            heralds_lost=self._group(CounterGroup.HERALDS_LOST),
            accidentals=self._group(CounterGroup.ACCIDENTALS),
            **single,
            actions_started=self._actions(ActionCounter.STARTED),
            actions_dropped=self._actions(ActionCounter.DROPPED),
            actions_refused=self._actions(ActionCounter.REFUSED),
        )

    def _actions(self, what: ActionCounter) -> Values:
        indices = [action_counter(what, outcome) for outcome in range(OUTCOMES if self._identity.pulses else 0)]
        return self._values[indices]

    def _group(self, group: CounterGroup) -> Values:
        size = GROUP_SIZE
        if group in PER_CHANNEL:
            size = self._identity.channels
        elif group in PER_PATTERN:
            size = self._identity.patterns
        return self._values[counter_index(group) :][:size].copy()
