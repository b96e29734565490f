"""Run the benchmarks, compare them with the peers' figures, and write the table of README.md.

Each benchmark is a program `tools/bench_NAME.py` that prints, with `--json`, as its last line a JSON list of figures:

    [{"name": "decoder, clicks", "value": 210.5, "unit": "Mtags/s", "goal": ">= 100", "note": "8 channels, 1e6/s"}]

`goal` and `note` are optional; `goal` begins with `>=` or `<=` and is in the figure's unit. With `--quick` it takes
a few seconds at most, for a first look.
"""

import argparse
import json
import operator
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TOOLS = Path(__file__).parent
README = TOOLS.parent / "README.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
COMPARE = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    goal: str = ""
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if not self.goal:
            return None
        return bool(COMPARE[self.goal[:2]](self.value, float(self.goal[2:])))


@dataclass(frozen=True, slots=True)
class Peer:
    """What somebody else's program does at the same task, measured on a 2-core machine like ours."""

    who: str
    value: float
    unit: str


# By words that a figure's name has to contain, all of them.
PEERS = {
    ("decoder",): Peer("PTU read, ptufile", 131, "Mtags/s"),
    ("twin", "busy"): Peer("cocotb on Verilator", 0.074, "Mclocks/s"),
    ("twin", "skipping"): Peer("entangler-core in simulation", 0.0015, "Mclocks/s"),
    ("replay",): Peer("PicoQuant snAPI, coincidences", 3.4, "Mtags/s"),
    ("allocations", "batch 1"): Peer("SeQUeNCe, raw pairs, no journal", 980, "1/s"),
}


def main() -> int:
    """Run the benchmarks asked for and print their table; 1 if one fails or a goal is missed."""
    benchmarks = {path.stem.removeprefix("bench_"): path for path in sorted(TOOLS.glob("bench_*.py"))}
    parser = argparse.ArgumentParser(description="Measure what README.md's table shows.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(benchmarks)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a few seconds only, for a first look")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(benchmarks))
    if unknown:
        parser.error(f"there is no tools/bench_{unknown[0]}.py")
    figures = [
        figure
        for name in options.names or benchmarks
        for figure in measure(benchmarks[name], ("--quick",) if options.quick else ())
    ]
    text = "\n".join(table(figures))
    print(text)
    if options.write:
        README.write_text(with_table(README.read_text(), text))
    return 1 if any(figure.reached is False for figure in figures) else 0


def measure(program: Path, options: Iterable[str]) -> list[Figure]:
    """Run one benchmark in a process of its own; its output but for the last line goes to stderr."""
    print(f"{program.name} ...", file=sys.stderr, flush=True)
    command = [sys.executable, str(program), "--json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{program.name} failed with exit code {done.returncode}")
    *talk, last = done.stdout.strip().splitlines()
    print("\n".join(talk), file=sys.stderr)
    return [Figure(**figure) for figure in json.loads(last)]


def peer(figure: Figure) -> str:
    """Say how many times faster than the peer, where there is one of the same unit."""
    words = figure.name.lower()
    for keys, other in PEERS.items():
        if all(re.search(rf"\b{key}\b", words) for key in keys) and other.unit == figure.unit:
            return f"{figure.value / other.value:.3g} x {other.who} ({other.value:g})"
    return ""


def table(figures: Iterable[Figure]) -> Iterable[str]:
    """Write the figures as a Markdown table, with the machine below it."""
    yield "| measured | value | unit | goal | against | conditions |"
    yield "|---|---:|---|---|---|---|"
    for figure in figures:
        missed = " **missed**" if figure.reached is False else ""
        value = f"{figure.value:,.4g}" if figure.value < 1000 else f"{figure.value:,.0f}"
        yield f"| {figure.name} | {value} | {figure.unit} | {figure.goal}{missed} | {peer(figure)} | {figure.note} |"
    yield ""
    yield f"{machine()}, {datetime.now(UTC):%Y-%m-%d}. Peers' figures come from a 2-core machine of the same kind."


def machine() -> str:
    """Name this machine: processor, cores, system, Python."""
    names = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    system = next(
        (line.split("=")[1].strip('"') for line in _lines("/etc/os-release") if line.startswith("PRETTY")), ""
    )
    return f"{(names or [platform.machine()])[0]}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def with_table(readme: str, text: str) -> str:
    """Return the README with the table between its marks replaced."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    sys.exit(main())
