# amaranth: UnusedElaboratable=no
"""Frames of clicks against the plain-Python encoder, byte for byte."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateware.framing import Sending, split, words

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import Click, Loss, encode_frame
from qlink.firmware_bridge.rice import CodedFrame, channel_bits_of, encode_clicks
from qlink.firmware_bridge.wire import MAX_FRAME_WORDS, OFFSET_BITS, RICE_K_RESET, Coding
from qlink.gateware.click_framer import ClickFramer
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import receiver, sender, simulate

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/wire.json").read_text())["coded"]
PAGE = 1 << OFFSET_BITS
NEVER = 2**32 - 1


def framed(records, *, coded=1, channels=8, stall=0.0, pause=0.0, flush_clocks=NEVER, flush_at=(), parameters=None):
    """The frames that these records leave in. `flush_at`: clocks of flush commands while they come."""
    parameters = parameters or Parameters(channels=channels)
    dut, rng, seen = Sending(ClickFramer(parameters)), random.Random(0), []

    async def flush(ctx):
        for clocks in flush_at:
            await ctx.tick().repeat(clocks)
            ctx.set(dut.flush, 1)
            await ctx.tick()
            ctx.set(dut.flush, 0)

    async def run(ctx):
        ctx.set(dut.coded, coded)
        ctx.set(dut.flush_clocks, flush_clocks)
        await ctx.tick().repeat(2)
        await sender(dut.records, [word for record in records for word in words(record)], rng, pause)(ctx)
        await silence(ctx, dut)
        ctx.set(dut.flush, 1)
        await ctx.tick()
        ctx.set(dut.flush, 0)
        await silence(ctx, dut)
        assert ctx.get(dut.idle)

    background = [receiver(dut.bytes, seen, rng, stall), *([flush] if flush_at else [])]
    simulate(dut, run, background=background, limit=100_000 + 100 * len(records))
    return split(bytes(seen))


async def silence(ctx, dut, clocks=60):
    """Wait until no byte has come for so long."""
    quiet = 0
    while quiet < clocks:
        _, _, valid = await ctx.tick().sample(dut.bytes.valid)
        quiet = 0 if valid else quiet + 1


def poisson(seed, number, mean, channels=8):
    rng, tick, clicks = random.Random(seed), 2**40 + 5, []
    for _ in range(number):
        tick += int(rng.expovariate(1 / mean))
        clicks.append(Click(tick, rng.randrange(channels)))
    return clicks


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_makes_the_golden_frames(vector):
    """From the k that a frame begins with: what goes before brings it there."""
    clicks = [Click(*map(int, text.split(":"))) for text in vector["clicks"].split()]
    before = approach(vector["k"], vector["channels"])
    frames = framed([*before, Loss(0, 0, 1, 48), *clicks], channels=vector["channels"])
    golden = [bytes.fromhex(text) for text in vector["hex"]]
    assert [frame[8:-4] for frame in frames[-len(golden) :]] == [frame[8:-4] for frame in golden]


def approach(wanted, channels):
    """Clicks behind which k is as `wanted`, a frame in each page."""
    clicks, frame = [Click(PAGE, 0)], CodedFrame(Click(PAGE, 0), RICE_K_RESET, channel_bits_of(channels))
    while frame.k != wanted:
        click = Click(clicks[-1].tick + ((1 << frame.k) if frame.k < wanted else 0), 0)
        if frame.takes(click):
            frame.add(click)
        else:
            frame = CodedFrame(click, frame.k, channel_bits_of(channels))
        clicks.append(click)
    return clicks


@pytest.mark.parametrize("mean", [0.3, 3, 100, 1e4, 3e6])
@pytest.mark.parametrize("stall", [0, 0.5])
def test_random_clicks_are_coded_as_the_model_codes_them(mean, stall):
    clicks = poisson(1, 900, mean)
    assert framed(clicks, stall=stall, pause=stall) == list(encode_clicks(clicks, 8))


@pytest.mark.parametrize("channels", [1, 2, 3, 16])
def test_a_channel_takes_the_bits_that_the_board_needs(channels):
    clicks = poisson(channels, 400, 20, channels)
    assert framed(clicks, channels=channels) == list(encode_clicks(clicks, channels))


waits = st.one_of(st.integers(0, 2), st.integers(0, 300), st.integers(0, PAGE), st.sampled_from([PAGE - 1, PAGE]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(waits, st.integers(0, 7)), min_size=1, max_size=60), st.sampled_from([0, 0.4]))
def test_any_clicks_are_coded_as_the_model_codes_them(steps, stall):
    clicks, tick = [], 0
    for wait, channel in steps:
        tick += wait
        clicks.append(Click(tick, channel))
    assert framed(clicks, stall=stall, pause=stall) == list(encode_clicks(clicks, 8))


def test_takes_a_click_in_two_clocks():
    """100 M clicks a second at 200 MHz, frames' ends included."""
    dut = Sending(ClickFramer(Parameters()))
    clicks, clocks = poisson(3, 2000, 20), 0

    async def run(ctx):
        nonlocal clocks
        ctx.set(dut.coded, 1)
        ctx.set(dut.bytes.ready, 1)
        ctx.set(dut.flush_clocks, NEVER)
        await ctx.tick().repeat(2)
        ctx.set(dut.records.valid, 1)
        for click in clicks:
            ctx.set(dut.records.payload, words(click)[0])
            while True:
                clocks += 1
                _, _, ready = await ctx.tick().sample(dut.records.ready)
                if ready:
                    break

    simulate(dut, run, limit=20_000)
    assert clocks / len(clicks) < 2.1


def test_plain_clicks_and_brackets_share_frames():
    clicks = [Click(n, n % 8) for n in range(MAX_FRAME_WORDS + 3)]
    loss = Loss(400, 3, 9, 48)
    frames = framed([*clicks, loss, Click(401, 1)], coded=0)
    assert frames == [
        encode_frame(0, 0, 0, clicks[:MAX_FRAME_WORDS]),
        encode_frame(1, 0, 0, [*clicks[MAX_FRAME_WORDS:], loss, Click(401, 1)]),
    ]


def test_a_plain_frame_does_not_cut_a_bracket():
    clicks, loss = [Click(n, n % 8) for n in range(MAX_FRAME_WORDS - 4)], Loss(400, 3, 9, 48)
    assert framed([*clicks, loss], coded=0) == [encode_frame(0, 0, 0, clicks), encode_frame(1, 0, 0, [loss])]


def test_brackets_keep_their_place_between_coded_clicks():
    before, after = poisson(1, 30, 50), poisson(1, 20, 50)
    losses = [Loss(before[-1].tick + n, 3, 9 + n, 48 + n) for n in range(3)]
    frames = framed([*before, *losses, *after])
    assert [frame[14] for frame in frames] == [Coding.RICE, Coding.PLAIN, Coding.RICE]
    assert frames[1] == encode_frame(1, losses[0].tick >> OFFSET_BITS, 0, losses)
    decoder = Decoder()
    batch = decoder.feed(b"".join(frames))
    assert not decoder.stats.errors
    assert batch.clicks["tick"].tolist() == [click.tick for click in before + after]


@pytest.mark.parametrize("seed", range(4))
def test_flushes_at_any_clock_lose_and_change_nothing(seed):
    rng = random.Random(seed)
    records, tick = [], 0
    for n in range(250):
        tick += rng.choice([0, 1, 30, 3000, PAGE // 2])
        records.append(Click(tick, n % 8) if rng.random() < 0.95 else Loss(tick, 0, n, 48))
    flushes = [rng.randrange(1, 40) for _ in range(60)]
    frames = framed(records, stall=0.2, pause=0.3, flush_at=flushes, flush_clocks=rng.choice([30, NEVER]))
    decoder = Decoder()
    batch = decoder.feed(b"".join(frames))
    assert not decoder.stats.errors
    assert not len(batch.gaps)
    clicks = [(r.tick, r.channel) for r in records if isinstance(r, Click)]
    assert [(int(c["tick"]), int(c["channel"])) for c in batch.clicks] == clicks
    assert batch.losses["count"].tolist() == [r.count for r in records if isinstance(r, Loss)]


def test_an_open_frame_waits_for_its_time_and_no_longer():
    dut = Sending(ClickFramer(Parameters()))
    waited = 0

    async def run(ctx):
        nonlocal waited
        ctx.set(dut.coded, 1)
        ctx.set(dut.flush_clocks, 300)
        await ctx.tick().repeat(2)
        ctx.set(dut.bytes.ready, 1)
        await sender(dut.records, words(Click(1, 0)), random.Random(0), 0)(ctx)
        while not ctx.get(dut.bytes.valid):
            await ctx.tick()
            waited += 1

    simulate(dut, run)
    assert 300 <= waited <= 330


def test_skipping_clocks_passes_the_same_time():
    first_bytes = []
    for skip in (False, True):
        dut = Sending(ClickFramer(Parameters()))
        time = 0

        async def run(ctx, dut=dut, skip=skip):
            nonlocal time
            ctx.set(dut.coded, 1)
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


def test_a_board_without_coding_sends_plain_clicks():
    clicks = poisson(1, 50, 20)
    parameters = Parameters(tag_coding=False)
    assert framed(clicks, parameters=parameters) == [encode_frame(0, clicks[0].tick >> OFFSET_BITS, 0, clicks)]


def test_refuses_a_memory_without_room_for_two_frames():
    with pytest.raises(ValueError, match="frame_depth"):
        ClickFramer(Parameters(frame_depth=256))
