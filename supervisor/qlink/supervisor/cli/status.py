"""`qlinkctl status`: how a running supervisor and its link are doing."""

import asyncio
from pathlib import Path

import click
from msgspec import structs

from qlink.supervisor.addresses import Addresses
from qlink.supervisor.client import open_client
from qlink.supervisor.messages import Standing, Status

from .output import client_option, home_option, json_option, share, stdout, table, write_json

NS_PER_S = 1_000_000_000


@click.command()
@client_option
@home_option
@json_option
def status(client: str, home: Path, as_json: bool) -> None:
    """Show how a running supervisor and its link are doing.

    Exits with 1 when nobody answers, or the link is down.

    \b
    Example:
        qlinkctl status
        qlinkctl status --json | jq .heralds
    """
    found, addresses = asyncio.run(_ask(home, client))
    if as_json:
        standings = [structs.asdict(standing) for standing in found.slos]
        write_json(structs.asdict(found) | {"slos": standings, "addresses": structs.asdict(addresses)})
    else:
        _print(found, addresses)
    if found.link == "down":
        raise click.ClickException(f"the link is down: {found.reason}")


async def _ask(home: Path, name: str) -> tuple[Status, Addresses]:
    async with open_client(home, name) as client:
        return await client.status(), client.addresses


def _print(found: Status, addresses: Addresses) -> None:
    up_s = (found.time_ns - found.since_ns) / NS_PER_S
    board = f" on board {found.board}" if found.board else ""
    reason = f" ({found.reason})" if found.reason else ""
    click.echo(f"link {found.link}{board}{reason}; supervisor up for {up_s:,.0f} s, epoch {found.epoch}")
    click.echo(
        f"heralds at {addresses.publications}, requests at {addresses.requests}, {addresses.metrics or 'no metrics'}"
    )
    counts = [
        ("heralds", found.heralds, ""),
        *(("pairs", count, name.lower()) for name, count in found.pairs.items()),
        *(("requests", count, name) for name, count in found.requests.items()),
        *(("lost", count, name) for name, count in found.lost.items()),
    ]
    console = stdout()
    console.print(table("Counts since the start", ("what", "count>", "which"), counts))
    columns = ("", "objective", "value>", "promised>", "budget left>", "burn rate>", "alert")
    console.print(table("Service levels", columns, map(_row, found.slos)))


def _row(standing: Standing) -> tuple[str, ...]:
    return (
        standing.id,
        standing.name,
        share(standing.value),
        share(standing.objective),
        f"{standing.budget_left:.0%}",
        f"{standing.burn_rate:.2f}",
        standing.alert,
    )
