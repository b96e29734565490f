"""What nextpnr says of a finished layout: its `--report` JSON, parsed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

__all__ = ["ClockTiming", "Path", "Usage", "clock_timings", "usage", "worst_paths"]


@dataclass(frozen=True, slots=True)
class ClockTiming:
    """How fast a clock may go, and how fast it has to."""

    clock: str
    achieved_mhz: float
    target_mhz: float

    @property
    def met(self) -> bool:
        return self.achieved_mhz >= self.target_mhz

    @property
    def slack_ns(self) -> float:
        """Time to spare in a period; negative where the target is missed."""
        return 1e3 / self.target_mhz - 1e3 / self.achieved_mhz


@dataclass(frozen=True, slots=True)
class Usage:
    """Cells taken, of those that there are."""

    what: str
    used: int
    available: int


@dataclass(frozen=True, slots=True)
class Path:
    """A slow way within one clock domain: its end, its delay in ns without set-up, and what it passes where known."""

    clock: str
    end: str
    delay_ns: float
    nets: tuple[str, ...] = ()

    def __str__(self) -> str:
        way = " -> ".join(self.nets) + " -> " if self.nets else ""
        return f"{self.delay_ns:.2f} ns in {self.clock}: {way}{self.end}"


def clock_timings(report: Mapping[str, Any]) -> tuple[ClockTiming, ...]:
    """Return every clock that has logic, the tightest first."""
    timings = (
        ClockTiming(_clock(name), figures["achieved"], figures["constraint"])
        for name, figures in report["fmax"].items()
    )
    return tuple(sorted(timings, key=lambda timing: timing.slack_ns))


def usage(report: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Usage, ...]:
    """Return LUTs, FFs and RAMs, by `names`; the others say nothing about how full the chip is."""
    cells = report["utilization"]
    return tuple(Usage(what, cells[cell]["used"], cells[cell]["available"]) for what, cell in names.items())


def worst_paths(report: Mapping[str, Any], count: int = 5) -> tuple[Path, ...]:
    """Return the slowest ways of each clock: first the critical one with its nets, then other ends, slowest first.

    nextpnr reports ends other than the critical one only with `--detailed-timing-report`.
    """
    critical = [_critical(path) for path in report["critical_paths"] if path["from"] == path["to"]]
    known = {(path.clock, path.end) for path in critical}
    ends = {(path.clock, path.end): path for path in sorted(_ends(report), key=lambda path: path.delay_ns)}
    others = sorted((path for key, path in ends.items() if key not in known), key=lambda path: -path.delay_ns)
    result: list[Path] = []
    for first in critical:
        result += [first, *[path for path in others if path.clock == first.clock][: count - 1]]
    return tuple(result)


def _critical(path: Mapping[str, Any]) -> Path:
    steps = path["path"]
    nets = tuple(net for net, _ in groupby(_plain(step["net"]) for step in steps if step["type"] == "routing"))
    delay = sum(step["delay"] for step in steps if step["type"] != "setup")
    last = steps[-1]["to"]
    return Path(_clock(path["from"]), _end(last), delay, nets)


def _ends(report: Mapping[str, Any]) -> Iterable[Path]:
    for net in report.get("detailed_net_timings", ()):
        for end in net["endpoints"]:
            if end["event"] == net["event"]:
                yield Path(_clock(end["event"]), _end(end), end["delay"][1])


def _end(pin: Mapping[str, Any]) -> str:
    return f"{_plain(pin['cell'])}.{pin['port']}"


def _plain(name: str) -> str:
    """Return the designer's name, which Yosys prolongs by the cells on the way."""
    return re.split(r"(?:_TRELLIS_FF|_LUT4|_CCU2C|_PFUMX|_L6MUX21|\$CCU2|_SB_)_?", name, maxsplit=1)[0]


def _clock(name: str) -> str:
    """Return `system_clock` of `posedge $glbnet$inputs.system_clock`, and `board` of the buffer `board.buf.i`."""
    return name.removesuffix(".buf.i").rpartition(".")[2].rpartition("$")[2]
