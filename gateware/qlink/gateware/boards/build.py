"""From a board profile to a bitstream, with the PyPI toolchain alone."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..top import uart_top
from .board_top import PIN_CLOCKS, BoardTop
from .profile import Profile
from .report import ClockTiming, Usage, clock_timings, usage, worst_paths
from .report import Path as TimingPath
from .tools import BuildError, Tools, find_tools, run_tool

__all__ = ["SEEDS", "BuildReport", "Latency", "TimingMissed", "build", "synthesise"]

NAME = "qlink"
SEEDS = (1, 2, 3, 4)
PATIENCE_S = 3600  # for one seed; the whole engine takes a quarter of an hour on a free core

# No word is used that was read in the clock in which it was written. Told so, Yosys leaves out the logic that would
# make such a word the old one, at the slow end of every block RAM. `tests/gateware/test_memories.py` holds us to it.
COLLISIONS_DO_NOT_MATTER = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i"

Progress = Callable[[str], None]
CoreFactory = Callable[[Profile], Any]


def engine_with_uart(profile: Profile) -> Any:
    """Return the core that a board gets: the timing engine behind a UART."""
    return uart_top(profile.parameters, profile.baud)


@dataclass(frozen=True, slots=True)
class Latency:
    """From the clock in which a detector's edge is sampled to the edge at the herald pin; pads and wires not counted.

    `engine_clocks` is what the register `herald_latency` says: samples in the logic to herald in the logic.
    Patterns with forbidden channels are decided a window later.
    """

    engine_clocks: int
    pin_clocks: int
    clock_ns: float

    @property
    def clocks(self) -> int:
        return self.engine_clocks + self.pin_clocks

    @property
    def ns(self) -> float:
        return self.clocks * self.clock_ns


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
    core: CoreFactory = engine_with_uart,
    patience_s: float = PATIENCE_S,
) -> BuildReport:
    """Make a bitstream for `profile` in `directory`, and return what became of it.

    Synthesis runs once, place and route with one seed after the other until the timing is met; the same sources and
    seed give the same bitstream. The router tries for `patience_s` to make every way of a seed short enough; then it is
    routed as it comes, to tell what is too long. Raises `TimingMissed` when no seed meets it, `ToolMissing` and
    `ToolFailed`.
    """
    tools = find_tools()
    synthesise(profile, directory, progress, core=core)
    reports = []
    for seed in seeds:
        progress(f"placing and routing, seed {seed}")
        reports.append(_lay_out(profile, directory, seed, tools, patience_s))
        if reports[-1].met:
            progress("packing the bitstream")
            _pack(directory, tools)
            return reports[-1]
        worst = reports[-1].clocks[0]
        progress(f"seed {seed}: {worst.clock} reaches {worst.achieved_mhz:.1f} of {worst.target_mhz:.1f} MHz")
    raise TimingMissed(max(reports, key=lambda report: report.clocks[0].slack_ns), seeds)


def synthesise(
    profile: Profile, directory: Path, progress: Progress = print, *, core: CoreFactory = engine_with_uart
) -> None:
    """Elaborate and synthesise into `directory`, up to the netlist that place and route starts from."""
    tools = find_tools()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{NAME}.bit").unlink(missing_ok=True)  # an older one would be mistaken for this one's
    progress("elaborating")
    top = BoardTop(profile, core(profile))
    profile.platform().prepare(top, NAME, script_after_read=COLLISIONS_DO_NOT_MATTER).extract(directory)
    progress("synthesising")
    run_tool(tools.yosys, ["-q", "-l", f"{NAME}.rpt", f"{NAME}.ys"], directory)


def _lay_out(profile: Profile, directory: Path, seed: int, tools: Tools, patience_s: float) -> BuildReport:
    platform = profile.platform()
    arguments = [
        *("--quiet", "--log", f"{NAME}.tim"),
        platform._nextpnr_device_options[platform.device],
        *("--package", platform._nextpnr_package_options[platform.package].upper()),
        *("--speed", platform.speed),
        *("--json", f"{NAME}.json", "--lpf", f"{NAME}.lpf", "--textcfg", f"{NAME}.config"),
        *("--seed", str(seed)),
        *("--placer-heap-timingweight", "30", "--placer-heap-critexp", "4"),
        *("--router", "router2"),
        *("--report", "report.json", "--detailed-timing-report", "--timing-allow-fail"),  # judged by us
    ]
    try:
        run_tool(tools.nextpnr, [*arguments, "--tmg-ripup"], directory, patience_s)  # ends with every way short enough
    except TimeoutError:
        run_tool(tools.nextpnr, arguments, directory)
    report = json.loads((directory / "report.json").read_text())
    return BuildReport(
        board=profile.name,
        bitstream=directory / f"{NAME}.bit",
        seed=seed,
        clocks=clock_timings(report),
        usage=usage(report),
        paths=worst_paths(report),
        latency=Latency(profile.parameters.herald_latency, PIN_CLOCKS, profile.clock_ns),
    )


def _pack(directory: Path, tools: Tools) -> None:
    run_tool(tools.ecppack, ["--input", f"{NAME}.config", "--bit", f"{NAME}.bit", "--compress"], directory)
