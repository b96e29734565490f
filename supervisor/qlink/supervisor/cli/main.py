"""qlinkctl: the whole link from a terminal."""

from importlib import import_module
from typing import Any

import click

from qlink.firmware_bridge.errors import BridgeError
from qlink.sim.errors import SimulationError
from qlink.supervisor.errors import SupervisorError

# Where each command lives, and its line in the overview. Modules are slow to import: each is loaded when it is used.
COMMANDS = {
    "board": ("board", "Find, build for and flash boards."),
    "demo": ("demo", "Run a whole simulated link, and watch it."),
    "keys": ("keys", "Say who may talk to the supervisor."),
    "replay": ("replay", "Feed a lab's recording through the gateware and count coincidences."),
    "request": ("request", "Ask a running supervisor for entangled pairs."),
    "status": ("status", "Show how a running supervisor and its link are doing."),
    "up": ("up", "Run the supervisor on a board."),
    "watch": ("watch", "Print heralds as they come."),
}

INTERRUPTED = 130  # 128 and SIGINT's number, as a shell tells it


class Commands(click.Group):
    """The commands of the table above. What goes wrong in one is told in a sentence, never as a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"{__package__}.{COMMANDS[cmd_name][0]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(COMMANDS.items())])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (BridgeError, SimulationError, SupervisorError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:  # the way to end `watch`: nothing to say about it
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(
    cls=Commands, context_settings={"auto_envvar_prefix": "QLINK", "show_default": True, "max_content_width": 110}
)
@click.version_option(package_name="qlink")
def main() -> None:
    """Control a quantum link, from the detectors' clicks to an application's entangled pairs.

    Every option can be given by the environment too, as QLINK_COMMAND_OPTION: QLINK_WATCH_COUNT=5 is `watch --count 5`.

    \b
    Try it without any hardware:
        qlinkctl demo
    """


if __name__ == "__main__":
    main(prog_name="qlinkctl")
