"""Delays of inputs as they are typed: `3=-120`, `reference=40`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import click

REFERENCE = "reference"
FORM = re.compile(rf"(?P<input>\d+|{REFERENCE})=(?P<ticks>[+-]?\d+)")


@dataclass(frozen=True, slots=True)
class Delays:
    """Signed ticks, by channel and for the reference."""

    channels: dict[int, int] = field(default_factory=dict)
    reference: int = 0


def parse(texts: Sequence[str]) -> Delays:
    """Return what `texts` mean; ValueError says what is wrong with them."""
    ticks: dict[str, int] = {}
    for text in texts:
        match = FORM.fullmatch(text.replace(" ", ""))
        if match is None:
            raise ValueError(f"{text!r} is no delay: write CHANNEL=TICKS like 3=-120, or reference=40")
        name = match["input"] if match["input"] == REFERENCE else str(int(match["input"]))
        if name in ticks:
            raise ValueError(f"{text!r}: this input has a delay already")
        ticks[name] = int(match["ticks"])
    reference = ticks.pop(REFERENCE, 0)
    return Delays({int(channel): value for channel, value in ticks.items()}, reference)


def _parse(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> Delays:
    try:
        return parse(values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


delay_option = click.option(
    "--delay",
    "delays",
    multiple=True,
    metavar="CHANNEL=TICKS",
    callback=_parse,
    help="Delay an input by so many ticks, signed: 3=-120, reference=40. Can be given several times.",
)
