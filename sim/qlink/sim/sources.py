"""Where clicks come from: streams of stretches, each with all clicks up to a tick."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlink.firmware_bridge.events import CLICK

REFERENCE = 255  # the channel number of a reference edge
PPS = 254  # of one of the input that has a pulse a second
TEN_MHZ = 253  # and of the 10 MHz input
INPUTS = (REFERENCE, PPS, TEN_MHZ)  # those that are no detector
CHANNELS = 256
_LONG_AGO = -(2**62)

Clicks = NDArray[np.void]  # dtype CLICK
Ticks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """All clicks (sorted by tick) from the end of the stretch before up to `end`, exclusive."""

    clicks: Clicks
    end: int


Source = Iterator[Stretch]


def clicks_of(ticks: NDArray[np.integer], channels: NDArray[np.integer] | int) -> Clicks:
    """Return an array of clicks, sorted by tick; clicks of one tick by channel."""
    clicks = np.zeros(len(ticks), CLICK)
    clicks["tick"], clicks["channel"] = ticks, channels
    return clicks[np.lexsort((clicks["channel"], clicks["tick"]))]


def idle(stretch: int = 200_000_000) -> Source:
    """No clicks, for ever; `stretch` ticks at a time."""
    end = 0
    while True:
        end += stretch
        yield Stretch(np.empty(0, CLICK), end)


def recorded(clicks: Clicks, size: int = 1 << 17) -> Source:
    """Clicks that are there already (sorted by tick), about `size` at a time."""
    start = 0
    while start < len(clicks):
        last = int(clicks["tick"][min(start + size, len(clicks)) - 1])
        stop = int(np.searchsorted(clicks["tick"], last, side="right"))
        yield Stretch(clicks[start:stop], last + 1)
        start = stop


def limited(source: Iterable[Stretch], end: int) -> Source:
    """Return `source` up to the tick `end`, exclusive."""
    for stretch in source:
        if stretch.end >= end:
            yield Stretch(stretch.clicks[stretch.clicks["tick"] < end], end)
            return
        yield stretch


def detected(raw: Iterable[Stretch], dead: int) -> Source:
    """Sort clicks, hold back those that lie beyond their stretch, and drop those that the dead time swallows.

    After a click a channel is blind for `dead` ticks; a click meanwhile does not prolong that. Other
    inputs never are.
    """
    held, last = np.empty(0, CLICK), np.full(CHANNELS, _LONG_AGO, np.int64)
    for stretch in raw:
        clicks = np.concatenate([held, stretch.clicks])
        clicks = clicks[np.lexsort((clicks["channel"], clicks["tick"]))]
        split = int(np.searchsorted(clicks["tick"], stretch.end))
        held = clicks[split:]
        yield Stretch(_seen(clicks[:split], dead, last), stretch.end)


def _seen(clicks: Clicks, dead: int, last: NDArray[np.int64]) -> Clicks:
    seen = np.ones(len(clicks), bool)
    for channel in np.unique(clicks["channel"]):
        if channel in INPUTS:
            continue
        where = np.flatnonzero(clicks["channel"] == channel)
        ticks = clicks["tick"][where].astype(np.int64)
        seen[where] = awake(ticks, dead, int(last[channel]))
        last[channel] = ticks[seen[where]][-1] if seen[where].any() else last[channel]
    return clicks[seen]


def awake(ticks: Ticks, dead: int, last: int = _LONG_AGO) -> NDArray[np.bool_]:
    """Say which clicks of one channel a detector with a dead time registers; `last` is the one registered before."""
    seen = np.ones(len(ticks), bool)
    for close in np.flatnonzero(np.diff(ticks, prepend=last) < dead):  # all others are seen for sure
        if close and seen[close - 1]:
            last = int(ticks[close - 1])
        seen[close] = ticks[close] - last >= dead
    return seen
