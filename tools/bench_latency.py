"""From a herald on the wire to a durable grant at an authenticated subscriber, with real processes.

A board process sends heralds as encoded frames over a socket; a service process decodes them, decides, commits to the
journal on disk and publishes; a subscriber process, with CURVE, takes the grant. A herald's tick is the nanosecond of
CLOCK_MONOTONIC at which the board process sent it, so the subscriber knows its age when the grant comes.

    tools/bench_latency.py [--json] [--quick] [--rates 1000 10000] [--runs 5] [--seconds 4]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.socket_transport import open_url
from qlink.supervisor import model
from qlink.supervisor.client import open_client
from qlink.supervisor.effects import Allocated, HeraldPublished
from qlink.supervisor.messages import Create
from qlink.supervisor.service import Outside, Service
from qlink.supervisor.settings import Endpoints, ServiceSettings

ROOT = Path(__file__).parents[1]
WARM_UP_S = 0.5  # of each run, not measured
GOAL_P50_MS, GOAL_P99_MS = 2.0, 10.0
MS = 1e-6  # of a nanosecond


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times in milliseconds."""

    p50: float
    p99: float
    grants: int
    missing: int  # grants that never came


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def fsync_floor(directory: Path, times: int = 300) -> tuple[float, float]:
    """p50 and p99 of appending 4 KiB and fsync, in ms: no durable figure can be below."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(times):
            begun = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - begun) * 1e3)
    return percentile(taken, 0.5), percentile(taken, 0.99)


def serve(home: Path, url: str, rate_hz: float) -> None:
    """The service process."""
    link = model.LinkModel(rate_hz=rate_hz)
    settings = ServiceSettings(
        home=home,
        decisions=model.Settings(link=link),
        endpoints=Endpoints("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", metrics_port=None),
    )
    asyncio.run(Service(settings, Outside(lambda: Board(open_url(urlsplit(url))))).run())


async def subscribe(home: Path, pairs: int, seconds: float) -> Run:
    """The subscriber process: ask for `pairs` pairs, and measure each grant's age."""
    sent_ns: dict[int, int] = {}
    granted_ns: dict[int, int] = {}
    async with open_client(home, patience_s=20) as client:
        news = client.subscribe("herald", "request")
        begun_ns, deadline = 0, asyncio.get_running_loop().time() + seconds + 10
        wish = Create(
            key="bench", number=pairs, max_time_ns=int((seconds + 60) * 1e9), min_fidelity=0.5, measure_directly=True
        )
        asking = asyncio.create_task(client.request(wish))
        async with asyncio.timeout_at(deadline):
            async for item in news:
                now_ns = time.monotonic_ns()
                body = item.body
                if isinstance(body, HeraldPublished):
                    sent_ns[body.pair] = body.tick
                elif isinstance(body, Allocated):
                    begun_ns = begun_ns or now_ns  # first those that were waiting in memory
                    granted_ns[body.pair] = now_ns
                    if now_ns - begun_ns > seconds * 1e9 or body.number == pairs:
                        break
        await asking
    measured = [pair for pair, now_ns in granted_ns.items() if now_ns - begun_ns > WARM_UP_S * 1e9 and pair in sent_ns]
    ages_ms = [(granted_ns[pair] - sent_ns[pair]) * MS for pair in measured]
    missing = sum(1 for pair in sent_ns if pair not in granted_ns and measured[0] < pair < measured[-1])
    return Run(percentile(ages_ms, 0.5), percentile(ages_ms, 0.99), len(ages_ms), missing)


@contextmanager
def process(*arguments: str, ready: str = "") -> Iterator[subprocess.Popen[str]]:
    paths = [str(ROOT / area) for area in ("firmware_bridge", "supervisor")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    started = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment, stdin=subprocess.DEVNULL
    )
    try:
        if ready and started.stdout is not None and ready not in started.stdout.readline():
            raise SystemExit(f"{arguments[0]} did not start")
        yield started
    finally:
        started.terminate()
        started.communicate(timeout=20)


def measure(directory: Path, rate_hz: float, seconds: float, seed: int) -> Run:
    """One run with three processes of its own, and a journal of its own."""
    home, here = directory / f"{rate_hz:g}-{seed}", str(Path(__file__))
    url = f"unix://{directory}/board-{seed}"
    with ExitStack() as stack:
        board = str(ROOT / "tools" / "paper_board.py")
        stack.enter_context(process(board, url, "--rate", f"{rate_hz}", "--seed", f"{seed}", ready="ready"))
        stack.enter_context(process(here, "--serve", str(home), url, "--rates", f"{rate_hz}"))
        wait_for(home / "addresses.json")
        pairs = str(min(int(rate_hz * (seconds + 2)), 100_000))
        subscriber = stack.enter_context(process(here, "--subscribe", str(home), pairs, "--seconds", f"{seconds}"))
        output, _ = subscriber.communicate(timeout=seconds + 60)
    return Run(*json.loads(output))


def wait_for(path: Path, patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"the service did not start: {path} did not appear")
        time.sleep(0.02)


def report(results: dict[float, list[Run]], floor: tuple[float, float]) -> Table:
    table = Table(title="Herald to durable grant at an authenticated subscriber, ms (median of runs)")
    for column in ("heralds/s", "p50", "p99", "p50 of each run", "p99 of each run", "grants", "fsync p50", "fsync p99"):
        table.add_column(column, justify="right")
    for rate_hz, runs in results.items():
        table.add_row(
            f"{rate_hz:,.0f}",
            f"{statistics.median(run.p50 for run in runs):.2f}",
            f"{statistics.median(run.p99 for run in runs):.2f}",
            " ".join(f"{run.p50:.2f}" for run in runs),
            " ".join(f"{run.p99:.2f}" for run in runs),
            f"{sum(run.grants for run in runs):,}",
            *(f"{each:.2f}" for each in floor),
        )
    return table


def figures(results: dict[float, list[Run]], floor: tuple[float, float]) -> list[dict[str, object]]:
    note = f"median of {len(next(iter(results.values())))} runs; fsync floor p50 {floor[0]:.2f}, p99 {floor[1]:.2f} ms"
    return [
        {
            "name": f"herald to durable grant, {name}, {rate_hz / 1000:g} k/s",
            "value": round(statistics.median(getattr(run, name) for run in runs), 3),
            "unit": "ms",
            "goal": f"<= {goal:g}",
            "note": note,
        }
        for rate_hz, runs in results.items()
        for name, goal in (("p50", GOAL_P50_MS), ("p99", GOAL_P99_MS))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[1_000.0, 10_000.0], help="heralds per second")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of heralds in a run")
    parser.add_argument("--quick", action="store_true", help="one short run of each rate")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, for tools/bench")
    parser.add_argument("--directory", type=Path, default=ROOT, help="on the disk that is to be measured")
    parser.add_argument("--serve", nargs=2, metavar=("HOME", "URL"), help=argparse.SUPPRESS)
    parser.add_argument("--subscribe", nargs=2, metavar=("HOME", "PAIRS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), options.serve[1], options.rates[0])
        return
    if options.subscribe:
        run = asyncio.run(subscribe(Path(options.subscribe[0]), int(options.subscribe[1]), options.seconds))
        print(json.dumps([run.p50, run.p99, run.grants, run.missing]))
        return
    runs, seconds = (1, 1.5) if options.quick else (options.runs, options.seconds)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=options.directory) as name:
        directory = Path(name)
        floor = fsync_floor(directory)
        results = {
            rate_hz: [measure(directory, rate_hz, seconds, seed) for seed in range(1, runs + 1)]
            for rate_hz in options.rates
        }
    if options.json:
        print(json.dumps(figures(results, floor)))
    else:
        Console().print(report(results, floor))


if __name__ == "__main__":
    main()
