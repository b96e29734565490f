"""Replay a lab recording through the board's RTL, and count what the board makes of it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import REGISTER_MAX, Configuration, Identity, Pattern
from qlink.firmware_bridge.errors import ConfigurationError, EndOfStream
from qlink.firmware_bridge.settings import check
from qlink.firmware_bridge.wire import CONTRACT_VERSION
from qlink.gateware.parameters import Parameters

from .errors import SimulationError
from .recordings import Recording, read_recording
from .sources import Clicks, recorded
from .twin import open_twin
from .twin_build import Progress, silent
from .twin_transport import TwinTransport

PS_PER_S = 1e12
EVENTS_S = 1.0  # of simulated time
SIZES = (4, 8, 16)  # patterns of the boards that are built for replays
SHARE = 10_000  # clicks for which another board is worth while
ALIGNMENT = 4  # ticks; as many as any system clock has

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PatternCount:
    """How often a pattern was heralded, and how often it would be with its last channel late, if that was asked for."""

    channels: tuple[int, ...]
    window_ticks: int
    heralds: int
    accidentals: int | None = None


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


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What one board made of its share of the clicks. Arrays by channel and by pattern."""

    singles: Counts
    heralds: Counts
    accidentals: Counts
    losses: dict[str, int]


def replay(
    file: Path,
    tick_ps: float | None,
    patterns: Sequence[Sequence[int]],
    window: int,
    progress: Progress = silent,
    *,
    accidental_offset: int = 0,
) -> ReplayResult:
    """Count coincidences within `window` ticks on each of `patterns` (channels), one tick per time unit of `file`.

    `tick_ps` is that unit; a PTU file says it by itself. With an `accidental_offset` in ticks, accidentals are counted
    too: each pattern's last channel late by so much. Nothing is counted of a damaged file: `RecordingError`.
    Raises `ConfigurationError` for what the board cannot do, `SimulationError` when its accounts do not agree.
    """
    parameters = replace(board_for(len(patterns)), accidentals=bool(accidental_offset))
    if accidental_offset % parameters.samples:
        raise ConfigurationError(
            f"accidental_offset = {accidental_offset} is no multiple of {parameters.samples} ticks"
        )
    recording = read_recording(file, parameters.channels)
    unit_ps = _unit(recording, tick_ps, file)
    clicks = recording.clicks
    configuration = Configuration(
        patterns=tuple(_pattern(channels, window, accidental_offset) for channels in patterns),
        accidental_clocks=accidental_offset // parameters.samples,
        flush_clocks=REGISTER_MAX,  # nobody waits
        stream_channels=frozenset(),  # the board counts them
    )
    check(configuration, _identity(parameters))  # before anything is built
    open_twin(parameters, progress=progress)  # compiled here, once
    quiet = window + accidental_offset + 2 * parameters.samples
    shares = shared_out(clicks, min(os.cpu_count() or 1, 1 + len(clicks) // SHARE), quiet)
    progress(f"Replaying {len(clicks)} clicks through the board's RTL.")
    with ThreadPoolExecutor(len(shares)) as pool:  # the twin lets go of the GIL
        accounts = list(pool.map(partial(through_board, configuration=configuration, parameters=parameters), shares))
    heralds = np.sum([account.heralds for account in accounts], axis=0)
    late = np.sum([account.accidentals for account in accounts], axis=0)
    return ReplayResult(
        singles=tuple(np.sum([account.singles for account in accounts], axis=0).tolist()),
        patterns=tuple(
            PatternCount(
                tuple(sorted(pattern.required)), window, int(count), int(accidental) if pattern.shifted else None
            )
            for pattern, count, accidental in zip(configuration.patterns, heralds, late, strict=False)
        ),
        losses={kind: sum(account.losses[kind] for account in accounts) for kind in accounts[0].losses},
        duration_s=int(clicks["tick"][-1] - clicks["tick"][0] + 1) * unit_ps / PS_PER_S,
    )


def board_for(patterns: int) -> Parameters:
    """Return the smallest board that is built for replays: one of half the size runs twice as fast."""
    return Parameters(patterns=next((size for size in SIZES if patterns <= size), SIZES[-1])).lean()


def shared_out(clicks: Clicks, shares: int, quiet: int) -> list[Clicks]:
    """Divide a recording where nothing happened for more than `quiet` ticks: what one share holds no other needs.

    At most `shares` of about equal size come of it, each beginning near tick 0, at the same subtick as before.
    """
    pauses = np.flatnonzero(np.diff(clicks["tick"]) > quiet) + 1
    wanted = np.arange(1, shares) * len(clicks) // shares
    after = np.searchsorted(pauses, wanted)
    cuts = np.unique(pauses[after[after < len(pauses)]])
    return [_from_the_start(share) for share in np.split(clicks, cuts)]


def _from_the_start(clicks: Clicks) -> Clicks:
    moved = clicks.copy()
    moved["tick"] -= clicks["tick"][0] & ~np.uint64(ALIGNMENT - 1)
    return moved


def through_board(clicks: Clicks, configuration: Configuration, parameters: Parameters) -> Account:
    """Let a board of its own count `clicks`, and check its account against what went in and what came out."""
    twin = open_twin(parameters)
    transport = TwinTransport(twin, recorded(clicks), parameters.clock_hz)
    with Board(transport) as board:
        board.configure(configuration)
        board.start()
        delivered = _count_heralds(board, parameters.patterns)
        board.stop()
        counters, telemetry = board.snapshot(), board.telemetry
    losses = {
        "unresolved": sum(twin.unresolved),
        "merged": int(counters.merged.sum()),
        "clicks_lost": int(counters.clicks_lost.sum()),
        "heralds_lost": int(counters.heralds_lost.sum()),
        "frames_missing": telemetry.frames.missing,
    }
    singles, heralds = counters.clicks.astype(np.int64), counters.heralds.astype(np.int64)
    counted = int(singles.sum()) + losses["merged"] + losses["unresolved"]
    if counted != len(clicks):
        raise SimulationError(f"{len(clicks)} clicks went into the board, but it accounts for {counted}: report this")
    came = delivered + counters.heralds_lost.astype(np.int64)
    if not losses["frames_missing"] and (came != heralds).any():
        raise SimulationError(f"the board counted {heralds} heralds, but {delivered} came: report this")
    return Account(singles, heralds, counters.accidentals.astype(np.int64), losses)


def _pattern(channels: Sequence[int], window: int, accidental_offset: int) -> Pattern:
    late = channels[-1:] if accidental_offset and len(channels) > 1 else ()
    return Pattern(frozenset(channels), window, shifted=frozenset(late))


def _identity(board: Parameters) -> Identity:
    return Identity(
        contract_version=CONTRACT_VERSION,
        board=board.board,
        channels=board.channels,
        patterns=board.patterns,
        samples=board.samples,
        tick_fs=board.tick_fs,
        clock_hz=board.clock_hz,
        herald_latency=board.herald_latency,
        build=0,
        features=board.features,
        veto_clocks=board.veto_depth,
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


def _count_heralds(board: Board, patterns: int) -> Counts:
    """Count the heralds that come, by pattern, until the clicks have run out."""
    delivered = np.zeros(patterns, np.int64)
    try:
        while True:
            delivered += np.bincount(board.events(EVENTS_S).heralds["pattern"], minlength=patterns)
    except EndOfStream:
        return delivered
