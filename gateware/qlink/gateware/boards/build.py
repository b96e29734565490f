"""From a board profile to a bitstream, with the PyPI toolchain alone."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..top import ft245_top, uart_top
from .board_top import BoardTop
from .family import NAME, Toolchain
from .profile import Latency, Profile
from .report import ClockTiming, Usage, clock_timings, usage, worst_paths
from .report import Path as TimingPath
from .tools import BuildError, Tools, find_tools, run_tool

__all__ = ["SEEDS", "BuildReport", "Latency", "TimingMissed", "VendorProject", "build", "emit", "synthesise"]

SEEDS = (1, 2, 3, 4)
PATIENCE_S = 3600  # for one seed; the whole engine takes a quarter of an hour on a free core

# No word is used that was read in the clock in which it was written. Told so, Yosys leaves out the logic that would
# make such a word the old one, at the slow end of every block RAM. `tests/gateware/test_memories.py` holds the engine
# to it; a link's memory has two clocks, of which Yosys could not say so.
COLLISIONS_DO_NOT_MATTER = "setparam -set COLLISION_X_MASK 1'1 *.engine*/t:$memrd_v2 *.engine*/r:CLK_ENABLE=1 %i"

Progress = Callable[[str], None]
CoreFactory = Callable[[Profile], Any]


def engine_with_link(profile: Profile) -> Any:
    """Return the core that a board gets: the timing engine behind its UART or FIFO."""
    return ft245_top(profile.parameters) if profile.fifo else uart_top(profile.parameters, profile.baud)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """A layout that was made. `paths` are the slowest ways of each clock."""

    board: str
    bitstream: Path
    seed: int
    clocks: tuple[ClockTiming, ...]
    usage: tuple[Usage, ...]
    paths: tuple[TimingPath, ...]
    latency: Latency

    @property
    def met(self) -> bool:
        return all(clock.met for clock in self.clocks)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values only, for JSON."""
        clocks = [asdict(clock) | {"slack_ns": round(clock.slack_ns, 3), "met": clock.met} for clock in self.clocks]
        latency = asdict(self.latency) | {"clocks": self.latency.clocks, "ns": self.latency.ns}
        return {
            "board": self.board,
            "bitstream": str(self.bitstream),
            "seed": self.seed,
            "timing_met": self.met,
            "clocks": clocks,
            "usage": [asdict(cells) for cells in self.usage],
            "paths": [asdict(path) for path in self.paths],
            "herald_latency": latency,
        }


class TimingMissed(BuildError):
    """No seed met the clock. `report` is the best layout's; its bitstream must not be flashed."""

    def __init__(self, report: BuildReport, seeds: Sequence[int]) -> None:
        worst = report.clocks[0]
        slowest = next(path for path in report.paths if path.clock == worst.clock)
        tried = ", ".join(map(str, seeds))
        super().__init__(
            f"{report.board} misses its timing: {worst.clock} reaches {worst.achieved_mhz:.1f} of "
            f"{worst.target_mhz:.1f} MHz at best (seeds {tried}); the slowest path takes {slowest}"
        )
        self.report = report


def build(
    profile: Profile,
    directory: Path,
    progress: Progress = print,
    *,
    seeds: Sequence[int] = SEEDS,
    core: CoreFactory = engine_with_link,
    patience_s: float = PATIENCE_S,
) -> BuildReport:
    """Make a bitstream for `profile` in `directory`, and return what became of it.

    Synthesis runs once, place and route with one seed after the other until the timing is met; the same sources and
    seed give the same bitstream. A seed that is not routed within `patience_s` is given up: on a full chip the router
    may go on for ever. Raises `TimingMissed` when no seed meets it, `BuildError` when the chip is too small or none is
    routed, `ToolMissing` and `ToolFailed`.
    """
    toolchain = _toolchain(profile)
    tools = find_tools(toolchain)
    synthesise(profile, directory, progress, core=core)
    _check_room(profile, directory, tools)
    reports = []
    for seed in seeds:
        progress(f"placing and routing, seed {seed}")
        try:
            reports.append(_lay_out(profile, directory, seed, tools, patience_s))
        except TimeoutError as error:
            progress(f"seed {seed}: {error}")
            continue
        if reports[-1].met:
            progress("packing the bitstream")
            run_tool(tools.pack, list(toolchain.pack_arguments), directory)
            return reports[-1]
        worst = reports[-1].clocks[0]
        progress(f"seed {seed}: {worst.clock} reaches {worst.achieved_mhz:.1f} of {worst.target_mhz:.1f} MHz")
    if not reports:
        raise BuildError(f"{profile.name} cannot be routed: leave more out of it, by `sizes` in its profile")
    raise TimingMissed(max(reports, key=lambda report: report.clocks[0].slack_ns), seeds)


def synthesise(
    profile: Profile, directory: Path, progress: Progress = print, *, core: CoreFactory = engine_with_link
) -> None:
    """Elaborate and synthesise into `directory`, up to the netlist that place and route starts from."""
    toolchain = _toolchain(profile)
    tools = find_tools(toolchain)
    directory.mkdir(parents=True, exist_ok=True)
    bitstream(profile, directory).unlink(missing_ok=True)  # an older one would be mistaken for this one's
    progress("elaborating")
    top = BoardTop(profile, core(profile))
    overrides = {"script_after_read": COLLISIONS_DO_NOT_MATTER, **toolchain.synthesis}
    plan = profile.platform().prepare(top, NAME, **overrides)
    plan.files[f"{NAME}.il"] = without_brackets(plan.files[f"{NAME}.il"])
    plan.extract(directory)
    progress("synthesising")
    run_tool(tools.yosys, ["-q", "-l", f"{NAME}.rpt", f"{NAME}.ys"], directory)


def without_brackets(rtlil: str) -> str:
    """Have elements of arrays named `ages.1`, not `ages[1]`: Yosys's ABC9 would take that for bit 1 of `ages`."""
    return re.sub(r"\\\S+", lambda name: name[0].replace("[", ".").replace("]", ""), rtlil)


@dataclass(frozen=True, slots=True)
class VendorProject:
    """What the vendor's toolchain makes a bitstream of: `script` does so when run in `directory`."""

    board: str
    directory: Path
    script: Path
    command: str
    latency: Latency

    def as_dict(self) -> dict[str, Any]:
        """Return plain values only, for JSON."""
        latency = asdict(self.latency) | {"clocks": self.latency.clocks, "ns": self.latency.ns}
        return {
            "board": self.board,
            "directory": str(self.directory),
            "script": str(self.script),
            "command": self.command,
            "timing_met": None,
            "herald_latency": latency,
        }


def emit(
    profile: Profile, directory: Path, progress: Progress = print, *, core: CoreFactory = engine_with_link
) -> VendorProject:
    """Write Verilog, constraints and script for the vendor's toolchain, which is not run: its timing is not known."""
    directory.mkdir(parents=True, exist_ok=True)
    progress("elaborating")
    profile.platform().prepare(BoardTop(profile, core(profile)), NAME).extract(directory)
    script = directory / f"{NAME}.tcl"
    return VendorProject(profile.name, directory, script, f"vivado -mode batch -source {script.name}", profile.latency)


def bitstream(profile: Profile, directory: Path) -> Path:
    """Return where `build` leaves the bitstream."""
    return directory / f"{NAME}.{profile.family.toolchain.extension if profile.family.toolchain else 'bit'}"


def _toolchain(profile: Profile) -> Toolchain:
    if profile.family.toolchain is None:
        raise BuildError(f"no free toolchain lays out an {profile.family.name}: {profile.name} has a vendor project")
    return profile.family.toolchain


def _check_room(profile: Profile, directory: Path, tools: Tools) -> None:
    """Refuse what takes more cells than there are: the placer would look for them for ever."""
    report = _run_nextpnr(profile, directory, tools, ["--pack-only"])
    if full := [cells for cells in usage(report, _toolchain(profile).cells) if cells.used > cells.available]:
        lack = ", ".join(f"{cells.used} of {cells.available} {cells.what}" for cells in full)
        raise BuildError(f"{profile.name} takes {lack}: leave more out of it, by `sizes` in its profile")


def _lay_out(profile: Profile, directory: Path, seed: int, tools: Tools, patience_s: float) -> BuildReport:
    options = [
        *_toolchain(profile).layout_arguments,
        *("--seed", str(seed), "--detailed-timing-report", "--timing-allow-fail"),  # judged by us
    ]
    report = _run_nextpnr(profile, directory, tools, options, patience_s)
    return BuildReport(
        board=profile.name,
        bitstream=bitstream(profile, directory),
        seed=seed,
        clocks=clock_timings(report),
        usage=usage(report, _toolchain(profile).cells),
        paths=worst_paths(report),
        latency=profile.latency,
    )


def _run_nextpnr(
    profile: Profile, directory: Path, tools: Tools, options: Sequence[str], limit_s: float | None = None
) -> Mapping[str, Any]:
    """Run nextpnr on the netlist in `directory`; return its report."""
    arguments = [
        *("--quiet", "--log", f"{NAME}.tim", "--json", f"{NAME}.json", "--report", "report.json"),
        *_toolchain(profile).place_arguments(profile.platform()),
        *options,
    ]
    run_tool(tools.nextpnr, arguments, directory, limit_s)
    report: dict[str, Any] = json.loads((directory / "report.json").read_text())
    return report
