"""How commands speak: JSON for programs, tables for people, progress on stderr."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="QLINK_HOME",
    default="~/.local/state/qlink",
    callback=lambda _context, _option, value: value.expanduser(),
    help="Directory of the supervisor's keys, journal and addresses.",
)

client_option = click.option("--client", default="local", help="Whose key to use, as made by `qlinkctl keys add`.")

BELL_STATES = ("Φ+", "Ψ-", "Ψ+", "Φ-")  # in the order of firmware_bridge.configuration.Outcome


def bell_state(outcome: int) -> str:
    """Name a Bell state as physicists write it."""
    return BELL_STATES[outcome] if 0 <= outcome < len(BELL_STATES) else f"outcome {outcome}"


def write_json(value: Mapping[str, Any]) -> None:
    """Print `value` as one line of JSON and flush: a reader at the other end of a pipe sees it at once."""
    click.echo(json.dumps(value, default=str))


LOG_WIDTH = 120  # columns of what is no terminal


def stdout() -> Console:
    """Return a console on stdout: without colours, and of a fixed width, where that is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=LOG_WIDTH)


def stderr() -> Console:
    return Console(stderr=True, highlight=False)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table; a column whose name ends in `>` is aligned to the right."""
    result = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold", header_style="dim")
    for column in columns:
        result.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left")
    for row in rows:
        result.add_row(*(Text(str(cell), overflow="fold") for cell in row))  # Text: no markup in it
    return result


def amount(value: float) -> str:
    """Write a count or a rate in at most five characters or so: `12`, `3.4 k`, `1.2 M`."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= factor:
            return f"{value / factor * (10 if unit == ' k' else 1):.1f}{unit}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def share(value: float | None) -> str:
    """Write a share in percent; a dash where nothing was measured."""
    return "-" if value is None else f"{100 * value:.4g} %"
