"""What the board tells, as numpy arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .wire import MAX_CHANNELS

CLICK = np.dtype([("tick", "<u8"), ("channel", "u1"), ("pad", "u1", 7)])
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
        ("epoch", "u1"),
        ("pad", "u1", 5),
    ]
)
COUNTER = np.dtype([("tick", "<u8"), ("value", "<u8"), ("snapshot", "<u2"), ("index", "<u2"), ("pad", "u1", 4)])
LOSS = np.dtype([("begin", "<u8"), ("end", "<u8"), ("count", "<u8"), ("source", "<u2"), ("pad", "u1", 6)])
REPLY = np.dtype([("tick", "<u8"), ("value", "<u4"), ("address", "<u2"), ("id", "u1"), ("status", "u1")])
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
