"""Durable allocations per second: a herald decided on, given to a request and committed, at batches of 1, 10 and 100.

One row and one sync per batch, as in the service. Beside each figure stands the floor that the disk sets (one append
and fdatasync per batch, nothing else), and what the same does where a sync costs nothing (tmpfs): that is our share.

    tools/bench_allocations.py [--json] [--quick] [--runs 5] [--directory .] [--keep]
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from qlink.supervisor.core import Core
from qlink.supervisor.effects import Allocated
from qlink.supervisor.events import Confirmed, Event, Heralded, Request, Requested
from qlink.supervisor.journal import Journal
from qlink.supervisor.model import LinkModel, Settings
from qlink.supervisor.recovery import recover

GOALS = {1: 4_000, 10: 30_000, 100: 100_000}
MEMORY = Path("/dev/shm")
NS_PER_HERALD = 10_000
PER_REQUEST = 100  # pairs
SETTINGS = Settings(link=LinkModel(rate_hz=1e9 / NS_PER_HERALD))


@dataclass(frozen=True, slots=True)
class Figure:
    batch: int
    durable: float  # allocations per second, on the disk
    in_memory: float | None  # the same on tmpfs
    commits: float  # per second, that the disk allows
    goal: int

    @property
    def floor(self) -> float:
        """Allocations per second that the disk would allow if deciding and encoding cost nothing."""
        return self.commits * self.batch


def events(keep: bool) -> Iterator[Event]:
    """Heralds that each find a request waiting, from three tenants; with `keep` each pair is confirmed as used."""
    number = 0
    while True:
        tenant, time_ns = f"tenant{number // PER_REQUEST % 3}", number * NS_PER_HERALD
        if number % PER_REQUEST == 0:
            wish = Request(f"{number}", tenant, PER_REQUEST, 0.85, 10**10, measure_directly=not keep)
            yield Requested(time_ns, wish)
        number += 1
        yield Heralded(time_ns, number, number, number * 8, 0, number % 4, 0)
        if keep:
            yield Confirmed(time_ns, tenant, number, consumed=True)


def batches(size: int, keep: bool) -> Iterator[list[Event]]:
    """Batches of `size` heralds, with what belongs to them."""
    told = events(keep)
    while True:
        batch: list[Event] = []
        heralds = 0
        while heralds < size:
            batch.append(next(told))
            heralds += isinstance(batch[-1], Heralded)
        yield batch


def allocations_per_second(directory: Path, batch: int, count: int, keep: bool) -> float:
    """Time from the first event to the last commit, with a fresh journal."""
    with tempfile.TemporaryDirectory(dir=directory) as home:
        journal = Journal(Path(home) / "bench.journal")
        core = recover(journal, SETTINGS)
        work = list(islice(batches(batch, keep), count // batch))
        begun = time.perf_counter()
        given = sum(commit(journal, core, told) for told in work)
        seconds = time.perf_counter() - begun
        journal.close()
    if given != batch * (count // batch):
        raise SystemExit(f"{given} of {count} heralds were allocated: the bench does not measure what it says")
    return given / seconds


def commit(journal: Journal, core: Core, told: list[Event]) -> int:
    """Decide and commit one batch; how many pairs were allocated."""
    decided = [(event, core.step(event)) for event in told]
    journal.append(decided)
    return sum(type(effect) is Allocated for _, effects in decided for effect in effects)


def commits_per_second(directory: Path, times: int) -> float:
    """How many appends of 4 KiB with fdatasync the disk takes, one after the other."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        begun = time.perf_counter()
        for _ in range(times):
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
        return times / (time.perf_counter() - begun)


def measure(batch: int, options: argparse.Namespace) -> Figure:
    seconds = 0.3 if options.quick else 2.0
    runs = 2 if options.quick else options.runs
    commits = statistics.median(
        commits_per_second(options.directory, 100 if options.quick else 300) for _ in range(runs)
    )
    count = batch * max(20, int(seconds * min(commits, GOALS[batch] / batch)))
    in_memory_count = batch * max(20, int(seconds * GOALS[batch] / batch))

    def median(directory: Path, heralds: int) -> float:
        return statistics.median(allocations_per_second(directory, batch, heralds, options.keep) for _ in range(runs))

    in_memory = median(MEMORY, in_memory_count) if MEMORY.is_dir() else None
    return Figure(batch, median(options.directory, count), in_memory, commits, GOALS[batch])


def as_table(figures: list[Figure]) -> Table:
    table = Table(title="durable allocations per second, median of the runs")
    for column in ("batch", "on disk", "goal", "disk's floor", "sync (ms)", "on tmpfs", "us each on tmpfs"):
        table.add_column(column, justify="right")
    for figure in figures:
        colour = "green" if figure.durable >= figure.goal else "red"
        own = figure.in_memory
        table.add_row(
            f"{figure.batch}",
            f"[{colour}]{figure.durable:,.0f}[/]",
            f">= {figure.goal:,}",
            f"{figure.floor:,.0f}",
            f"{1e3 / figure.commits:.2f}",
            f"{own:,.0f}" if own else "",
            f"{1e6 / own:.1f}" if own else "",
        )
    return table


def as_json(figures: list[Figure], keep: bool) -> str:
    """The figures in the form of `tools/performance.py`."""
    what = "each pair kept and confirmed" if keep else "measured directly"
    rows: list[dict[str, object]] = []
    for figure in figures:
        floor = f"{what}; the disk alone, {1e3 / figure.commits:.2f} ms a sync, allows {figure.floor:,.0f}"
        name, unit = f"allocations, batch {figure.batch}", "1/s"
        rows.append({"name": name, "value": figure.durable, "unit": unit, "goal": f">= {figure.goal}", "note": floor})
        if figure.in_memory:
            rows.append({"name": f"{name}, on tmpfs", "value": figure.in_memory, "unit": unit, "note": what})
    return json.dumps(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure durable allocations per second.")
    parser.add_argument("--json", action="store_true", help="print the figures as a JSON list")
    parser.add_argument("--quick", action="store_true", help="a few seconds only, for a first look")
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken (default 5)")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="on the disk to measure (default: here)")
    parser.add_argument("--keep", action="store_true", help="pairs are kept, and each is confirmed as used by an event")
    options = parser.parse_args()
    figures = [measure(batch, options) for batch in GOALS]
    if options.json:
        print(as_json(figures, options.keep))
    else:
        Console().print(as_table(figures))


if __name__ == "__main__":
    main()
