"""How fast the twin runs: computing every clock, skipping idle ones, and on a recording made in a lab."""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.wire import Operation
from qlink.gateware.parameters import Parameters
from qlink.sim.replay import replay
from qlink.sim.sources import Clicks, clicks_of
from qlink.sim.twin import Link, Twin, open_twin

RUNS = 5
DATA = Path(os.environ.get("QLINK_DATA", Path(__file__).parents[1] / "../shared/data"))
PAIRS = ((0, 4), (1, 5), (2, 6), (3, 7))
BEGIN_TICK = 16_000  # until then the board is set up
PS_PER_S = 1e12

Figure = dict[str, str | float]


def started(link: Link) -> Twin:
    """A twin that matches four pairs of channels and streams all clicks."""
    writes = [("stream_channels", 0, 255)]
    for number, (first, second) in enumerate(PAIRS):
        writes += [("pattern_channels", number, 1 << first | 1 << second), ("pattern_decision", number, 4)]
    writes.append(("control", 0, 1))
    twin = open_twin(Parameters(), link)
    requests = (encode_request(Operation.WRITE, 1, BY_NAME[name].address + i, value) for name, i, value in writes)
    twin.run(BEGIN_TICK // 4, requests=b"".join(requests))
    return twin


def random_clicks(ticks: int, mean: float) -> Clicks:
    """Clicks on 8 channels, `mean` ticks apart, over about `ticks`."""
    rng = np.random.default_rng(1)
    count = int(ticks / mean)
    return clicks_of(BEGIN_TICK + np.cumsum(rng.geometric(1 / mean, count)), rng.integers(0, 8, count))


def clocks_per_s(clocks: int, mean: float, link: Link) -> float:
    """Million system clocks a second of this thread's CPU time: other programs of the machine are not in it."""
    twin, clicks = started(link), random_clicks(4 * clocks, mean)
    begin = time.thread_time()
    twin.run(clocks, clicks)
    return clocks / (time.thread_time() - begin) / 1e6


def median(run: Callable[[], float], runs: int) -> float:
    return statistics.median(run() for _ in range(runs))


def measure(runs: int, clocks: int) -> list[Figure]:
    every = Link(skipping=False)
    cases: list[tuple[str, Callable[[], float], str]] = [
        ("twin, busy", lambda: clocks_per_s(clocks, 40, every), "a click every 10 clocks, each clock computed"),
        ("twin, skipping, 1e6 clicks/s", lambda: clocks_per_s(20 * clocks, 800, Link()), "at 200 MHz"),
        ("twin, skipping, 1e4 clicks/s", lambda: clocks_per_s(2000 * clocks, 80_000, Link()), "at 200 MHz"),
    ]
    figures: list[Figure] = [
        {"name": name, "value": round(median(run, runs), 3), "unit": "Mclocks/s", "note": note}
        for name, run, note in cases
    ]
    return figures + measure_replay(runs)


def measure_replay(runs: int) -> list[Figure]:
    """A recording with four patterns, as `qlinkctl replay` does it: wall time, all processors."""
    path, times = DATA / "spdc/spdc_pairs.txt", []
    if not path.exists():
        return []
    for _ in range(runs):
        begin = time.monotonic()
        result = replay(path, 260, PAIRS, 4)
        times.append(time.monotonic() - begin)
    seconds, tags = statistics.median(times), sum(result.singles)
    clocks = result.duration_s * PS_PER_S / 260 / 4
    note = f"{tags:,} clicks in {result.duration_s:.3f} s of lab time, 4 patterns, {os.cpu_count()} processors"
    return [
        {
            "name": "twin, skipping, recording",
            "value": round(clocks / seconds / 1e6, 1),
            "unit": "Mclocks/s",
            "note": note,
        },
        {"name": "replay, recording", "value": round(seconds, 2), "unit": "s", "goal": "<= 10", "note": note},
        {
            "name": "replay, clicks",
            "value": round(tags / seconds / 1e6, 3),
            "unit": "Mtags/s",
            "note": "through the RTL",
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list of figures as the last line")
    parser.add_argument("--quick", action="store_true", help="less data, for a first look")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    with console.status("Building the twin.") as status:
        open_twin(Parameters(), progress=status.update)
    figures = measure(1 if options.quick else RUNS, 20_000 if options.quick else 200_000)
    if options.json:
        print(json.dumps(figures))
        return
    table = Table("what", "value", "unit", "goal", "note", title="twin, median of runs")
    for figure in figures:
        table.add_row(*(str(figure.get(key, "")) for key in ("name", "value", "unit", "goal", "note")))
    console.print(table)


if __name__ == "__main__":
    main()
