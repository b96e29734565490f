# amaranth: UnusedElaboratable=no
import json
import random
from pathlib import Path

import numpy as np
import pytest
from tests.gateware.framing import Sending, split, words

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import Click, Counter, Herald, Reply, encode_frame, encode_payload, encode_record
from qlink.firmware_bridge.wire import HEADER, MAX_FRAME_WORDS, OFFSET_BITS
from qlink.gateware.framer import Framer
from qlink.gateware.parameters import Parameters
from qlink.gateware.sender import FrameSender
from qlink.sim.bench import receiver, sender, simulate

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/wire.json").read_text())["frames"]
PAGE = 1 << OFFSET_BITS
NEVER = 2**32 - 1


def frame(records, *, flush_clocks=NEVER, flush_after=None, stall=0.0, pause=0.0, limit=20_000):
    """The frames that these records leave in."""
    dut, rng, seen = Sending(Framer(Parameters())), random.Random(0), []

    async def run(ctx):
        ctx.set(dut.flush_clocks, flush_clocks)
        await ctx.tick().repeat(2)
        await sender(dut.records, [word for record in records for word in words(record)], rng, pause)(ctx)
        if flush_after is not None:
            await ctx.tick().repeat(flush_after)
            ctx.set(dut.flush, 1)
            await ctx.tick()
            ctx.set(dut.flush, 0)
        quiet = 0
        while quiet < 20 + min(flush_clocks, 2000):
            _, _, valid = await ctx.tick().sample(dut.bytes.valid)
            quiet = 0 if valid else quiet + 1

    simulate(dut, run, background=[receiver(dut.bytes, seen, rng, stall)], limit=limit)
    return split(bytes(seen))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("place", [0, 1])
def test_sends_the_golden_frames(vector, place):
    golden = bytes.fromhex(vector["hex"])
    payload = np.frombuffer(golden[HEADER.bytes : -4], "<u4")
    dut, rng, seen = FrameSender(), random.Random(0), []
    source = dut.sources[place]

    async def memory(ctx):
        address = 0
        while True:
            ctx.set(source.word, int(payload[min(address, len(payload) - 1)]))  # a clock after `taken`
            _, _, taken = await ctx.tick().sample(source.taken)
            address += taken

    async def run(ctx):
        ctx.set(dut.epoch, vector["epoch"])
        await ctx.tick().repeat(2)
        await sender(source.frames, [{"words": len(payload), "page": vector["page"]}], rng)(ctx)
        await ctx.tick().until(dut.idle)

    simulate(dut, run, background=[memory, receiver(dut.bytes, seen, rng, 0)])
    assert bytes(seen) == encode_payload(0, vector["page"], vector["epoch"], payload.tobytes())
    if vector["sequence"] == 0:
        assert bytes(seen) == golden


@pytest.mark.parametrize(
    ("epoch", "page", "wrapped", "sent"),
    [
        (7, 0, 1, 7),
        (7, 2**37 - 1, 0, 7),  # a timebase that is old, not wrapped
        (7, 2**36, 1, 6),
        (1, 2**36, 1, 255),
        (0, 2**36, 1, 0),
    ],
)
def test_a_page_from_before_the_ticks_wrapped_is_of_the_epoch_before(epoch, page, wrapped, sent):
    dut, rng, seen = FrameSender(), random.Random(0), []

    async def run(ctx):
        ctx.set(dut.epoch, epoch)
        ctx.set(dut.wrapped, wrapped)
        await ctx.tick().repeat(2)
        await sender(dut.sources[0].frames, [{"words": 1, "page": page}], rng)(ctx)
        await ctx.tick().until(dut.idle)

    simulate(dut, run, background=[receiver(dut.bytes, seen, rng, 0)])
    assert bytes(seen) == encode_payload(0, page, sent, bytes(4))


def test_a_full_frame_is_closed_before_the_click_that_does_not_fit():
    clicks = [Click(n, n % 8) for n in range(MAX_FRAME_WORDS + 3)]
    expected = [encode_frame(0, 0, 0, clicks[:MAX_FRAME_WORDS]), encode_frame(1, 0, 0, clicks[MAX_FRAME_WORDS:])]
    assert frame(clicks, flush_after=5) == expected


def test_a_longer_record_is_not_cut():
    records = [*(Click(n, 0) for n in range(MAX_FRAME_WORDS - 3)), Counter(9, 1, 2, 3)]
    assert frame(records, flush_after=5) == [encode_frame(0, 0, 0, records[:-1]), encode_frame(1, 0, 0, records[-1:])]


def test_a_page_has_a_frame_of_its_own():
    clicks = [Click(PAGE - 1, 0), Click(PAGE, 0), Click(PAGE + 1, 0)]
    assert frame(clicks, flush_after=5) == [encode_frame(0, 0, 0, clicks[:1]), encode_frame(1, 1, 0, clicks[1:])]


@pytest.mark.parametrize("record", [Herald(5, 0, 1, 2, {}), Reply(5, 1, 0, 2, 3)], ids=["herald", "reply"])
def test_a_herald_or_reply_leaves_at_once_with_what_is_there(record):
    assert frame([Click(1, 0), record]) == [encode_frame(0, 0, 0, [Click(1, 0), record])]


def test_no_click_joins_a_frame_after_its_herald():
    herald = Herald(5, 0, 1, 2, {})
    frames = frame([herald, Click(6, 0)], flush_after=5)
    assert frames == [encode_frame(0, 0, 0, [herald]), encode_frame(1, 0, 0, [Click(6, 0)])]


def test_heralds_that_wait_for_the_same_way_out_share_a_frame():
    heralds = [Herald(n, n, 1, 2, {}) for n in range(30)]
    frames = frame(heralds, stall=0.8)
    assert len(frames) < 6
    assert b"".join(f[HEADER.bytes : -4] for f in frames) == b"".join(map(encode_record, heralds))


def test_clicks_leave_when_flush_clocks_have_passed():
    assert frame([Click(1, 0)], flush_clocks=100) == [encode_frame(0, 0, 0, [Click(1, 0)])]


def test_an_open_frame_waits_for_its_time_and_no_longer():
    dut = Sending(Framer(Parameters()))
    waited = 0

    async def run(ctx):
        nonlocal waited
        ctx.set(dut.flush_clocks, 300)
        await ctx.tick().repeat(2)
        ctx.set(dut.bytes.ready, 1)
        await sender(dut.records, words(Click(1, 0)), random.Random(0), 0)(ctx)
        while not ctx.get(dut.bytes.valid):
            await ctx.tick()
            waited += 1

    simulate(dut, run)
    assert 295 <= waited <= 310


def test_skipping_clocks_passes_the_same_time():
    first_bytes = []
    for skip in (False, True):
        dut = Sending(Framer(Parameters()))
        time = 0

        async def run(ctx, dut=dut, skip=skip):
            nonlocal time
            ctx.set(dut.flush_clocks, 1000)
            await ctx.tick().repeat(2)
            await sender(dut.records, words(Click(1, 0)), random.Random(0), 0)(ctx)
            while not ctx.get(dut.bytes.valid):
                jump = min(ctx.get(dut.deadline), 377) if skip and ctx.get(dut.idle) else 0
                ctx.set(dut.skip, jump)
                await ctx.tick()
                time += 1 + jump

        simulate(dut, run)
        first_bytes.append(time)
    assert first_bytes[0] == first_bytes[1]


def test_an_idle_framer_has_no_deadline_without_an_open_frame():
    dut = Sending(Framer(Parameters()))

    async def run(ctx):
        await ctx.tick().repeat(5)
        assert ctx.get(dut.idle)
        assert ctx.get(dut.deadline) == 2**32 - 1

    simulate(dut, run)


@pytest.mark.parametrize("seed", range(3))
def test_random_records_are_decoded_as_they_were_under_random_stalls(seed):
    rng = random.Random(seed)
    records, tick = [], 2**40
    for n in range(300):
        tick += rng.choice([1, 3, 100, PAGE // 3])
        records.append(
            rng.choice([Click(tick, n % 16), Click(tick, 3), Herald(tick, n, 1, 2, {3: 4}), Counter(tick, 1, 2, n)])
        )
    data = b"".join(frame(records, flush_after=5, stall=0.3 * seed, pause=0.2, limit=60_000))
    batch = Decoder().feed(data)
    assert [(c["tick"], c["channel"]) for c in batch.clicks] == [
        (r.tick, r.channel) for r in records if isinstance(r, Click)
    ]
    assert [(h["tick"], h["sequence"]) for h in batch.heralds] == [
        (r.tick, r.sequence) for r in records if isinstance(r, Herald)
    ]
    assert [(c["tick"], c["value"]) for c in batch.counters] == [
        (r.tick, r.value) for r in records if isinstance(r, Counter)
    ]
    assert not len(batch.gaps)


def test_refuses_a_memory_without_room_for_two_frames():
    with pytest.raises(ValueError, match="frame_depth"):
        Framer(Parameters(frame_depth=256))
