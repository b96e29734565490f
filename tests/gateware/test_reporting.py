# amaranth: UnusedElaboratable=no
"""The back end by itself: what it is told against what the host decodes."""

import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.wire import HEADER, OFFSET_BITS, CounterGroup, GlobalCounter, Operation, counter_index
from qlink.gateware.parameters import Parameters
from qlink.gateware.reporting import Reporting
from qlink.sim.bench import simulate

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/wire.json").read_text())
SMALL = Parameters(channels=3, patterns=2, samples=2, click_depth=16, record_depth=32, frame_depth=512)
TINY = Parameters(channels=2, patterns=1, samples=1, click_depth=8, record_depth=8, frame_depth=512)
SNAPSHOT = encode_request(Operation.WRITE, 200, BY_NAME["command"].address, 1)
FLUSH = encode_request(Operation.WRITE, 201, BY_NAME["command"].address, 2)
SNAPSHOTS_LOST = counter_index(CounterGroup.GLOBAL, GlobalCounter.SNAPSHOTS_LOST)


def write(name, value, identifier=0):
    return encode_request(Operation.WRITE, identifier, BY_NAME[name].address, value)


class Bench:
    """Drives a `Reporting` clock by clock: bytes in, bytes out, and a front end by hand."""

    def __init__(self, parameters=SMALL, start=0):
        self.dut = Reporting(parameters, build=1, counters_start=start)
        self.parameters = parameters
        self.clock = 0
        self.down = bytearray()
        self.up = bytearray()
        self.heralds = []
        self.ready = 1
        self._clicked = False

    async def step(self, ctx, clicks=(), heralds_lost=0, skip=0):
        dut, clicks = self.dut, dict(clicks)
        ctx.set(dut.clock, self.clock)
        if clicks or self._clicked:
            for c in range(self.parameters.channels):
                ctx.set(dut.clicks[c], {"valid": c in clicks, "sub": clicks.get(c, 0)})
            ctx.set(dut.counts.clicks, sum(1 << c for c in clicks))
        self._clicked = bool(clicks)
        ctx.set(dut.heralds_lost, heralds_lost)
        ctx.set(dut.heralds.valid, bool(self.heralds))
        if self.heralds:
            ctx.set(dut.heralds.payload, self.heralds[0])
        ctx.set(dut.downstream.valid, bool(self.down))
        ctx.set(dut.downstream.payload, self.down[0] if self.down else 0)
        ctx.set(dut.upstream.ready, self.ready)
        ctx.set(dut.skip, skip)
        streams = (dut.upstream, dut.downstream, dut.heralds)
        sampled = (dut.upstream.payload, streams[0].valid, streams[1].ready, streams[2].ready)
        _, _, payload, valid, taken, herald_taken = await ctx.tick().sample(*sampled)
        if valid and self.ready:
            self.up.append(payload)
        if taken and self.down:
            del self.down[0]
        if herald_taken and self.heralds:
            del self.heralds[0]
        self.clock += 1 + skip

    async def settle(self, ctx):
        """Until nothing happens any more but the open frame's growing old."""
        self.ready = 1
        while not ctx.get(self.dut.idle) or self.down or self.heralds:
            await self.step(ctx)

    async def snapshot(self, ctx):
        self.down += SNAPSHOT
        await self.settle(ctx)
        await self.flush(ctx)

    async def flush(self, ctx):
        self.down += FLUSH
        await self.settle(ctx)

    def decode(self):
        return Decoder().feed(bytes(self.up))


def split(data):
    """The frames in an intact stream of bytes."""
    frames = []
    while data:
        length = HEADER.bytes + 4 * int.from_bytes(data[2:4], "little") + 4
        frames.append(data[:length])
        data = data[length:]
    return frames


def counters_of(batch, snapshot):
    chosen = batch.counters[batch.counters["snapshot"] == snapshot]
    return {int(c["index"]): int(c["value"]) for c in chosen}


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: vector["name"])
def test_answers_the_golden_requests_with_the_golden_replies(vector):
    bench = Bench(TINY)
    golden = bytes.fromhex(vector["reply_hex"])
    tick = int.from_bytes(golden[HEADER.bytes :][:4], "little") & ((1 << OFFSET_BITS) - 1)
    before = [write("scratch", 0xDEADBEEF)] if vector["name"] == "read_scratch" else []

    async def run(ctx):
        bench.down += b"".join([*before, bytes.fromhex(vector["hex"])])
        for _ in range(400):
            bench.clock = tick
            await bench.step(ctx)

    simulate(bench.dut, run)
    replies = bytes(bench.up)
    payload = slice(-len(golden) + HEADER.bytes, -4)
    assert len(replies) == len(golden) * (1 + len(before))
    assert replies[payload] == golden[payload]


@pytest.mark.parametrize("seed", range(3))
def test_delivered_filtered_and_lost_make_what_happened(seed):
    rng = random.Random(seed)
    start = rng.choice([0, 2**32 - 40, 2**45])
    bench = Bench(start=start)
    happened, heralds, lost_heralds = [], [], [0] * SMALL.patterns
    streamed = 0b101

    async def run(ctx):
        bench.down += write("stream_channels", streamed)
        await bench.settle(ctx)
        stalled = 0
        for _ in range(1200):
            density = rng.choice([0, 0.01, 0.6])
            clicks = {c: rng.randrange(2) for c in range(SMALL.channels) if rng.random() < density}
            happened.extend((2 * bench.clock + sub, c) for c, sub in clicks.items())
            stalled = max(0, stalled - 1) or (rng.randrange(500) if rng.random() < 0.006 else 0)
            bench.ready = not stalled and rng.random() < 0.8
            lost = 0
            if rng.random() < 0.03:
                pattern = rng.randrange(SMALL.patterns)
                if len(bench.heralds) < 4:
                    bench.heralds.append({"tick": 2 * bench.clock, "pattern": pattern, "sequence": len(heralds)})
                    heralds.append((2 * bench.clock, pattern))
                else:
                    lost = 1 << pattern
                    lost_heralds[pattern] += 1
            await bench.step(ctx, clicks, lost)
        await bench.settle(ctx)
        await bench.snapshot(ctx)

    simulate(bench.dut, run, limit=40_000)
    batch = bench.decode()
    assert not len(batch.gaps)
    ticks = batch.clicks["tick"].astype(object)
    assert np.all(np.diff(ticks.astype(np.int64)) >= 0)
    counts = counters_of(batch, int(batch.counters["snapshot"][-1]))
    delivered = [(int(c["tick"]), int(c["channel"])) for c in batch.clicks]
    assert set(delivered) <= set(happened)
    for channel in range(SMALL.channels):
        names = ("CLICKS", "CLICKS_FILTERED", "CLICKS_LOST")
        clicks, filtered, lost = (counts[counter_index(CounterGroup[name], channel)] - start for name in names)
        source = counter_index(CounterGroup.CLICKS_LOST, channel)
        assert clicks == sum(c == channel for _, c in happened)
        assert clicks == sum(c == channel for _, c in delivered) + filtered + lost
        assert lost == batch.losses["count"][batch.losses["source"] == source].sum()
        assert bool(filtered) == (not streamed >> channel & 1)
    for pattern in range(SMALL.patterns):
        source = counter_index(CounterGroup.HERALDS_LOST, pattern)
        assert counts[source] - start == lost_heralds[pattern]
        assert batch.losses["count"][batch.losses["source"] == source].sum() == lost_heralds[pattern]
    assert [(int(h["tick"]), int(h["pattern"])) for h in batch.heralds] == heralds


def test_a_snapshot_counts_the_clicks_before_its_tick_and_no_other():
    bench = Bench()
    happened = []

    async def run(ctx):
        bench.down += write("snapshot_clocks", 431)
        rng = random.Random(0)
        for _ in range(2200):
            clicks = {c: rng.randrange(2) for c in range(3) if rng.random() < 0.5}
            happened.extend((2 * bench.clock + sub, c) for c, sub in clicks.items())
            await bench.step(ctx, clicks)
        bench.down += write("snapshot_clocks", 0)
        await bench.settle(ctx)
        await bench.flush(ctx)

    simulate(bench.dut, run)
    batch = bench.decode()
    for snapshot in set(batch.counters["snapshot"].tolist()):
        counts = counters_of(batch, snapshot)
        (tick,) = set(batch.counters["tick"][batch.counters["snapshot"] == snapshot].tolist())
        for channel in range(3):
            assert counts[channel] == sum(t < tick and c == channel for t, c in happened)
    ticks = sorted(set(batch.counters["tick"].tolist()))
    assert len(ticks) >= 3
    assert {after - before for before, after in pairwise(ticks)} == {2 * 431}


def test_a_snapshot_that_falls_due_while_one_is_sent_is_counted_and_bracketed():
    bench = Bench()

    async def run(ctx):
        bench.down += write("snapshot_clocks", 20)
        for _ in range(800):
            await bench.step(ctx)
        bench.down += write("snapshot_clocks", 0)
        await bench.settle(ctx)
        await bench.snapshot(ctx)

    simulate(bench.dut, run)
    batch = bench.decode()
    last = int(batch.counters["snapshot"].max())
    lost = counters_of(batch, last)[SNAPSHOTS_LOST]
    assert lost > 0
    brackets = batch.losses[batch.losses["source"] == SNAPSHOTS_LOST]
    assert brackets["count"].sum() == lost
    assert len(set(batch.counters["snapshot"].tolist())) + lost == last + 1  # numbered, lost ones too


def test_a_herald_overtakes_the_clicks_that_wait():
    bench = Bench()

    async def run(ctx):
        bench.down += write("stream_channels", 7)
        await bench.settle(ctx)
        bench.up.clear()
        bench.ready = 0
        for _ in range(2 * SMALL.frame_depth):  # until there is no room in frames any more
            await bench.step(ctx, {0: 0})
        bench.heralds.append({"tick": 2 * bench.clock, "pattern": 1})
        await bench.step(ctx)
        await bench.settle(ctx)
        await bench.flush(ctx)

    simulate(bench.dut, run, limit=20_000)
    frames = split(bytes(bench.up))
    with_herald = [n for n, frame in enumerate(frames) if len(Decoder().feed(frame).heralds)]
    assert len(with_herald) == 1
    later = b"".join(frames[with_herald[0] + 1 :])
    assert len(Decoder().feed(later).clicks) >= SMALL.record_depth // 2


def skipping(skip, stimulus):
    """The bytes that come of `stimulus` (clock: channels that click), idle clocks skipped or not."""
    bench = Bench()
    end = 9_000

    async def run(ctx):
        bench.down += write("stream_channels", 7) + write("flush_clocks", 900) + write("snapshot_clocks", 1700)
        await bench.settle(ctx)
        bench.clock = 1000
        while bench.clock < end:
            clicks = {c: 1 for c in stimulus.get(bench.clock, ())}
            jump = 0
            if skip and not clicks and ctx.get(bench.dut.idle):
                ahead = [clock for clock in stimulus if clock > bench.clock]
                jump = min(min(ahead, default=end) - bench.clock - 1, ctx.get(bench.dut.deadline))
            await bench.step(ctx, clicks, skip=max(0, jump))

    simulate(bench.dut, run, limit=40_000)
    return bytes(bench.up)


def test_the_bytes_are_the_same_with_idle_clocks_skipped():
    rng = random.Random(7)
    stimulus = {rng.randrange(1000, 8_500): rng.sample(range(3), rng.randrange(1, 4)) for _ in range(20)}
    plain, skipped = skipping(False, stimulus), skipping(True, stimulus)
    assert plain
    assert skipped == plain
