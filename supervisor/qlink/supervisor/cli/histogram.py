"""`qlinkctl board histogram`: see by how much one channel is later than another."""

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Group
from rich.table import Table

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Configuration
from qlink.firmware_bridge.histogram import Histogram, HistogramSettings

from .delays import Delays, delay_option
from .histogram_picture import drawn
from .output import json_option, stdout, table, write_json

ROWS = 25  # of bins, around the highest
BAR = 50  # columns


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest bin."""

    delay: int  # ticks: the least in the bin
    count: int
    background: float  # what half of the bins have no more than


@click.command()
@click.argument("url")
@click.option("--start", type=int, required=True, help="Channel whose clicks the delays count from.")
@click.option("--stop", type=int, required=True, help="Channel whose clicks they count to.")
@click.option("--width", type=int, default=1, show_default=True, help="Of a bin, in ticks: a power of two.")
@click.option("--offset", type=int, default=0, show_default=True, help="Middle of the bins, in ticks: whole clocks.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Write an SVG file, too.")
@delay_option
@json_option
def histogram(
    url: str,
    delays: Delays,
    picture: Path | None,
    as_json: bool,
    seconds: float,
    **chosen: int,
) -> None:
    """Count on the board at URL how much later STOP clicks than START, and show the peak.

    The board counts at any rate. It is set to stream nothing and to no patterns, with the delays given here.

    \b
    Example:
        qlinkctl board histogram "twin://pairs?pair_hz=1000000" --start 0 --stop 4 --seconds 0.01 --delay 4=7
        qlinkctl board histogram ftdi:// --start 0 --stop 4 --width 8 --picture peak.svg
    """
    settings = HistogramSettings(**chosen)
    if picture is not None and picture.suffix != ".svg":
        raise click.BadParameter(f"{picture} has to end in .svg", param_hint="'--picture'")
    with open_board(url) as board:
        counted = _count(board, settings, delays, seconds)
        tick_ps = board.identity.tick_fs / 1000
    peak = peak_of(counted)
    if picture is not None:
        picture.write_text(drawn(counted, tick_ps))
    if as_json:
        write_json({"url": url, "tick_ps": tick_ps, **_as_json(counted, peak)})
    else:
        stdout().print(_described(counted, peak, tick_ps, delays))


def peak_of(counted: Histogram) -> Peak:
    """Return the highest bin; of equal ones the first."""
    place = int(counted.counts.argmax())
    return Peak(int(counted.delays[place]), int(counted.counts[place]), float(np.median(counted.counts)))


def _count(board: Board, settings: HistogramSettings, delays: Delays, seconds: float) -> Histogram:
    board.configure(
        Configuration(stream_channels=frozenset(), delays=delays.channels, reference_delay=delays.reference)
    )
    board.start()
    try:
        return board.histogram(settings, seconds)
    finally:
        board.stop()


def _as_json(counted: Histogram, peak: Peak) -> dict[str, object]:
    settings = counted.settings
    return {
        "start": settings.start,
        "stop": settings.stop,
        "width": settings.width,
        "first_delay": int(counted.delays[0]),
        "counts": counted.counts.tolist(),
        "starts": counted.starts,
        "stops": counted.stops,
        "outside": counted.outside,
        "ticks": counted.ticks,
        "saturated": counted.saturated,
        "peak": {"delay": peak.delay, "count": peak.count, "background": peak.background} if peak.count else None,
    }


def _described(counted: Histogram, peak: Peak, tick_ps: float, delays: Delays) -> Group:
    settings = counted.settings
    facts = [
        f"{counted.starts:,} clicks on channel {settings.start}, {counted.stops:,} on {settings.stop} "
        f"in {counted.ticks * tick_ps / 1e12:.3g} s; {counted.outside:,} without a partner in reach",
    ]
    if counted.saturated:
        facts.append("A count is at its end: count for a shorter time.")
    if not peak.count:
        return Group(*facts, "Nothing to show: no pair of clicks within the bins. Wider bins reach further.")
    facts.append(
        f"Peak: {peak.count:,} at {peak.delay:+d} ticks ({peak.delay * tick_ps / 1000:+.4g} ns); "
        f"half of the bins have {peak.background:,.0f} or less"
    )
    if peak.delay:
        aligned = delays.channels.get(settings.stop, 0) - peak.delay
        facts.append(f"To align them: --delay {settings.stop}={aligned:+d}")
    return Group(_bars(counted, peak, tick_ps), *facts)


def _bars(counted: Histogram, peak: Peak, tick_ps: float) -> Table:
    delays, middle = counted.delays, int(counted.counts.argmax())
    first = max(0, min(middle - ROWS // 2, len(delays) - ROWS))
    rows = (
        (f"{delay:+d}", f"{delay * tick_ps / 1000:+.4g}", f"{count:,}", "█" * round(BAR * int(count) / peak.count))
        for delay, count in zip(delays[first : first + ROWS], counted.counts[first : first + ROWS], strict=True)
    )
    settings = counted.settings
    title = f"channel {settings.stop} after channel {settings.start}, around the peak"
    return table(title, ("ticks>", "ns>", "clicks>", ""), rows)
