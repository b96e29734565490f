"""`qlinkctl up`: run the supervisor of one link."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from msgspec import structs

from qlink.firmware_bridge.configuration import Configuration
from qlink.firmware_bridge.errors import ConfigurationError
from qlink.supervisor import model
from qlink.supervisor.addresses import Addresses
from qlink.supervisor.service import Outside, Service
from qlink.supervisor.settings import Endpoints, ServiceSettings

from .configuration_file import config_option, read_configuration
from .delays import delay_option
from .link_setup import SIMULATED, LinkSetup, set_up
from .output import home_option, json_option, write_json
from .patterns import pattern_option, window_option
from .sequence import number_option

PORTS = Endpoints()
IN_FILE = ("patterns", "window", "delays", "accidental_clocks")  # options that say what a --config file does
NODES_ANSWER_NS = 100_000_000  # simulated nodes share this machine's processor: be patient with them


@click.command()
@click.option("--board", "url", default=SIMULATED, help="URL of the board: ftdi://, twin://SOURCE, replay://FILE.")
@config_option
@pattern_option
@window_option
@delay_option
@click.option(
    "--accidental-clocks", type=click.IntRange(0), default=0, help="By which channels typed ~4 are late; 0: by none."
)
@number_option
@click.option("--fidelity", type=click.FloatRange(0.25, 1), default=0.92, help="Of a pair at its herald.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=1000.0, help="Heralds per second promised."
)
@click.option("--t2", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Of both memories, in seconds.")
@click.option("--slots", type=click.IntRange(min=1), default=128, help="Pairs that the memories hold.")
@click.option(
    "--publications", default=PORTS.publications, help="Where heralds are published; port * takes a free one."
)
@click.option("--requests", default=PORTS.requests, help="Where requests are taken.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), default=PORTS.metrics_port, help="0 takes a free one.")
@click.option("--no-metrics", is_flag=True, help="Serve no metrics.")
@home_option
@json_option
@click.pass_context
def up(context: click.Context, /, url: str, home: Path, as_json: bool, **options: Any) -> None:
    """Run the supervisor on a board, until Ctrl-C.

    The keys and the journal lie in the home directory; after any end the next start goes on where the journal ends. A
    simulated heralded link (twin://heralded) tells its states, rate and patterns by itself.

    With --config, a file says all that the board is set to, gates, sequence of attempts and feed-forward included; then
    --pattern, --window, --delay and --accidental-clocks are refused. A [sequence] is begun whenever the board has been
    started. Of multiplicities, guard times and patterns with windows of their own only a file can tell.

    \b
    Example:
        qlinkctl up
        qlinkctl up --board "twin://heralded?attempt_hz=500&seed=7"
        qlinkctl up --board ftdi:// --pattern 0,4 --pattern 1,5 --window 4 --delay 4=-37
        qlinkctl up --board "twin://heralded?attempt_hz=5000" --config docs/examples/link.toml --rate 90
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fidelity = options["fidelity"]
    memories = model.LinkModel(
        states=((fidelity, *((1 - fidelity) / 3,) * 3),) * 4,  # of the error nothing is known: depolarised
        t2_s=(options["t2"], options["t2"]),
        memory_slots=options["slots"],
        rate_hz=options["rate"],
    )
    link = set_up(url, _asked(context, options), memories, logging.getLogger(__name__).info)
    port = None if options["no_metrics"] else options["metrics_port"]
    endpoints = Endpoints(options["publications"], options["requests"], metrics_port=port)
    settings = replace(service_settings(link, home, endpoints), first_attempt=options["number"])
    asyncio.run(_serve(link, settings, as_json))


def _asked(context: click.Context, options: dict[str, Any]) -> Configuration:
    """The configuration that a file tells, or these options do."""
    if options["file"] is None:
        return Configuration(
            patterns=tuple(each.within(options["window"]) for each in options["patterns"]),
            delays=options["delays"].channels,
            reference_delay=options["delays"].reference,
            accidental_clocks=options["accidental_clocks"],
        )
    for name in IN_FILE:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = next(each.opts[0] for each in context.command.params if each.name == name)
            raise click.UsageError(f"{option} and --config exclude each other: write it into {options['file']}")
    configuration = read_configuration(options["file"])
    if not configuration.patterns:
        raise ConfigurationError(f"{options['file']}: it has no patterns, so nothing would ever be heralded")
    return configuration


def service_settings(link: LinkSetup, home: Path, endpoints: Endpoints) -> ServiceSettings:
    """Return how a supervisor of this link is set up."""
    purification = model.PurificationPolicy(enabled=link.nodes is not None, answer_ns=NODES_ANSWER_NS)
    return ServiceSettings(
        home=home,
        decisions=model.Settings(link=link.model, purification=purification),
        configuration=link.configuration,
        time_source=link.time_source,
        endpoints=endpoints,
        contract=link.contract,
    )


async def _serve(link: LinkSetup, settings: ServiceSettings, as_json: bool) -> None:
    service = Service(settings, Outside(link.open_board, link.nodes))
    running = asyncio.create_task(service.run())
    started = asyncio.create_task(service.started.wait())
    await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if service.addresses is not None:
        _print(service.addresses, settings.home, as_json)
    await running


def _print(addresses: Addresses, home: Path, as_json: bool) -> None:
    if as_json:
        write_json({"home": str(home), **structs.asdict(addresses)})
        return
    click.echo(f"heralds   {addresses.publications}\nrequests  {addresses.requests}")
    click.echo(f"metrics   {addresses.metrics or 'none'}\nhome      {home}\nRunning; Ctrl-C ends it.")
