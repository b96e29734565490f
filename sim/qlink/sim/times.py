"""What the gateware notes of another clock's edges, in plain Python: the authority for TIME records."""

from collections.abc import Sequence
from dataclasses import dataclass

from qlink.firmware_bridge.encoding import Time
from qlink.firmware_bridge.wire import TimeSource

Edge = tuple[int, TimeSource]  # tick, input


@dataclass(frozen=True, slots=True)
class Noted:
    """The records due, lost ones not left out, by tick and input; and in how many clocks an input rose twice."""

    records: list[Time]
    merged: int


def note(samples: int, edges: Sequence[Edge], pps: bool, ten_mhz: int) -> Noted:
    """Note rising `edges`, sorted: every PPS one if `pps`, and every `ten_mhz`-th one of the 10 MHz input (0: none)."""
    records: list[Time] = []
    numbers = dict.fromkeys(TimeSource, 0)
    merged, counted = set(), 0
    last: dict[TimeSource, int] = {}
    for tick, source in sorted(edges, key=lambda edge: (edge[0], -edge[1])):  # an edge counts for the pulse at its tick
        clock = tick // samples
        if last.get(source) == clock:
            merged.add(clock)
            continue
        last[source] = clock
        counted += source == TimeSource.TEN_MHZ
        due = pps if source == TimeSource.PPS else ten_mhz and counted % ten_mhz == 0
        if due:
            records.append(Time(tick, source, numbers[source], counted))
            numbers[source] += 1
    return Noted(sorted(records, key=lambda record: (record.tick, record.source)), len(merged))
