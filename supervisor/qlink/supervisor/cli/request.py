"""`qlinkctl request`: ask a running supervisor for pairs."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import click
from msgspec import structs

from qlink.supervisor.client import PATIENCE_S, Client, open_client
from qlink.supervisor.effects import Acknowledged, Allocated, Completed, RequestCancelled, RequestExpired
from qlink.supervisor.errors import NoAnswer
from qlink.supervisor.messages import REQUEST_TOPIC, Body, Create, request_topic

from .output import bell_state, client_option, home_option, json_option, write_json

NS_PER_S = 1_000_000_000


@click.command()
@click.option("--number", type=click.IntRange(min=1), default=1, help="How many pairs.")
@click.option("--min-fidelity", type=click.FloatRange(0.25, 1.0), default=0.5, help="Least fidelity of each.")
@click.option("--deadline", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Seconds to wait at most.")
@click.option("--min-lifetime", type=click.FloatRange(min=0), default=0.0, help="Seconds that each has to stay good.")
@click.option("--priority", type=click.IntRange(0, 7), default=0, help="Higher is served first.")
@click.option("--purpose", type=click.IntRange(0, 65535), default=0, help="Purpose id, for the application at the end.")
@click.option("--atomic", is_flag=True, help="All pairs at once, or none.")
@click.option("--measure", is_flag=True, help="Measure directly; the pairs need not be kept.")
@click.option("--key", help="Idempotency key: the same key is served once.  [default: a new one]")
@client_option
@home_option
@json_option
def request(client: str, home: Path, as_json: bool, **options: Any) -> None:
    """Ask for entangled pairs and print each as it is given.

    Exits with 0 when all pairs were given, with 1 when the request was refused or its deadline passed.

    \b
    Example:
        qlinkctl request --number 3 --min-fidelity 0.85 --deadline 2 --min-lifetime 0.01
    """
    wish = Create(
        key=options["key"] or secrets.token_hex(8),
        number=options["number"],
        min_fidelity=options["min_fidelity"],
        max_time_ns=round(options["deadline"] * NS_PER_S),
        min_lifetime_ns=round(options["min_lifetime"] * NS_PER_S),
        priority=options["priority"],
        purpose_id=options["purpose"],
        atomic=options["atomic"],
        measure_directly=options["measure"],
    )
    given = asyncio.run(_ask(home, client, wish, as_json))
    if given < wish.number:
        raise click.ClickException(
            f"{given} of {wish.number} pairs were given within {options['deadline']:g} s: allow more time, "
            "ask for fewer, or for a lower fidelity"
        )


async def _ask(home: Path, name: str, wish: Create, as_json: bool) -> int:
    """Return how many pairs the request got."""
    async with open_client(home, name) as client:
        heard = (await client.status()).published
        acknowledged = await client.request(wish)
        _print(acknowledged, wish, as_json)
        topic = request_topic(acknowledged.tenant)
        story = _story(client, wish.key, {topic: heard.get(topic, 0)})
        try:
            async with asyncio.timeout(wish.max_time_ns / NS_PER_S + PATIENCE_S):
                return await _follow(story, wish, as_json)
        except TimeoutError as error:
            raise NoAnswer(
                f"nothing more is heard of the request {wish.key}: ask again with --key {wish.key}"
            ) from error
        finally:
            await story.aclose()


async def _story(client: Client, key: str, heard: dict[str, int]) -> AsyncGenerator[Body, None]:
    """All that was and will be said about a request; some of it twice."""
    for effect in await client.recall(key):
        yield effect
    async for news in client.subscribe(REQUEST_TOPIC, after=heard):
        if getattr(news.body, "key", None) == key:
            yield news.body


async def _follow(story: AsyncGenerator[Body, None], wish: Create, as_json: bool) -> int:
    """Print the pairs as they are given; return how many there were when the request was over."""
    given = 0
    async for effect in story:
        match effect:
            case Allocated() if effect.number > given:
                given = effect.number
                _print(effect, wish, as_json)
            case Completed():
                return wish.number
            case RequestExpired(delivered=delivered) | RequestCancelled(delivered=delivered):
                return delivered
    return given


def _print(answer: Acknowledged | Allocated, wish: Create, as_json: bool) -> None:
    if as_json:
        write_json({"answer": "ack" if isinstance(answer, Acknowledged) else "ok", **structs.asdict(answer)})
    elif isinstance(answer, Acknowledged):
        click.echo(f"request {answer.create_id} is taken; chance to be served in time: {answer.probability:.0%}")
    else:
        click.echo(
            f"pair {answer.pair} ({answer.number} of {wish.number}): {bell_state(answer.outcome)}, "
            f"fidelity {answer.fidelity:.3f} ({answer.fidelity_low:.3f} to {answer.fidelity_high:.3f}), "
            f"good for {answer.lifetime_ns / 1e6:.1f} ms, waited {answer.waited_ns / 1e6:.1f} ms"
        )
