"""Which clicks a board streams, in plain Python: the authority for `stream_channels`, `shares` and `near_heralds`."""

from bisect import bisect_left
from collections.abc import Sequence

from qlink.firmware_bridge.configuration import Configuration

from .coincidence import Edge


def streamed(configuration: Configuration, clicks: Sequence[Edge], heralds: Sequence[int]) -> list[Edge]:
    """Return those of the `clicks` (sorted) that are streamed; `heralds` are the ticks of completing clicks, sorted.

    Of a channel with a share, the first click and then one in so many. Of a channel in `near_heralds`, those that are
    at most `vicinity` ticks before or after a herald, delivered or lost. Of the others all, or none.
    """
    seen: dict[int, int] = {}
    kept: list[Edge] = []
    for tick, channel in clicks:
        number = seen.get(channel, 0)
        seen[channel] = number + 1
        if configuration.stream_channels is not None and channel not in configuration.stream_channels:
            continue
        if number % configuration.shares.get(channel, 1):
            continue
        if channel in configuration.near_heralds and not _near(heralds, tick, configuration.vicinity):
            continue
        kept.append((tick, channel))
    return kept


def _near(heralds: Sequence[int], tick: int, vicinity: int) -> bool:
    place = bisect_left(heralds, tick - vicinity)
    return place < len(heralds) and heralds[place] <= tick + vicinity
