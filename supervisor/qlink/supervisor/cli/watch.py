"""`qlinkctl watch`: heralds as they come, without a gap."""

import asyncio
from pathlib import Path

import click
from msgspec import structs

from qlink.firmware_bridge.wire import HeraldFlag
from qlink.supervisor.client import News, open_client
from qlink.supervisor.effects import HeraldPublished
from qlink.supervisor.messages import HERALD_TOPIC

from .output import bell_state, client_option, home_option, json_option, write_json

NS_PER_S = 1_000_000_000


@click.command()
@click.option("--count", type=click.IntRange(min=1), help="End after so many heralds.")
@click.option("--after", type=click.IntRange(min=0), help="Begin after the herald with this number, as far as kept.")
@client_option
@home_option
@json_option
def watch(count: int | None, after: int | None, client: str, home: Path, as_json: bool) -> None:
    """Print heralds as they come, until Ctrl-C.

    Heralds are numbered. What is missed on the way is asked for again and printed in its place; stderr says so.

    \b
    Example:
        qlinkctl watch --count 5
        qlinkctl watch --json | jq .outcome
    """
    asyncio.run(_watch(home, client, count, after, as_json))


async def _watch(home: Path, name: str, count: int | None, after: int | None, as_json: bool) -> None:
    shown, missed = 0, 0
    async with open_client(home, name) as client:
        await client.status()  # says so where nobody answers; a subscription would wait for ever
        news = client.subscribe(HERALD_TOPIC, after=None if after is None else {HERALD_TOPIC: after})
        async for herald in news:
            if not isinstance(herald.body, HeraldPublished):
                continue
            if herald.replayed and not missed and after is None:
                click.echo(f"herald {herald.number} and maybe more were missed: here they are", err=True)
            missed = missed + 1 if herald.replayed else 0
            _print(herald, herald.body, as_json)
            shown += 1
            if shown == count:
                break


def _print(news: News, herald: HeraldPublished, as_json: bool) -> None:
    if as_json:
        write_json({"number": news.number, "replayed": news.replayed, **structs.asdict(herald)})
        return
    flags = f"  {HeraldFlag(herald.flags).name}" if herald.flags & ~HeraldFlag.GATED else ""
    click.echo(
        f"{news.number:>8}  {herald.time_ns / NS_PER_S:.6f}  {bell_state(herald.outcome)}  "
        f"fidelity {herald.fidelity:.3f}  attempt {herald.attempt}  tick {herald.tick}{flags}"
    )
