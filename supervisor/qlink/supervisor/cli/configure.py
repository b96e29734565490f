"""`qlinkctl board configure`: set a board to a file's configuration, or see what that would write."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Group

from qlink.firmware_bridge.board import open_board
from qlink.firmware_bridge.registers import BY_NAME, Repeat
from qlink.firmware_bridge.settings import Setting, check, settings_of

from .configuration_file import read_configuration
from .output import json_option, stdout, table, write_json


@click.command()
@click.argument("url")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Write nothing: say what would be written, or why not.")
@json_option
def configure(url: str, file: Path, only_check: bool, as_json: bool) -> None:
    """Set the board at URL to the configuration in the TOML file FILE, and leave it stopped.

    With --check nothing is written: the registers are printed that would be. A value that the board cannot take is
    refused by name either way. docs/configuration.md says what can stand in FILE.

    \b
    Example:
        qlinkctl board configure twin://idle docs/examples/link.toml --check
        qlinkctl board configure ftdi:// link.toml
    """
    configuration = read_configuration(file)
    with open_board(url) as board:
        check(configuration, board.identity)
        settings = list(settings_of(configuration, board.identity))
        if not only_check:
            board.configure(configuration)
    if as_json:
        registers = [{"address": _address(each), **_named(each)} for each in settings]
        write_json({"url": url, "written": not only_check, "registers": registers})
    elif only_check:
        stdout().print(_drawn(file, settings))
    else:
        click.echo(f"{url} is set to {file}, and stopped")


def _address(setting: Setting) -> int:
    return BY_NAME[setting.name].address + setting.index


def _named(setting: Setting) -> dict[str, object]:
    return {"name": setting.name, "index": setting.index, "value": setting.value}


def _drawn(file: Path, settings: Sequence[Setting]) -> Group:
    rows = []
    for each in (each for each in settings if each.value):
        index = "" if BY_NAME[each.name].repeat is Repeat.ONCE else f"[{each.index}]"
        rows.append((f"{_address(each):#06x}", f"{each.name}{index}", f"{each.value:#x}", f"{each.value:,}"))
    title = f"the board takes {file}; nothing was written"
    rest = len(settings) - len(rows)
    return Group(table(title, ("address", "register", "value>", "decimal>"), rows), f" and 0 to the other {rest}")
