"""qlinkctl as a whole: what holds for every command."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from qlink.firmware_bridge.errors import TransportError
from qlink.supervisor.cli.main import COMMANDS, main
from qlink.supervisor.errors import NoAnswer


def every_command(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command, groups included, that a user can type after `qlinkctl`."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from every_command(child, (*path, name))


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_help_of_every_command_has_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert f"qlinkctl {' '.join(path)}".strip() in result.output.split("Usage:", 1)[1].split("\n", 1)[1]


def test_overview_says_what_each_command_does() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    for name, (_, line) in COMMANDS.items():
        assert name in output
        assert line.split()[0] in output


def test_an_unknown_command_is_refused_by_name() -> None:
    result = CliRunner().invoke(main, ["entangle"])
    assert result.exit_code == 2
    assert "No such command 'entangle'" in result.output


@pytest.mark.parametrize("error", [TransportError("no board at ftdi://: plug one in"), NoAnswer("nobody is there")])
def test_a_known_error_is_told_in_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(type(main), "get_command", lambda *_: fail)
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 1
    assert result.output == f"Error: {error}\n"
