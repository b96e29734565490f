"""`qlinkctl board`: make bitstreams, flash them, and see which boards there are."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.padding import Padding

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Identity
from qlink.firmware_bridge.errors import EndOfStream
from qlink.firmware_bridge.events import TIME, Batch
from qlink.firmware_bridge.flash import choose_programmer
from qlink.firmware_bridge.flash import flash as load
from qlink.firmware_bridge.ftdi import FoundBoard, list_boards
from qlink.firmware_bridge.registers import Feature
from qlink.firmware_bridge.settings import check_time_inputs
from qlink.firmware_bridge.timekeeping import ClockFit, fit_clock
from qlink.firmware_bridge.wire import TimeSource

from .configure import configure
from .counters import counters
from .histogram import histogram
from .output import json_option, stderr, stdout, table, write_json
from .sequence import sequence, triggers

if TYPE_CHECKING:  # Amaranth takes half a second to import: only the commands that need it do
    from qlink.gateware.boards.build import BuildReport, VendorProject
    from qlink.gateware.boards.profile import Profile


FIFO_URL = "ftdi://ftdi:232h/1?mode=fifo"


@click.group()
def board() -> None:
    """Build for, flash and find boards.

    \b
    Example, with an ECPIX-5 on USB:
        qlinkctl board build && qlinkctl board flash && qlinkctl board list
    """


board.add_command(configure)
board.add_command(counters)
board.add_command(histogram)
board.add_command(sequence)
board.add_command(triggers)

board_option = click.option("--board", "name", help="Which board; `qlinkctl board list --profiles` names them.")


@board.command()
@board_option
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder, by default build/BOARD.")
@json_option
def build(name: str | None, output: Path | None, as_json: bool) -> None:
    """Make a board's bitstream with the toolchain from PyPI, and say how fast it may run.

    It fails when the clock that the board has is not met. The same sources give the same bitstream. For an FPGA without
    a free toolchain it makes a project for the vendor's.

    \b
    Example:
        qlinkctl board build --board ecpix5-45f --output build/ecpix5
    """
    from qlink.gateware.boards import build as builder
    from qlink.gateware.boards.tools import BuildError

    profile = _profile(name)
    console = stderr()
    make = builder.build if profile.family.toolchain else builder.emit
    try:
        report = make(profile, output or _directory(profile), lambda step: console.print(f"{profile.name}: {step}"))
    except BuildError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        write_json(report.as_dict())
    else:
        stdout().print(_drawn(report) if isinstance(report, builder.BuildReport) else _told(report))


@board.command()
@click.argument("bitstream", required=False, type=click.Path(dir_okay=False, path_type=Path))
@board_option
@click.option("--keep", is_flag=True, help="Write the board's flash memory, too: it is there after a power-on.")
@json_option
def flash(bitstream: Path | None, name: str | None, keep: bool, as_json: bool) -> None:
    """Load BITSTREAM into the board on USB, by default the one that `qlinkctl board build` has made for it.

    \b
    Example:
        qlinkctl board flash --board ecpix5-45f
    """
    from qlink.gateware.boards.build import bitstream as bitstream_of

    profile = _profile(name)
    path = bitstream or bitstream_of(profile, _directory(profile))
    found = list_boards()
    programmer = choose_programmer(profile.programmers, found)
    load(programmer, path, keep=keep)
    url = _host_url(profile, found)
    if as_json:
        write_json({"board": profile.name, "bitstream": str(path), "programmer": programmer, "kept": keep, "url": url})
    else:
        click.echo(f"{profile.name} runs {path}{', now and after a power-on' if keep else ' until power-off'}")
        click.echo(f"Try it: qlinkctl board info '{url}'")


@board.command("list")
@click.option("--profiles", is_flag=True, help="List the boards that can be built for, not those on USB.")
@json_option
def list_(profiles: bool, as_json: bool) -> None:
    """List the FTDI chips on USB, or the boards that can be built for.

    \b
    Example:
        qlinkctl board list --profiles
    """
    if profiles:
        _list_profiles(as_json)
        return
    found = list_boards()
    if as_json:
        write_json({"boards": [asdict(one) for one in found]})
    elif found:
        rows = ((one.url, one.description, one.serial or "-") for one in found)
        stdout().print(table("FTDI chips on USB", ("URL", "", "serial"), rows))
    else:
        raise click.ClickException("no FTDI chip on USB: plug a board in, or try qlinkctl board info twin://idle")


@board.command()
@click.argument("url")
@json_option
def info(url: str, as_json: bool) -> None:
    """Ask the board at URL what it is, and check that it speaks this program's wire contract.

    \b
    Example, without any hardware:
        qlinkctl board info twin://idle
    """
    with open_board(url) as opened:
        identity = opened.identity
    latency_ns = identity.herald_latency * 1e9 / identity.clock_hz
    if as_json:
        write_json({"url": url, **asdict(identity), "herald_latency_ns": latency_ns})
        return
    rows = (
        ("board", identity.board),
        ("gateware", f"{identity.build:08x}"),
        ("wire contract", f"{identity.contract_version}, as here"),
        ("channels", identity.channels),
        ("patterns", _pattern_features(identity)),
        ("system clock", f"{identity.clock_hz / 1e6:g} MHz, {identity.samples} samples a clock"),
        ("tick", f"{identity.tick_fs / 1e3:g} ps"),
        ("delays", f"up to {identity.delay_ticks:,} ticks an input" if identity.delay_ticks else "none"),
        ("triggers", f"{identity.triggers} with a pin" if identity.sequence_segments else "none"),
        ("branches", _branches(identity)),
        ("boards in step", f"{identity.sync_latency} clocks behind" if identity.sync_latency else "no lines for it"),
        ("histogram", f"{identity.histogram_bins:,} bins" if identity.histogram_bins else "none"),
        ("feed-forward", _feed_forward(identity)),
        ("time inputs", " and ".join(_time_inputs(identity)) or "none"),
        ("near heralds", f"up to {identity.vicinity_ticks:,} ticks" if identity.vicinity_ticks else "no such choice"),
        ("vetoes", f"in windows of up to {identity.veto_clocks:,} clocks"),
        ("herald latency", f"{identity.herald_latency} clocks, {latency_ns:g} ns; the pins' registers not counted"),
    )
    stdout().print(table(url, ("", ""), rows))


def _pattern_features(identity: Identity) -> str:
    words = {Feature.ACCIDENTALS: "accidental counters", Feature.MULTIPLICITY: "multiplicities and guard times"}
    having = [text for feature, text in words.items() if feature & identity.features]
    return f"{identity.patterns}{', with ' if having else ''}{' and with '.join(having)}"


def _time_inputs(identity: Identity) -> list[str]:
    return [name for name, there in {"PPS": identity.pps, "10 MHz": identity.ten_mhz}.items() if there]


def _branches(identity: Identity) -> str:
    if not identity.branch_segments:
        return "none"
    ns = identity.branch_latency * 1e9 / identity.clock_hz
    return f"{identity.branch_segments} segments an outcome, {ns:g} ns after the herald at the soonest"


def _feed_forward(identity: Identity) -> str:
    if not identity.pulses:
        return "none"
    ns = identity.action_latency * 1e9 / identity.clock_hz
    return f"{identity.pulses} pulses an outcome, {identity.outputs} outputs, {ns:g} ns after the click at the soonest"


@board.command("clock")
@click.argument("url")
@click.option(
    "--source", type=click.Choice(["pps", "ten_mhz"]), default="pps", help="Which input the better clock is on."
)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, help="How long to listen.")
@click.option("--every", type=click.IntRange(min=1), default=10**6, help="Of the 10 MHz edges, time one of so many.")
@json_option
def clock_(url: str, source: str, seconds: float, every: int, as_json: bool) -> None:
    """Compare the clock of the board at URL with a better one on its PPS or 10 MHz input.

    What the board was set to do goes on; only which of these edges are timed changes.

    \b
    Example, on a board with a PPS wired to it:
        qlinkctl board clock 'ftdi:///2?baud=12000000' --seconds 30
    """
    chosen = TimeSource[source.upper()]
    pps, ten_mhz = chosen is TimeSource.PPS, chosen is TimeSource.TEN_MHZ
    with open_board(url) as opened:
        check_time_inputs(opened.identity, pps=pps, ten_mhz=ten_mhz)
        if opened.identity.pps:
            opened.write("time_pps", int(pps))
        if opened.identity.ten_mhz:
            opened.write("time_ten_mhz", every if ten_mhz else 0)
        fit = fit_clock(_listen(opened, seconds), chosen, opened.identity)
    if as_json:
        write_json({"url": url, "source": source, **_fitted(fit)})
        return
    rows = (
        ("board's clock", f"{fit.frequency * 1e6:+.6f} ppm, +- {fit.period_error / fit.period * 1e6:.6f}"),
        ("residuals", f"{fit.rms:.2f} ticks rms"),
        ("records", f"{fit.used} used, {fit.outliers} left out"),
        ("pulses", f"{fit.missing} missing, {fit.doubled} too many"),
    )
    stdout().print(table(f"{url} against {source}", ("", ""), rows))


def _listen(board: Board, seconds: float) -> NDArray[np.void]:
    """The TIME records of the time to come, by the transport's clock."""
    batches: list[Batch] = []
    end = board.now_s() + seconds
    with suppress(EndOfStream):
        while (left := end - board.now_s()) > 0:
            batches.append(board.events(min(left, 1.0)))
        board.flush()
        batches.append(board.events(0.1))
    return np.concatenate([np.empty(0, TIME), *(batch.times for batch in batches)])


def _fitted(fit: ClockFit) -> dict[str, object]:
    return {name: getattr(fit, name) for name in ClockFit.__slots__ if name not in ("source", "residuals")}


def _list_profiles(as_json: bool) -> None:
    from qlink.gateware.boards.profiles import PROFILES

    if as_json:
        write_json({"profiles": [_described(profile) for profile in PROFILES.values()]})
        return
    cells = (
        (
            *(p.name, p.device, len(p.detectors), p.patterns, f"{p.tick_ps / 1e3:.4g}"),
            *(f"{p.latency.clocks} clk", f"{p.latency.ns:.4g}", p.link.upper(), f"{p.bytes_per_s / 1e6:.3g}"),
            "met" if p.verified else "unverified",
        )
        for p in PROFILES.values()
    )
    columns = (
        *("board", "FPGA", "channels>", "patterns>", "tick ns>", "herald clocks>", "ns>", "link", "MB/s>", "timing"),
    )
    stdout().print(table("boards that can be built for", columns, cells))
    without = [(p.name, ", ".join(p.lacks)) for p in PROFILES.values() if p.lacks]
    stdout().print(
        table("what the engine can do and they do not, for want of room or pins", ("board", "without"), without)
    )


def _profile(name: str | None) -> "Profile":
    from qlink.gateware.boards.profiles import DEFAULT, PROFILES

    if (name or DEFAULT) not in PROFILES:
        raise click.UsageError(f"there is no board {name!r}; it has to be one of {', '.join(PROFILES)}")
    return PROFILES[name or DEFAULT]


def _directory(profile: "Profile") -> Path:
    return Path("build") / profile.name


def _host_url(profile: "Profile", found: Sequence[FoundBoard]) -> str:
    """Return where a host finds the board that has just been loaded."""
    if profile.fifo:
        return FIFO_URL
    uarts = (b.url for b in found if b.chip in profile.programmers and b.url.endswith(f"/{profile.interface}"))
    return f"{next(uarts, f'ftdi:///{profile.interface}')}?baud={profile.baud}"


def _described(profile: "Profile") -> dict[str, object]:
    return {
        "board": profile.name,
        "fpga": profile.device,
        "channels": len(profile.detectors),
        "patterns": profile.patterns,
        "clock_hz": profile.clock_hz,
        "tick_ps": profile.tick_ps,
        "herald_latency": {"clocks": profile.latency.clocks, "ns": profile.latency.ns},
        "transport": profile.transport,
        "bytes_per_s": profile.bytes_per_s,
        "timing_verified": profile.verified,
        "streams_clicks": profile.parameters.streams,
        "lacks": list(profile.lacks),
        "shift_ns": profile.shift_ns,
        "veto_clocks": profile.parameters.veto_depth,
        "pulses": profile.parameters.pulses,
        "detectors": [str(pin) for pin in profile.detectors],
        "reference": str(profile.reference),
        "pps": str(profile.pps) if profile.pps else None,
        "ten_mhz": str(profile.ten_mhz) if profile.ten_mhz else None,
        "heralds": [str(pin) for pin in profile.heralds],
        "triggers": [str(pin) for pin in profile.triggers],
        "actions": [str(pin) for pin in profile.actions],
        "sync_out": [str(pin) for pin in profile.sync.outputs] if profile.sync else [],
        "sync_in": [str(pin) for pin in profile.sync.inputs] if profile.sync else [],
        "fifo": [str(pin) for pin in profile.fifo.pins] if profile.fifo else [],
    }


def _told(project: "VendorProject") -> str:
    latency = project.latency
    return (
        f"project for {project.board} in {project.directory}; make its bitstream there by\n"
        f"  {project.command}\n"
        f"Nobody has checked its timing: Vivado will. Herald latency: {latency.clocks} clocks, {latency.ns:g} ns"
    )


def _drawn(report: "BuildReport") -> Group:
    clocks = table(
        f"timing of {report.board}, seed {report.seed}",
        ("clock", "reaches MHz>", "target MHz>", "slack ns>", ""),
        (
            (c.clock, f"{c.achieved_mhz:.1f}", f"{c.target_mhz:.1f}", f"{c.slack_ns:.2f}", "met" if c.met else "MISSED")
            for c in report.clocks
        ),
    )
    cells = table(
        "use of the chip",
        ("", "used>", "of>", "%>"),
        ((u.what, u.used, u.available, f"{100 * u.used / u.available:.1f}") for u in report.usage),
    )
    latency = report.latency
    words = (
        f"herald latency: {latency.clocks} clocks, {latency.ns:g} ns, from the clock that samples the completing\n"
        f"click to the edge at the herald pin ({latency.engine_clocks} in the engine, {latency.pin_clocks} in the "
        f"pins' registers)\nbitstream: {report.bitstream}"
    )
    return Group(clocks, cells, Padding(words, (0, 1)))
