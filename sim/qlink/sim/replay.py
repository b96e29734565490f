"""Replay a lab recording through the board's RTL, and count what the board makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import REGISTER_MAX, Configuration, Pattern
from qlink.firmware_bridge.counters import Counters
from qlink.firmware_bridge.errors import ConfigurationError, EndOfStream
from qlink.firmware_bridge.telemetry import Telemetry
from qlink.gateware.parameters import Parameters

from .errors import SimulationError
from .recordings import Recording, read_recording
from .sources import recorded
from .twin import open_twin
from .twin_build import Progress, silent
from .twin_transport import TwinTransport

PS_PER_S = 1e12
EVENTS_S = 1.0  # of simulated time


@dataclass(frozen=True, slots=True)
class PatternCount:
    """How often a pattern was heralded."""

    channels: tuple[int, ...]
    window_ticks: int
    heralds: int


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What the board counted. `singles` is by channel; every loss is 0 in a replay without one.

    Losses: `unresolved`, clicks a tick or less after another of their channel, so no edge at the pin; `merged`, second
    clicks of a channel within one system clock; `clicks_lost`, `heralds_lost`, bracketed as lost by the board;
    `frames_missing`, on the way to the host.
    """

    singles: tuple[int, ...]
    patterns: tuple[PatternCount, ...]
    losses: dict[str, int]
    duration_s: float  # of lab time


def replay(
    file: Path, tick_ps: float | None, patterns: Sequence[Sequence[int]], window: int, progress: Progress = silent
) -> ReplayResult:
    """Count coincidences within `window` ticks on each of `patterns` (channels), one tick per time unit of `file`.

    `tick_ps` is that unit; a PTU file says it by itself. Nothing is counted of a damaged file: `RecordingError`.
    Raises `ConfigurationError` for what the board cannot do, `SimulationError` when its accounts do not agree.
    """
    parameters = Parameters()
    recording = read_recording(file, parameters.channels)
    unit_ps = _unit(recording, tick_ps, file)
    configuration = Configuration(
        patterns=tuple(Pattern(frozenset(channels), window) for channels in patterns),
        flush_clocks=REGISTER_MAX,  # nobody waits
        stream_channels=frozenset(),  # the board counts them
    )
    clicks = recording.clicks.copy()
    clicks["tick"] -= clicks["tick"][0] // parameters.samples * parameters.samples
    twin = open_twin(parameters, progress=progress)
    progress(f"Replaying {len(clicks)} clicks through the board's RTL.")
    transport = TwinTransport(twin, recorded(clicks), clock_hz=PS_PER_S / (unit_ps * parameters.samples))
    with Board(transport) as board:
        board.configure(configuration)
        board.start()
        delivered = _count_heralds(board, parameters.patterns)
        board.stop()
        counters, telemetry = board.snapshot(), board.telemetry
    losses = _losses(counters, telemetry, sum(twin.unresolved))
    _check(counters, delivered, losses, len(clicks))
    return ReplayResult(
        singles=tuple(counters.clicks.tolist()),
        patterns=tuple(
            PatternCount(tuple(sorted(pattern.required)), window, int(heralds))
            for pattern, heralds in zip(configuration.patterns, counters.heralds, strict=False)
        ),
        losses=losses,
        duration_s=int(clicks["tick"][-1] - clicks["tick"][0]) * unit_ps / PS_PER_S,
    )


def _unit(recording: Recording, tick_ps: float | None, file: Path) -> float:
    known = recording.tick_ps
    if tick_ps is None:
        if known is None:
            raise ConfigurationError(f"{file} does not say what its time unit is: give it as tick_ps")
        return known
    if not tick_ps > 0:
        raise ConfigurationError(f"tick_ps has to be above 0, not {tick_ps}")
    if known is not None and abs(known - tick_ps) > 1e-6 * known:
        raise ConfigurationError(f"{file} says that its time unit is {known:g} ps: leave tick_ps out")
    return tick_ps


def _count_heralds(board: Board, patterns: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Count the heralds that come, by pattern, until the clicks have run out."""
    delivered = np.zeros(patterns, np.int64)
    try:
        while True:
            delivered += np.bincount(board.events(EVENTS_S).heralds["pattern"], minlength=patterns)
    except EndOfStream:
        return delivered


def _losses(counters: Counters, telemetry: Telemetry, unresolved: int) -> dict[str, int]:
    return {
        "unresolved": unresolved,
        "merged": int(counters.merged.sum()),
        "clicks_lost": int(counters.clicks_lost.sum()),
        "heralds_lost": int(counters.heralds_lost.sum()),
        "frames_missing": telemetry.frames.missing,
    }


def _check(
    counters: Counters, delivered: np.ndarray[tuple[int], np.dtype[np.int64]], losses: dict[str, int], clicks: int
) -> None:
    """Compare the board's counts with what went in and with what came out."""
    counted = int(counters.clicks.sum()) + losses["merged"] + losses["unresolved"]
    if counted != clicks:
        raise SimulationError(f"{clicks} clicks went into the board, but it accounts for {counted}: report this")
    came = delivered + counters.heralds_lost.astype(np.int64)
    if not losses["frames_missing"] and (came != counters.heralds.astype(np.int64)).any():
        raise SimulationError(f"the board counted {counters.heralds} heralds, but {delivered} came: report this")
