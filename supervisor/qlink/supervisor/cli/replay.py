"""`qlinkctl replay`: a lab's recording through the gateware's RTL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from qlink.sim.replay import ReplayResult
from qlink.sim.replay import replay as count_coincidences
from qlink.sim.twin_build import Progress, silent

from .output import json_option, stderr, stdout, table, write_json
from .patterns import Wanted, pattern_option, window_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--tick-ps", type=click.FloatRange(min=0, min_open=True), help="The file's time unit; a PTU file says it."
)
@pattern_option
@window_option
@click.option(
    "--accidental-offset",
    type=click.IntRange(0),
    default=0,
    help="Count accidentals, too: with the channel named last late by so many ticks, a multiple of 4. 0: do not.",
)
@json_option
def replay(
    file: Path,
    tick_ps: float | None,
    patterns: tuple[Wanted, ...],
    window: int,
    accidental_offset: int,
    as_json: bool,
) -> None:
    """Feed the lab recording FILE through the gateware's RTL and count clicks and coincidences.

    FILE is text, `channel time` on each line, sorted by time; or a PicoQuant PTU file (T2). One tick is one time unit
    of it. Nothing is counted of a file that is damaged: the error names the line.

    \b
    Example:
        qlinkctl replay pairs.txt --tick-ps 260 --pattern 0,4 --pattern 1,5 --window 4 --json
        qlinkctl replay measurement.ptu --pattern 0,1 --window 1000 --accidental-offset 4000
    """
    if any(wanted.forbidden or wanted.shifted for wanted in patterns):
        raise click.BadParameter("a replay counts clicks on required channels only", param_hint="'--pattern'")
    with _progress() as progress:
        channels = [wanted.required for wanted in patterns]
        result = count_coincidences(file, tick_ps, channels, window, progress, accidental_offset=accidental_offset)
    if as_json:
        write_json(_counted(result))
    else:
        _print(result, file)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Yield how to tell what is going on: on stderr, where that is a terminal."""
    console = stderr()
    if not console.is_terminal:
        yield silent
        return
    with console.status("Reading the recording.") as status:
        yield status.update


def _counted(result: ReplayResult) -> dict[str, object]:
    """Return plain values for JSON; without `accidentals` where none were counted."""
    patterns = [{k: v for k, v in asdict(each).items() if v is not None} for each in result.patterns]
    return {**asdict(result), "patterns": patterns}


def _print(result: ReplayResult, file: Path) -> None:
    console, seconds = stdout(), result.duration_s
    singles = ((channel, f"{count:,}", f"{count / seconds:,.0f}") for channel, count in enumerate(result.singles))
    console.print(table(f"{file.name}: {seconds:.6g} s of lab time", ("channel", "clicks>", "per second>"), singles))
    rows = (
        (
            ", ".join(map(str, each.channels)),
            each.window_ticks,
            f"{each.heralds:,}",
            f"{each.heralds / seconds:,.1f}",
            "" if each.accidentals is None else f"{each.accidentals:,}",
        )
        for each in result.patterns
    )
    columns = ("channels", "window, ticks>", "heralds>", "per second>", "accidentals>")
    console.print(table("Coincidences", columns, rows))
    losses = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in result.losses.items() if count)
    click.echo(f"Losses: {losses or 'none'}")
