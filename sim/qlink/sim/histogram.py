"""What the board's histogram counts, in plain Python: the authority for which clicks make a pair, and its bin."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from qlink.firmware_bridge.histogram import HistogramSettings


@dataclass(frozen=True, slots=True)
class Expected:
    """`sum(counts) + starts_outside + stops_outside == starts + stops`."""

    counts: list[int]
    starts_outside: int
    stops_outside: int


def histogram(settings: HistogramSettings, bins: int, starts: Sequence[int], stops: Sequence[int]) -> Expected:
    """Count the clicks at these ticks, sorted, into `bins` bins.

    With `starts` moved by `settings.offset`: each stop is paired with the last start that is not after it, each start
    with the last stop before it. So each click is counted once: in the bin of its pair's delay, or as outside.
    """
    starts = [tick + settings.offset for tick in starts]
    counts: Counter[int] = Counter()
    outside = {"starts": 0, "stops": 0}

    def take(kind: str, delay: int | None) -> None:
        place = None if delay is None else delay // settings.width + bins // 2
        if place is None or not 0 <= place < bins:
            outside[kind] += 1
        else:
            counts[place] += 1

    for stop in stops:
        before = bisect_right(starts, stop)
        take("stops", stop - starts[before - 1] if before else None)
    for start in starts:
        before = bisect_left(stops, start)
        take("starts", stops[before - 1] - start if before else None)
    return Expected([counts[place] for place in range(bins)], outside["starts"], outside["stops"])
