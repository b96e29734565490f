"""Build boards, all or those named, and write what came of it into README.md.

What was measured of boards that are not named stays. Ends with 1 when a board misses its timing or cannot be built.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from qlink.gateware.boards.build import SEEDS, BuildReport, TimingMissed, build, emit
from qlink.gateware.boards.profile import Profile
from qlink.gateware.boards.profiles import PROFILES
from qlink.gateware.boards.tools import BuildError

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "README.md"
BEGIN, END = "<!-- boards: begin -->", "<!-- boards: end -->"
HEAD = (
    *("board", "FPGA", "channels x patterns", "tick", "herald latency", "link"),
    *("clock: reaches / needs", "slack", "LUTs", "FFs", "block RAM"),
)
UNKNOWN = "not laid out yet"
MEASURED = 5  # of these columns
VENDOR = "Vivado project, not run"


def row(profile: Profile, measured: Sequence[str]) -> str:
    """Return a board's line."""
    latency = profile.latency
    fixed = (
        *(f"`{profile.name}`", profile.device, f"{len(profile.detectors)} x {profile.patterns}"),
        *(f"{profile.tick_ps / 1e3:.4g} ns", f"{latency.clocks} clocks, {latency.ns:.4g} ns"),
        f"{profile.transport}, {profile.bytes_per_s / 1e6:.3g} MB/s",
    )
    return f"| {' | '.join((*fixed, *measured))} |"


def measured(report: BuildReport) -> tuple[str, ...]:
    worst = report.clocks[0]
    used = {cells.what: f"{cells.used} ({100 * cells.used // cells.available} %)" for cells in report.usage}
    return (
        f"{worst.achieved_mhz:.1f} / {worst.target_mhz:.3g} MHz{'' if report.met else ', **missed**'}",
        f"{worst.slack_ns:.2f} ns",
        *(used.get(what, "with the LUTs") for what in ("LUTs", "FFs", "EBR")),
    )


def unknown(profile: Profile) -> tuple[str, ...]:
    return (VENDOR if profile.family.toolchain is None else UNKNOWN, *[""] * (MEASURED - 1))


def update(text: str, news: Mapping[str, Sequence[str]]) -> str:
    """Return `text` with the table between the marks renewed: what is no news of a board is as it was."""
    before, rest = text.split(BEGIN, 1)
    table, after = rest.split(END, 1)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:3] == "| `"]
    known = {line[0].strip("`"): line[-MEASURED:] for line in cells} | dict(news)
    lines = [row(profile, known.get(name) or unknown(profile)) for name, profile in PROFILES.items()]
    head = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    return before + "\n".join([BEGIN, *head, *lines, END]) + after


def make(profile: Profile, directory: Path, seeds: Sequence[int]) -> tuple[Sequence[str], bool]:
    """Build a board; return what was measured, and whether it is as it should be."""

    def steps(step: str) -> None:
        print(f"{profile.name}: {step}", file=sys.stderr, flush=True)

    if profile.family.toolchain is None:
        emit(profile, directory, steps)
        return unknown(profile), True
    try:
        return measured(build(profile, directory, steps, seeds=seeds)), True
    except TimingMissed as missed:
        print(missed, file=sys.stderr)
        return measured(missed.report), False
    except BuildError as error:
        print(f"{profile.name}: {error}", file=sys.stderr)
        return unknown(profile), False


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/boards", description=__doc__)
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=f"of {', '.join(PROFILES)}; all, if none is named")
    parser.add_argument("--output", type=Path, default=ROOT / "build", help="where the boards' folders are")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds to try at most")
    options = parser.parse_args(arguments)
    if others := set(options.boards) - PROFILES.keys():
        parser.error(f"there is no board {min(others)!r}; it has to be one of {', '.join(PROFILES)}")
    good = True
    for name in options.boards or PROFILES:
        cells, ok = make(PROFILES[name], options.output / name, SEEDS[: options.seeds])
        good &= ok
        TABLE.write_text(update(TABLE.read_text(), {name: cells}))  # at once: the next may take an hour
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
