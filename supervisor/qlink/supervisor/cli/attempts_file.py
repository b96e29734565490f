"""A board's attempts as they are written down: a TOML file."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qlink.firmware_bridge.configuration import (
    Configuration,
    Gate,
    ReferenceSource,
    Role,
    Sequence,
    Sync,
    Window,
)
from qlink.firmware_bridge.errors import ConfigurationError
from qlink.firmware_bridge.registers import Mode

from .patterns import OUTCOMES, parse

KEYS = {
    "": ("attempt_clocks", "reference_timeout", "patterns", "window", "gates", "sequence", "sync"),
    "sequence": ("period", "windows", "reference", "attempts", "stop_on", "timeout", "idle_high"),
    "sync": ("role", "await_ready", "ready_timeout", "stop_on_success"),
}


def read_attempts(path: Path) -> Configuration:
    """Return what the file asks for. Raises `ConfigurationError` that names what is wrong in it."""
    try:
        given = tomllib.loads(path.read_text())
        return _configuration(given)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(f"{path}: {reason}") from error


def _configuration(given: Mapping[str, Any]) -> Configuration:
    _check_keys("", given)
    window = given.get("window", 4)
    return Configuration(
        patterns=tuple(parse(text).within(window) for text in given.get("patterns", ())),
        mode=Mode.GATED,
        gates={int(channel): Gate(*ticks) for channel, ticks in given.get("gates", {}).items()},
        attempt_clocks=given["attempt_clocks"],
        reference_timeout=given.get("reference_timeout", 0),
        stream_channels=frozenset(),
        sequence=_sequence(given["sequence"]) if "sequence" in given else None,
        sync=_sync(given["sync"]) if "sync" in given else None,
    )


def _sequence(given: Mapping[str, Any]) -> Sequence:
    _check_keys("sequence", given)
    windows = given.get("windows", {}).items()
    return Sequence(
        period=given["period"],
        windows={int(trigger): tuple(Window(*clocks) for clocks in several) for trigger, several in windows},
        reference=ReferenceSource(given.get("reference", "own")),
        attempts=given.get("attempts", 0),
        stop_on=frozenset(OUTCOMES[name] for name in given.get("stop_on", ())),
        timeout=given.get("timeout", 0),
        idle_high=frozenset(given.get("idle_high", ())),
    )


def _sync(given: Mapping[str, Any]) -> Sync:
    _check_keys("sync", given)
    return Sync(**{**given, "role": Role(given["role"])})


def _check_keys(table: str, given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in KEYS[table]:
            place = f" in [{table}]" if table else ""
            raise ValueError(f"{key!r}{place} is unknown: there are {', '.join(KEYS[table])}")
