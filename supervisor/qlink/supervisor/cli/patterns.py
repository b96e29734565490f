"""Coincidence patterns as they are typed: `0,4`, `0,4,!5`, `0,~4`, `0,4=psi-`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import click

from qlink.firmware_bridge.configuration import WINDOW_MAX, Outcome, Pattern

OUTCOMES = {
    "phi+": Outcome.PHI_PLUS,
    "psi-": Outcome.PSI_MINUS,
    "psi+": Outcome.PSI_PLUS,
    "phi-": Outcome.PHI_MINUS,
}
FORM = re.compile(r"(?P<channels>[!~]?\d+(,[!~]?\d+)*)(=(?P<outcome>[a-z]+[+-]))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pattern without its window."""

    required: tuple[int, ...]  # in the order typed
    forbidden: tuple[int, ...]
    outcome: Outcome
    shifted: tuple[int, ...] = ()

    def within(self, window: int) -> Pattern:
        """Return the pattern with a window of so many ticks."""
        return Pattern(
            frozenset(self.required), window, self.outcome, frozenset(self.forbidden), frozenset(self.shifted)
        )


def parse(text: str) -> Wanted:
    """Return what `text` means; ValueError says what is wrong with it."""
    match = FORM.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError(f"{text!r} is no pattern: write channels like 0,4, forbidden ones like !5, shifted ~4")
    outcome = match["outcome"] or "psi+"
    if outcome not in OUTCOMES:
        raise ValueError(f"{outcome!r} in {text!r} is no Bell state: there are {', '.join(OUTCOMES)}")
    channels = match["channels"].split(",")
    if len({channel.lstrip("!~") for channel in channels}) < len(channels):
        raise ValueError(f"a channel stands twice in {text!r}")
    required = tuple(int(channel.lstrip("~")) for channel in channels if not channel.startswith("!"))
    if not required:
        raise ValueError(f"{text!r} requires no channel, so it would never fire")
    forbidden = tuple(int(channel[1:]) for channel in channels if channel.startswith("!"))
    shifted = tuple(int(channel[1:]) for channel in channels if channel.startswith("~"))
    return Wanted(required, forbidden, OUTCOMES[outcome], shifted)


def typed(pattern: Pattern) -> str:
    """Return a pattern as it is typed; its window and limits are no part of that."""
    names = {outcome: name for name, outcome in OUTCOMES.items()}
    required = (f"~{channel}" if channel in pattern.shifted else f"{channel}" for channel in sorted(pattern.required))
    forbidden = (f"!{channel}" for channel in sorted(pattern.forbidden))
    return f"{','.join((*required, *forbidden))}={names[pattern.outcome]}"


def _parse_all(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> tuple[Wanted, ...]:
    try:
        return tuple(parse(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


pattern_option = click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="CHANNELS",
    callback=_parse_all,
    help="Channels whose clicks make a herald: 0,4 or, with 5 forbidden, 0,4,!5; =psi- names what it heralds; "
    "~4 is late for the accidental counter. Can be given several times. Multiplicities, guard times and windows of "
    "their own stand in a file, see `qlinkctl up --config`.",
)
window_option = click.option(
    "--window", type=click.IntRange(0, WINDOW_MAX), default=4, help="Coincidence window of the patterns, in ticks."
)
