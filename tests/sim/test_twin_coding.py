"""Coded clicks through the compiled board: the model's bytes, near the limit, and nothing lost that the board holds."""

import os
from math import e, log2
from pathlib import Path

import numpy as np
import pytest

from qlink.firmware_bridge.configuration import Configuration, Identity
from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import Click, encode_request
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.rice import encode_clicks
from qlink.firmware_bridge.settings import settings_of
from qlink.firmware_bridge.wire import HEADER, Coding, CounterGroup, Operation, counter_index
from qlink.gateware.parameters import Parameters
from qlink.sim.recordings import read_recording
from qlink.sim.sources import Clicks, clicks_of
from qlink.sim.twin import Link, Twin, open_twin

BOARD = Parameters()
IDENTITY = Identity(1, "TWIN", BOARD.channels, BOARD.patterns, BOARD.samples, BOARD.tick_fs, BOARD.clock_hz, 0, 0)
DATA = Path(os.environ.get("QLINK_DATA", Path(__file__).parents[2] / "../shared/data"))
BEGIN = 4_000 * BOARD.samples  # ticks until the board is set up
CODED = Configuration(flush_clocks=2_000_000)
SNAPSHOT = encode_request(Operation.WRITE, 1, BY_NAME["command"].address, 1)
FLUSH = encode_request(Operation.WRITE, 2, BY_NAME["command"].address, 2)


def running(configuration: Configuration, link: Link = Link()) -> Twin:  # noqa: B008
    """A twin that is set up, and has answered."""
    writes = [(setting.name, setting.index, setting.value) for setting in settings_of(configuration, IDENTITY)]
    writes.append(("control", 0, 1))
    twin = open_twin(BOARD, link)
    requests = [
        encode_request(Operation.WRITE, n % 256, BY_NAME[w].address + i, v) for n, (w, i, v) in enumerate(writes)
    ]
    twin.run(BEGIN // BOARD.samples, requests=b"".join(requests))
    return twin


def streamed(twin: Twin, clicks: Clicks) -> bytes:
    """All that comes of `clicks`, to the last of them."""
    twin.feed(clicks)
    return twin.settle() + twin.run(500, requests=FLUSH) + twin.settle()


def coded_frames(data: bytes) -> list[bytes]:
    frames = []
    while data:
        size = HEADER.bytes + 4 * int.from_bytes(data[2:4], "little") + 4
        frames.append(data[:size])
        data = data[size:]
    return [frame for frame in frames if frame[HEADER.offsets["coding"]] == Coding.RICE]


def without_number(frame: bytes) -> bytes:
    return frame[:4] + frame[8:-4]


def poisson(mean: float, count: int) -> Clicks:
    rng = np.random.default_rng(int(mean))
    return clicks_of(BEGIN + np.cumsum(rng.geometric(1 / mean, count)), rng.integers(0, 8, count))


def spdc() -> Clicks:
    """The recording in units of 1.04 ns; its first part, but for clicks a tick after another of their channel."""
    path = DATA / "spdc/spdc_pairs.txt"
    if not path.exists():
        pytest.skip(f"no {path}: set QLINK_DATA to the folder of recordings")
    clicks = read_recording(path, channels=8).clicks[:30_000].copy()
    clicks["tick"] = clicks["tick"] // 4 + BEGIN
    return clicks


@pytest.mark.parametrize("mean", [1e4, 1e3, 1e2], ids=["1e5/s", "1e6/s", "1e7/s"])
def test_a_poisson_stream_is_coded_as_the_model_codes_it_and_within_5_percent_of_its_limit(mean: float) -> None:
    twin = running(CODED)
    frames = coded_frames(streamed(twin, poisson(mean, 20_000)))
    decoded = Decoder().feed(b"".join(frames)).clicks
    clicks = [Click(int(tick), int(channel)) for tick, channel in zip(decoded["tick"], decoded["channel"], strict=True)]
    assert 8 * sum(map(len, frames)) / len(clicks) < 1.05 * (log2(e * mean) + 3)
    assert len(clicks) > 19_000  # the others were merged, or no edges
    model = [without_number(frame) for frame in encode_clicks(clicks, 8)]
    assert [without_number(frame) for frame in frames][:-1] == model[: len(frames) - 1]


def test_a_real_recording_at_1_ns_takes_15_5_bits_a_tag() -> None:
    twin = running(CODED)
    frames = coded_frames(streamed(twin, spdc()))
    count = len(Decoder().feed(b"".join(frames)).clicks)
    assert count > 29_000
    assert 8 * sum(map(len, frames)) / count < 15.5


@pytest.mark.parametrize("skipping", [True, False])
def test_both_codings_deliver_the_same_clicks(skipping: bool) -> None:
    delivered = []
    for coding in Coding:
        twin = running(Configuration(coding=coding, flush_clocks=3_000), Link(skipping=skipping))
        decoder = Decoder()
        batch = decoder.feed(streamed(twin, poisson(200, 2_000)))
        assert not len(batch.gaps)
        assert not decoder.stats.errors
        delivered.append(batch.clicks)
    assert np.array_equal(delivered[0], delivered[1])


def test_the_bytes_are_the_same_with_idle_clocks_skipped() -> None:
    streams = [
        streamed(
            running(Configuration(flush_clocks=3_000, snapshot_clocks=7_000), Link(skipping=skipping)),
            poisson(1500, 300),
        )
        for skipping in (True, False)
    ]
    assert streams[0] == streams[1]


@pytest.mark.parametrize("coding", Coding)
def test_8192_clicks_wait_for_the_link(coding: Coding) -> None:
    """On a link that takes nothing: all of them are delivered when it does again."""
    twin = running(Configuration(coding=coding))
    clicks = poisson(16, 8192)
    end = int(clicks["tick"][-1]) // BOARD.samples + 1000
    twin.stall((twin.now, end))
    batch = Decoder().feed(streamed(twin, clicks) + twin.run(2_000, requests=SNAPSHOT) + twin.settle())
    counted = {int(record["index"]): int(record["value"]) for record in batch.counters}
    happened, lost = (
        sum(counted[counter_index(group, c)] for c in range(8))
        for group in (CounterGroup.CLICKS, CounterGroup.CLICKS_LOST)
    )
    assert lost == 0
    assert len(batch.clicks) == happened > 7_000


def test_what_the_link_cannot_carry_is_bracketed() -> None:
    twin = running(Configuration(flush_clocks=3_000), Link(clocks_per_byte=20))
    data = streamed(twin, poisson(8, 40_000)) + twin.run(2_000, requests=SNAPSHOT) + twin.settle()
    decoder = Decoder()
    batch = decoder.feed(data)
    counted = {int(record["index"]): int(record["value"]) for record in batch.counters}
    assert not decoder.stats.errors
    assert (np.diff(batch.clicks["tick"].astype(np.int64)) >= 0).all()
    for channel in range(8):
        lost = counter_index(CounterGroup.CLICKS_LOST, channel)
        assert counted[lost] == batch.losses["count"][batch.losses["source"] == lost].sum() > 0
        assert (
            counted[counter_index(CounterGroup.CLICKS, channel)]
            == counted[lost] + (batch.clicks["channel"] == channel).sum()
        )
