"""`qlinkctl board sequence`: have a board make attempts. `qlinkctl board triggers`: hold its triggers by hand."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.errors import EndOfStream

from .configuration_file import read_configuration
from .output import json_option, stdout, table, write_json

POLL_S = 0.05
LEVELS = {"on": True, "1": True, "off": False, "0": False}

number_option = click.option(
    "--number",
    type=click.IntRange(1, 2**64 - 1),
    help="Number the first attempt so, as on the other one of two boards in step.  [default: go on counting]",
)


@click.command()
@click.argument("url")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Then it ends; on a twin, of its own time.",
)
@number_option
@json_option
def sequence(url: str, file: Path, seconds: float, number: int | None, as_json: bool) -> None:
    """Set the board at URL to the configuration in the TOML file FILE, run its sequence, and say how it ended.

    docs/configuration.md says what can stand in FILE. Without a [sequence], the board runs for --seconds all the same.

    \b
    Example, with a FILE of:
        attempt_clocks = 190
        patterns = ["0,1=psi-"]
        gates = { 0 = [200, 600], 1 = [200, 600] }
        [sequence]
        period = 200
        attempts = 10000
        stop_on = ["psi-"]
        windows = { 0 = [[0, 5], [20, 25]], 7 = [[10, 120]] }

        qlinkctl board sequence twin://idle attempts.toml
        qlinkctl board sequence ftdi:// follower.toml --number 1000 --seconds 60
    """
    configuration = read_configuration(file)
    with open_board(url) as board:
        board.configure(configuration)
        if number is not None:
            board.number_attempts(number - 1)
        board.start()
        if configuration.sequence is not None:
            board.start_sequence()
        heralds = _watch(board, seconds, sequenced=configuration.sequence is not None)
        status = board.sequence_status()
        agreed = board.sync_status().agreed if configuration.sync is not None else None
        board.stop_sequence()
        board.stop()
        with suppress(EndOfStream):
            heralds += len(board.events(0.0).heralds)
    if as_json:
        told = {"end": status.end.name, "heralds": heralds, "agreed": agreed}
        write_json({"url": url, **asdict(status), **told})
        return
    rows = [
        ("ended by", status.end.name.lower() if status.end else "the end of the time given"),
        ("attempts", f"{status.attempts:,}"),
        ("with a branch", f"{status.branched:,}"),
        ("heralds", f"{heralds:,}"),
    ]
    if agreed is not None:
        rows.append(("numbers", "agree with the other board's" if agreed else "not agreed: number both boards anew"))
    stdout().print(table(url, ("", ""), rows))


def _watch(board: Board, seconds: float, *, sequenced: bool) -> int:
    """Wait for the time's end, or the sequence's; how many heralds there were."""
    end, heralds = board.now_s() + seconds, 0
    with suppress(EndOfStream):
        while (left := end - board.now_s()) > 0:
            running = not sequenced or board.sequence_status().running
            heralds += len(board.events(min(left, POLL_S)).heralds)
            if not running:
                break
    return heralds


@click.command()
@click.argument("url")
@click.argument("levels", nargs=-1)
def triggers(url: str, levels: tuple[str, ...]) -> None:
    """Hold triggers of the board at URL by hand, and give all others back to its sequence.

    \b
    Example, trigger 3 high, 5 low; and then none:
        qlinkctl board triggers ftdi:// 3=on 5=off
        qlinkctl board triggers ftdi://
    """
    held = {}
    for text in levels:
        trigger, _, level = text.partition("=")
        if not trigger.isdecimal() or level not in LEVELS:
            raise click.UsageError(f"{text!r} is no trigger and level: write 3=on or 3=off")
        held[int(trigger)] = LEVELS[level]
    with open_board(url) as board:
        board.hold_triggers(held)
    click.echo(", ".join(f"trigger {t} is {'high' if level else 'low'}" for t, level in held.items()) or "none is held")
