# amaranth: UnusedElaboratable=no
"""What compact boards have instead of the parts of the others: the same behaviour, with fewer cells."""

import random
import zlib
from dataclasses import replace

import pytest
from tests.gateware.framing import Sending, split, words

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import (
    Counter,
    Herald,
    Loss,
    Reply,
    encode_frame,
    encode_payload,
    encode_record,
    encode_request,
)
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, Kind, Operation, Status, counter_index
from qlink.gateware.framer import Framer
from qlink.gateware.parameters import COMPACT as SIZES
from qlink.gateware.parameters import Parameters
from qlink.gateware.record_writer import RecordWriter
from qlink.gateware.reporting import Reporting
from qlink.gateware.serial_crc import SerialCrc32
from qlink.gateware.serial_sender import SerialSender
from qlink.sim.bench import receiver, sender, simulate

COMPACT = Parameters(
    **{"channels": 3, "patterns": 2, "samples": 2, "window_bits": 10, "herald_depth": 8, "frame_depth": 128},
    **SIZES,
    **{"pulses": 0, "sync": False, "pps": False, "ten_mhz": False},
)
MOST = COMPACT.frame_depth // 2  # words of a frame
NEVER = 2**32 - 1
PAGE = 1 << 27


@pytest.mark.parametrize("data", [b"", b"123456789", bytes(range(40))])
def test_the_crc_is_that_of_the_contract(data):
    dut = SerialCrc32()
    behind = zlib.crc32(data).to_bytes(4, "little")

    async def run(ctx):
        async def feed(some):
            for bit in (byte >> n & 1 for byte in some for n in range(8)):
                ctx.set(dut.bit, bit)
                ctx.set(dut.valid, 1)
                await ctx.tick()
            ctx.set(dut.valid, 0)

        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await feed(data)
            assert ctx.get(dut.crc) == zlib.crc32(data)
            await feed(behind)
            assert ctx.get(dut.right)
            await feed(b"x")
            assert not ctx.get(dut.right)

    simulate(dut, run)


def frames_of(records, *, stall=0.0, pause=0.0, limit=60_000):
    dut, rng, seen = Sending(Framer(COMPACT), SerialSender()), random.Random(0), []

    async def run(ctx):
        ctx.set(dut.flush_clocks, NEVER)
        ctx.set(dut.epoch, 3)
        await ctx.tick().repeat(2)
        await sender(dut.records, [word for record in records for word in words(record)], rng, pause)(ctx)
        await ctx.tick().repeat(5)
        ctx.set(dut.flush, 1)
        await ctx.tick()
        ctx.set(dut.flush, 0)
        quiet = 0
        while quiet < 100:
            _, _, valid = await ctx.tick().sample(dut.bytes.valid)
            quiet = 0 if valid else quiet + 1
        assert ctx.get(dut.idle)

    simulate(dut, run, background=[receiver(dut.bytes, seen, rng, stall)], limit=limit)
    return split(bytes(seen))


@pytest.mark.parametrize("seed", range(3))
def test_frames_of_random_records_are_decoded_as_they_were_under_random_stalls(seed):
    rng = random.Random(seed)
    records, tick = [], 2**40
    for n in range(60):
        tick += rng.choice([1, 3, 100, PAGE // 3])
        records.append(rng.choice([Loss(tick, 1, 2, n), Herald(tick, n, 1, 2, {3: 4}), Counter(tick, 1, 2, n)]))
    frames = frames_of(records, stall=0.3 * seed, pause=0.2)
    batch = Decoder().feed(b"".join(frames))
    assert not len(batch.gaps)
    for kind, seen in ((Herald, batch.heralds["tick"]), (Counter, batch.counters["tick"]), (Loss, batch.losses["end"])):
        assert list(seen) == [record.tick for record in records if isinstance(record, kind)]


def test_frames_are_as_long_as_half_the_memory():
    records = [Counter(n, 1, 2, 3) for n in range(MOST // 4 + 1)]
    expected = [encode_frame(n, 0, 3, some) for n, some in enumerate((records[:-1], records[-1:]))]
    assert frames_of(records) == expected


@pytest.mark.parametrize(("page", "wrapped", "sent"), [(0, 1, 7), (2**37 - 1, 0, 7), (2**36, 1, 6)])
def test_a_page_from_before_the_ticks_wrapped_is_of_the_epoch_before(page, wrapped, sent):
    dut, rng, seen = SerialSender(), random.Random(0), []

    async def run(ctx):
        ctx.set(dut.epoch, 7)
        ctx.set(dut.wrapped, wrapped)
        await ctx.tick().repeat(2)
        await sender(dut.source.frames, [{"words": 1, "page": page}], rng)(ctx)
        await ctx.tick().until(dut.idle)

    simulate(dut, run, background=[receiver(dut.bytes, seen, rng, 0)], limit=2000)
    assert bytes(seen) == encode_payload(0, page, sent, bytes(4))


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_records_are_written_whole_and_by_rank(stall):
    dut = RecordWriter((Kind.LOSS, Kind.HERALD, Kind.REPLY, Kind.COUNTER), (Kind.HERALD,))
    rng, seen, heralds = random.Random(1), [], [Herald(n << 27, n, 1, 2, {}) for n in range(9)]
    events = {
        "loss": [{"tick": 1 + n, "begin": n, "count": 2**47 + n, "source": 50} for n in range(7)],
        "reply": [{"tick": n, "id": n, "status": 1, "address": 77, "value": n << 20} for n in range(8)],
        "counter": [{"tick": 5, "snapshot": 1, "index": n, "value": n << 60} for n in range(9)],
    }
    expected = {
        "loss": [Loss(1 + n, n, 2**47 + n, 50) for n in range(7)],
        "reply": [Reply(n, n, 1, 77, n << 20) for n in range(8)],
        "counter": [Counter(5, 1, n, n << 60) for n in range(9)],
        "herald": heralds,
    }

    async def run(ctx):
        await sender(dut.herald, [word for record in heralds for word in words(record)], rng, 0.0)(ctx)
        await ctx.tick().repeat(600)
        assert ctx.get(dut.idle)

    sources = [sender(getattr(dut, name), some, rng, 0.2) for name, some in events.items()]
    simulate(dut, run, background=[receiver(dut.records, seen, rng, stall), *sources], limit=4000)
    records, record = [], []
    for word in seen:
        record.append(word)
        if word.last:
            records.append((record[0].page, b"".join(w.word.to_bytes(4, "little") for w in record)))
            record = []
    assert not record
    for some in expected.values():
        wanted = [(r.tick >> 27, encode_record(r)) for r in some]
        assert [seen for seen in records if seen in wanted] == wanted
    assert len(records) == sum(map(len, expected.values()))


def write(name, value):
    return encode_request(Operation.WRITE, 1, BY_NAME[name].address, value)


@pytest.mark.parametrize("seed", range(2))
def test_heralds_and_snapshots_are_delivered_or_bracketed(seed):
    """The front end gives no herald that it has lost, and says so; the link stalls at times."""
    rng, dut, seen = random.Random(seed), Reporting(COMPACT, build=1), bytearray()
    waiting, given, lost = [], 0, [0, 0]
    down = list(write("snapshot_clocks", 900))
    clock, attempts = 50, 0

    async def step(ctx, active):
        nonlocal clock, given, attempts
        ctx.set(dut.clock, clock)
        ctx.set(dut.heralds_lost, 0)
        if active and rng.random() < 0.02:
            pattern = rng.randrange(2)
            if len(waiting) < 40:
                waiting.extend(words(Herald(2 * clock, given + sum(lost), pattern, 0, {})))
                given += 1
            else:
                ctx.set(dut.heralds_lost, 1 << pattern)
                lost[pattern] += 1
        begins = active and rng.random() < 0.3
        attempts += begins
        ctx.set(dut.counts.attempts, begins)
        ctx.set(dut.heralds.valid, bool(waiting))
        ctx.set(dut.recorded, 1)
        if waiting:
            ctx.set(dut.heralds.payload, waiting[0])
        ctx.set(dut.downstream.valid, bool(down))
        ctx.set(dut.downstream.payload, down[0] if down else 0)
        ready = not active or rng.random() < 0.07
        ctx.set(dut.upstream.ready, ready)
        streams = (dut.heralds.ready, dut.downstream.ready, dut.upstream.valid, dut.upstream.payload)
        _, _, taken, heard, valid, byte = await ctx.tick().sample(*streams)
        if valid and ready:
            seen.append(byte)
        if taken and waiting:
            waiting.pop(0)
        if heard and down:
            down.pop(0)
        clock += 1

    async def run(ctx):
        for _ in range(4000):
            await step(ctx, active=True)
        for name, value in (("snapshot_clocks", 0), ("command", 1), ("command", 2)):
            down.extend(write(name, value))
            while down or not ctx.get(dut.idle):
                await step(ctx, active=False)

    simulate(dut, run, limit=60_000)
    batch = Decoder().feed(bytes(seen))
    assert not len(batch.gaps)
    assert {int(reply["status"]) for reply in batch.replies} == {Status.OK}
    assert len(batch.heralds) == given
    assert sum(lost) > 0
    last = batch.counters[batch.counters["snapshot"] == batch.counters["snapshot"].max()]
    counts = {int(c["index"]): int(c["value"]) for c in last}
    assert counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.ATTEMPTS)] == attempts
    missed = counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.SNAPSHOTS_LOST)]
    assert missed + len(set(batch.counters["snapshot"].tolist())) == int(batch.counters["snapshot"].max()) + 1
    for pattern in range(2):
        source = counter_index(CounterGroup.HERALDS_LOST, pattern)
        assert counts[source] == batch.losses["count"][batch.losses["source"] == source].sum() == lost[pattern]
    assert counter_index(CounterGroup.CLICKS_FILTERED) not in counts


@pytest.mark.parametrize("name", ["veto_depth", "filter_depth", "click_depth"])
def test_a_compact_board_goes_without(name):
    with pytest.raises(ValueError, match=f"a compact board has none of .*{name}"):
        replace(COMPACT, **{name: 1024})


def test_only_a_compact_board_has_nothing_that_vetoes():
    with pytest.raises(ValueError, match="veto_depth is 0 on compact boards only"):
        replace(COMPACT, compact=False)
