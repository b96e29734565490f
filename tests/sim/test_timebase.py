"""The board's timebase on the twin: other clocks' edges, resets in the midst of a stream, ticks that wrap."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sim.test_twin import BOARD, CALM, FLUSH_CLOCKS, QUIET_CLOCKS, running

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Identity, Pattern
from qlink.firmware_bridge.decoder import Decoder, concatenate
from qlink.firmware_bridge.encoding import Time, encode_request
from qlink.firmware_bridge.errors import BoardReset
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.settings import settings_of
from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, Operation, TimeSource, counter_index
from qlink.gateware.engine import TimingEngine
from qlink.gateware.parameters import Parameters
from qlink.sim.sources import PPS, TEN_MHZ, clicks_of
from qlink.sim.times import note
from qlink.sim.twin import Link, Twin, open_twin
from qlink.sim.twin_build import Design, compile_design
from qlink.sim.verilog import convert

BEFORE_WRAP = 6_000  # clocks
WRAPPING = Parameters(channels=4, patterns=2).lean()
SNAPSHOT = encode_request(Operation.WRITE, 1, BY_NAME["command"].address, 1)
INPUT = {TimeSource.PPS: PPS, TimeSource.TEN_MHZ: TEN_MHZ}
TIMED = Configuration(time_pps=True, time_ten_mhz=50, flush_clocks=FLUSH_CLOCKS)


def other_clock(seed: int, clocks: int) -> list[tuple[int, TimeSource]]:
    """The edges of a 10 MHz clock that is 20 ppm fast, and pulses every 2,000 of them: a long second would be long."""
    rng = np.random.default_rng(seed)
    ten_mhz = np.unique(np.round(17 + np.arange(0, clocks * 4, 80 * (1 - 20e-6)) + rng.normal(0, 1, 10**6)[0]))
    pps = ten_mhz[::2_000] + 3
    return [*((int(t), TimeSource.TEN_MHZ) for t in ten_mhz), *((int(t), TimeSource.PPS) for t in pps)]


def fed(twin: Twin, edges: list[tuple[int, TimeSource]], clocks: int) -> Batch:
    start = (twin.now + 100) * BOARD.samples
    ticks, channels = (np.array(column) for column in zip(*((t, INPUT[s]) for t, s in edges), strict=True))
    data = twin.run(clocks, clicks_of(ticks + start, channels)) + twin.run(200_000, requests=SNAPSHOT)
    batch = Decoder().feed(data)
    batch.times["tick"] -= np.uint64(start)
    return batch


@pytest.mark.parametrize("skipping", [True, False])
def test_edges_of_another_clock_come_as_the_model_says(skipping: bool) -> None:
    edges = other_clock(1, 200_000)
    batch = fed(running(TIMED, Link(skipping=skipping)), edges, 210_000)
    noted = note(BOARD.samples, edges, pps=True, ten_mhz=50)
    came = [Time(int(t["tick"]), TimeSource(t["source"]), int(t["number"]), int(t["edges"])) for t in batch.times]
    assert sorted(came, key=lambda time: (time.tick, time.source)) == noted.records
    assert len(noted.records) > 200


def test_what_is_noted_too_often_for_the_link_is_bracketed() -> None:
    edges = other_clock(2, 20_000)
    twin = running(Configuration(time_ten_mhz=1, flush_clocks=FLUSH_CLOCKS))
    twin.stall((twin.now + 2_000, twin.now + 15_000))
    batch = fed(twin, edges, 30_000)
    happened = sum(source == TimeSource.TEN_MHZ for _, source in edges)
    source = counter_index(CounterGroup.GLOBAL, GlobalCounter.TEN_MHZ_LOST)
    lost = int(batch.losses["count"][batch.losses["source"] == source].sum())
    assert len(batch.times) + lost == happened
    assert int(batch.counters["value"][batch.counters["index"] == source][-1]) == lost > 0
    assert int(batch.times["number"][-1]) < happened


class Swapped:
    """A twin as a transport that may be reset under its host."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self._passed = 0

    def read(self, size: int, timeout_s: float) -> bytes:
        until = self.twin.now + max(1_000, round(timeout_s * BOARD.clock_hz))
        return self.twin.work(until, 10**6, size, until_answered=True)

    def now_s(self) -> float:
        return (self._passed + self.twin.now) / BOARD.clock_hz

    def write(self, data: bytes) -> None:
        self.twin.request(data)

    def close(self) -> None:
        """Nothing to give up."""

    def reset(self) -> None:
        self._passed += self.twin.now
        self.twin.reset()


def clicks_at(port: Swapped, board: Board, offsets: list[int]) -> Batch:
    """What the board tells of clicks that come so many ticks from now."""
    start = (port.twin.now + 100) * BOARD.samples
    port.twin.feed(clicks_of(start + np.array(offsets), 0))
    batches: list[Batch] = []
    while sum([len(batch.clicks) for batch in batches]) < len(offsets):
        batches.append(board.events(0.001))
        board.flush()
    return concatenate(batches)


def test_a_reset_in_the_midst_of_a_stream_begins_a_later_epoch() -> None:
    port = Swapped(running(CALM))
    configuration = Configuration((Pattern(frozenset({0}), 0),))
    with Board(port) as board:
        assert board.epoch == 1
        board.configure(configuration)
        board.start()
        before = clicks_at(port, board, [400, 4_000, 40_000])
        port.reset()
        board.read("magic")  # a board that stands still says nothing unless it is asked
        told = board.events(0.0)
        with pytest.raises(BoardReset, match="configure and start it again"):
            board.events(0.0)
        board.configure(configuration)
        board.start()
        assert board.epoch == 2
        after = clicks_at(port, board, [40, 400])
        board.stop()
        assert board.telemetry.clicks.missing == 0
        assert board.telemetry.clicks.expected == 2
    stream = concatenate([before, told, after])
    assert stream.clicks["epoch"].tolist() == stream.heralds["epoch"].tolist() == [1, 1, 1, 2, 2]
    assert (np.diff(after.clicks["tick"].astype(np.int64)) > 0).all()
    assert int(after.clicks["tick"][0]) < int(before.clicks["tick"][-1])  # it is the epoch that tells
    assert stream.epochs[["epoch", "before"]].tolist() == [(2, 1)]
    with Board(port, epoch=9) as board:  # one that remembers more than this board has seen
        assert board.epoch == 258


def test_a_board_that_was_not_reset_keeps_its_epoch() -> None:
    port = Swapped(running(CALM))
    for _ in range(2):
        with Board(port, epoch=6) as board:
            assert board.epoch == 7
    port.reset()
    with Board(port, epoch=7) as board:
        assert board.epoch == 8


@cache
def late_library() -> Path:
    """The board `WRAPPING`, its ticks about to wrap."""
    make: Callable[..., Any] = TimingEngine  # Amaranth components have no types
    engine = make(WRAPPING, timebase_start=2**WRAPPING.clock_bits - BEFORE_WRAP)
    return compile_design(Design(convert(engine), WRAPPING.channels, WRAPPING.samples))


def wrapping_requests() -> bytes:
    """What names the epoch and sets that board up."""
    identity = Identity(
        1, "TWIN", WRAPPING.channels, WRAPPING.patterns, WRAPPING.samples, WRAPPING.tick_fs, WRAPPING.clock_hz, 0, 0
    )
    patterns = (Pattern(frozenset({0, 1}), window=30), Pattern(frozenset({2}), window=9, forbidden=frozenset({3})))
    settings = settings_of(Configuration(patterns, flush_clocks=FLUSH_CLOCKS), identity)
    writes = [("epoch", 0, 4), *((setting.name, setting.index, setting.value) for setting in settings)]
    return b"".join(
        encode_request(Operation.WRITE, 1, BY_NAME[name].address + index, value)
        for name, index, value in [*writes, ("control", 0, BY_NAME["control"].pack(run=1))]
    )


@pytest.mark.parametrize("stalled", [0, 5_000])
def test_ticks_that_wrap_begin_a_later_epoch(stalled: int) -> None:
    """The same clicks on a board that starts at 0, and on one whose ticks wrap in their midst."""
    rng = np.random.default_rng(8)
    ticks = QUIET_CLOCKS * 4 + np.cumsum(rng.geometric(1 / 40, 600))
    clicks = clicks_of(ticks, rng.integers(0, WRAPPING.channels, 600))
    assert int(clicks["tick"][0]) // 4 < BEFORE_WRAP < int(clicks["tick"][-1]) // 4
    batches = []
    for twin in (open_twin(WRAPPING), Twin(late_library(), WRAPPING.channels, WRAPPING.samples)):
        twin.run(QUIET_CLOCKS, requests=wrapping_requests())
        twin.stall((BEFORE_WRAP - 100, BEFORE_WRAP - 100 + stalled))
        data = twin.run(30_000, clicks) + twin.run(300_000, requests=SNAPSHOT)
        batches.append(Decoder().feed(data))
    early, late = batches
    passed = np.uint64(BEFORE_WRAP * WRAPPING.samples)
    assert len(early.clicks) > 500
    assert len(early.heralds) > 50
    for first, second in ((early.clicks, late.clicks), (early.heralds, late.heralds)):
        assert (second["tick"] == first["tick"] - passed).all()
        assert (second["epoch"] == np.where(first["tick"] >= passed, 5, 4)).all()
        names = [name for name in first.dtype.names or () if name not in ("tick", "epoch", "pad")]
        assert all((first[name] == second[name]).all() for name in names)
    assert late.epochs["epoch"].tolist() == [5]
    assert early.counters["value"].tolist() == late.counters["value"].tolist()
