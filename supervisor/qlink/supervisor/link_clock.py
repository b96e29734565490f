"""The link's one clock: what time it is, and when a board's tick was. Integer nanoseconds since 1970."""

import time
from collections.abc import Callable
from enum import StrEnum

FS_PER_NS = 1_000_000
DRIFT = 200e-6  # how much two crystals may disagree

Clock = Callable[[], int]


def link_clock(wall: Clock = time.time_ns, steady: Clock = time.monotonic_ns, not_before_ns: int = 0) -> Clock:
    """A clock that starts at the wall's time (`not_before_ns`, if that is later) and never jumps or goes back."""
    offset = max(wall(), not_before_ns) - steady()
    return lambda: steady() + offset


class TimeSource(StrEnum):
    """Where a herald's time comes from."""

    BOARD = "board"  # its ticks: a board's clock runs as ours does
    ARRIVAL = "arrival"  # when it came in: replays and simulations run at a speed of their own


class TickClock:
    """Dates ticks: the moment of a tick is its distance from the tick that came in with the least delay.

    Dates never go backwards and are never later than the arrival. The two crystals may drift by `DRIFT`.
    """

    def __init__(self, tick_fs: int, source: TimeSource) -> None:
        self._tick_fs = tick_fs
        self._source = source
        self._offset_ns: int | None = None  # of the tick counter against the link's clock
        self._adjusted_ns = 0
        self._last_ns = 0

    def observe(self, tick: int, arrival_ns: int) -> None:
        """Take in the newest tick of a batch, and when the batch came in."""
        offset = arrival_ns - self._since_start(tick)
        if self._offset_ns is None or self._source is TimeSource.ARRIVAL:
            self._offset_ns = offset
        else:
            allowed = int((arrival_ns - self._adjusted_ns) * DRIFT)
            self._offset_ns = min(self._offset_ns + max(allowed, 0), offset)
        self._adjusted_ns = arrival_ns

    def time_ns(self, tick: int) -> int:
        """When `tick` was. Raises ValueError before the first `observe`."""
        if self._offset_ns is None:
            raise ValueError("no tick was observed yet")
        self._last_ns = max(self._last_ns, self._since_start(tick) + self._offset_ns)
        return self._last_ns

    def restarted(self, tick: int, arrival_ns: int) -> "TickClock":
        """A clock for the same board after it began to count anew."""
        clock = TickClock(self._tick_fs, self._source)
        clock.observe(tick, arrival_ns)
        clock._last_ns = self._last_ns
        return clock

    def _since_start(self, tick: int) -> int:
        return tick * self._tick_fs // FS_PER_NS
