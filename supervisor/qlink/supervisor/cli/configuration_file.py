"""A board's whole configuration as it is written down: a TOML file. docs/configuration.md has its keys."""

import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from qlink.firmware_bridge.configuration import (
    Branch,
    Configuration,
    Gate,
    Pattern,
    Pulse,
    ReferenceSource,
    Role,
    Sequence,
    Sync,
    Window,
)
from qlink.firmware_bridge.errors import ConfigurationError
from qlink.firmware_bridge.registers import Mode
from qlink.firmware_bridge.wire import Coding

from .patterns import OUTCOMES, parse
from .toml_values import Reader, distinct, numbered, several, span, table, truth, whole, word, worded, wrong

WINDOW = 4  # ticks, of patterns that name none where the file names none either
CHANNELS = distinct(whole)
OF_ATTEMPTS = ("gates", "attempt_clocks", "reference_timeout", "sequence", "sync")  # what gated mode alone has

PATTERN: Mapping[str, Reader[Any]] = {
    "required": CHANNELS,
    "forbidden": CHANNELS,
    "shifted": CHANNELS,
    "window": whole,
    "outcome": word(OUTCOMES),
    "minimum": whole,
    "maximum": whole,
    "guard": whole,
}
BRANCH: Mapping[str, Reader[Any]] = {
    "period": whole,
    "windows": numbered(several(span(Window))),
}
SEQUENCE: Mapping[str, Reader[Any]] = {
    **BRANCH,
    "reference": word({source.value: source for source in ReferenceSource}),
    "attempts": whole,
    "stop_on": distinct(word(OUTCOMES)),
    "timeout": whole,
    "idle_high": CHANNELS,
    "branches": worded(OUTCOMES, table(Branch, BRANCH, needed=("period",))),
}
SYNC: Mapping[str, Reader[Any]] = {
    "role": word({role.value: role for role in Role}),
    "await_ready": truth,
    "ready_timeout": whole,
    "stop_on_success": truth,
}
PULSE: Mapping[str, Reader[Any]] = {"output": whole, "start": whole, "width": whole}


def _streamed(place: str, value: object) -> frozenset[int] | None:
    if value == "all":
        return None
    if not isinstance(value, list):
        raise wrong(place, value, 'a list of channels, or "all"')
    return CHANNELS(place, value)


# Each field of `Configuration`, by its name; `patterns` and `window` belong together, and are in `_patterns`.
FIELDS: Mapping[str, Reader[Any]] = {
    "mode": word({mode.name.lower(): mode for mode in Mode}),
    "gates": numbered(span(Gate)),
    "attempt_clocks": whole,
    "reference_timeout": whole,
    "delays": numbered(whole),
    "reference_delay": whole,
    "accidental_clocks": whole,
    "actions": worded(OUTCOMES, several(table(Pulse, PULSE, needed=PULSE))),
    "sequence": table(Sequence, SEQUENCE, needed=("period",)),
    "sync": table(Sync, SYNC, needed=("role",)),
    "stream_channels": _streamed,
    "shares": numbered(whole),
    "near_heralds": CHANNELS,
    "vicinity": whole,
    "coding": word({coding.name.lower(): coding for coding in Coding}),
    "flush_clocks": whole,
    "snapshot_clocks": whole,
    "time_pps": truth,
    "time_ten_mhz": whole,
}


def read_configuration(path: Path) -> Configuration:
    """Return what the file asks for. Raises `ConfigurationError` that names what is wrong in it.

    Whether a board can do it, `settings.check` says.
    """
    try:
        return configuration_of(tomllib.loads(path.read_text(encoding="utf-8")))
    except RecursionError as error:
        raise ConfigurationError(f"{path}: its lists are nested too deeply") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def configuration_of(given: Mapping[str, object]) -> Configuration:
    """Return what the parsed file `given` asks for. Raises `ValueError` that names what is wrong in it."""
    window = whole("window", given.get("window", WINDOW))
    keys = {"window": whole, "patterns": several(partial(_pattern, window)), **FIELDS}
    return table(_completed, keys)("", given)


def _completed(window: int = WINDOW, **values: Any) -> Configuration:
    """Attempts mean gated mode. No clicks are streamed unless the file says which: heralds do not need them."""
    mode = Mode.GATED if any(key in values for key in OF_ATTEMPTS) else Mode.FREE_RUNNING
    return Configuration(**{"mode": mode, "stream_channels": frozenset(), **values})


def _pattern(window: int, place: str, value: object) -> Pattern:
    """Read a pattern: typed like `0,4,!5=psi-`, or a table of all that it can have."""
    if isinstance(value, str):
        try:
            return parse(value).within(window)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    if not isinstance(value, dict):
        raise wrong(place, value, 'a pattern like "0,4", or a table')
    pattern = table(partial(Pattern, window=window), PATTERN, needed=("required",))(place, value)
    if not pattern.required:
        raise ValueError(f"{place}.required is empty, so the pattern would never fire: name a channel")
    return pattern


config_option = click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with the board's whole configuration; docs/configuration.md has its keys.",
)
