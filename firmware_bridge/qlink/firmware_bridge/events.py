"""What the board tells, as numpy arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .wire import MAX_CHANNELS

# Ticks are those of a timebase, which starts anew when the board is reset, or when they wrap: then the epoch becomes
# higher. It is the wire's, unwrapped, so that events are compared by (epoch, tick), whatever happens to a board.
CLICK = np.dtype([("tick", "<u8"), ("channel", "u1"), ("pad", "u1", 3), ("epoch", "<u4")])
HERALD = np.dtype(
    [
        ("tick", "<u8"),
        ("attempt", "<u8"),
        ("sequence", "<u8"),  # unwrapped; a decoder's first is as it came
        ("position", "<u4"),
        ("channels", "<u2"),
        ("flags", "<u2"),
        ("ages", "<u2", MAX_CHANNELS),
        ("pattern", "u1"),
        ("outcome", "u1"),
        ("pad", "u1", 2),
        ("epoch", "<u4"),
    ]
)
COUNTER = np.dtype([("tick", "<u8"), ("value", "<u8"), ("snapshot", "<u2"), ("index", "<u2"), ("epoch", "<u4")])
LOSS = np.dtype(
    [("begin", "<u8"), ("end", "<u8"), ("count", "<u8"), ("source", "<u2"), ("pad", "u1", 2), ("epoch", "<u4")]
)
REPLY = np.dtype(
    [
        ("tick", "<u8"),
        ("value", "<u4"),
        ("address", "<u2"),
        ("id", "u1"),
        ("status", "u1"),
        ("epoch", "<u4"),
        ("pad", "u1", 4),
    ]
)
TIME = np.dtype(
    [
        ("tick", "<u8"),
        ("edges", "<u8"),  # of the 10 MHz input so far
        ("number", "<u4"),  # by source, wraps
        ("epoch", "<u4"),
        ("source", "u1"),  # wire.TimeSource
        ("pad", "u1", 7),
    ]
)
EPOCH = np.dtype(
    [
        ("epoch", "<u4"),  # from here on; ticks start anew
        ("before", "<u4"),  # the one that has ended
        ("after_tick", "<u8"),  # last tick seen of it
        ("before_tick", "<u8"),  # first tick of the page of the first frame of the new one
    ]
)
GAP = np.dtype(
    [
        ("frames", "<u8"),  # frames missing by their sequence numbers, modulo 2**32
        ("bytes", "<u8"),  # bytes skipped that belong to no intact frame
        ("after_tick", "<u8"),  # last tick seen before the gap
        ("before_tick", "<u8"),  # first tick of the page of the first intact frame after it
    ]
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events decoded from one piece of the stream; each array in stream order, dtypes as named."""

    clicks: NDArray[np.void]
    heralds: NDArray[np.void]
    counters: NDArray[np.void]
    losses: NDArray[np.void]
    replies: NDArray[np.void]
    gaps: NDArray[np.void]
    times: NDArray[np.void]
    epochs: NDArray[np.void]
