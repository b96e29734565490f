"""Every click is delivered, filtered, or bracketed as lost; in tick order, and every bracket in its place."""

import random

import pytest

from qlink.firmware_bridge.wire import OFFSET_BITS, CounterGroup, Kind, counter_index
from qlink.gateware.clicks import ClickRecorder
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate


class Link:
    """Takes words at random, and none at all during `stalls` (pairs of clocks)."""

    def __init__(self, rng, stalls, busy):
        self._rng = rng
        self._stalls = stalls
        self._busy = busy

    def ready(self, clock):
        return self._rng.random() >= self._busy and not any(begin <= clock < end for begin, end in self._stalls)


def record(parameters, clicks, streamed, link, clocks):
    """Feed `clicks(clock) -> {channel: sub}`. Returns what became of each click, and the records as they came."""
    dut = ClickRecorder(parameters)
    words, fate = [], {"happened": [], "filtered": [], "lost": []}
    samples = parameters.samples

    async def run(ctx):
        ctx.set(dut.streamed, streamed)
        clock = 0
        while clock < clocks or not ctx.get(dut.idle):
            now = clicks(clock) if clock < clocks else {}
            ctx.set(dut.clock, clock)
            for c in range(parameters.channels):
                ctx.set(dut.clicks[c], {"valid": c in now, "sub": now.get(c, 0)})
            ready = link.ready(clock)
            ctx.set(dut.records.ready, ready)
            fates = {"filtered": ctx.get(dut.filtered), "lost": ctx.get(dut.lost)}
            for channel, sub in now.items():
                click = (clock * samples + sub, channel)
                fate["happened"].append(click)
                for name, mask in fates.items():
                    if mask >> channel & 1:
                        fate[name].append(click)
            _, _, valid, payload = await ctx.tick().sample(dut.records.valid, dut.records.payload)
            if valid and ready:
                words.append((payload.word, payload.last, payload.page))
            clock += 1
        assert not any(mask for mask in (ctx.get(dut.filtered), ctx.get(dut.lost)))

    simulate(dut, run, limit=clocks + 20_000)
    return fate, list(parse(words))


def parse(words):
    """Clicks as (tick, channel), brackets as (source, begin, end, count)."""
    body = []
    for word, last, page in words:
        body.append(word)
        if not last:
            continue
        kind, tick = body[0] >> OFFSET_BITS, page << OFFSET_BITS | body[0] & (1 << OFFSET_BITS) - 1
        if kind < 16:
            assert len(body) == 1
            yield tick, kind
        else:
            assert kind == Kind.LOSS
            _, b0, b1, c0, c1 = body
            yield c1 >> 16, b1 << 32 | b0, tick, (c1 & 0xFFFF) << 32 | c0
        body = []


def check(parameters, fate, records, streamed):
    delivered = [r for r in records if len(r) == 2]
    brackets = [r for r in records if len(r) == 4]
    assert delivered == sorted(delivered, key=lambda click: click[0]), "not in tick order"
    assert sorted(delivered + fate["filtered"] + fate["lost"]) == sorted(fate["happened"])
    assert all(streamed >> channel & 1 for _, channel in delivered + fate["lost"])
    assert not any(streamed >> channel & 1 for _, channel in fate["filtered"])
    for channel in range(parameters.channels):
        source = counter_index(CounterGroup.CLICKS_LOST, channel)
        lost = [tick for tick, c in fate["lost"] if c == channel]
        bracketed = [(begin, end, count) for s, begin, end, count in brackets if s == source]
        assert sum(count for _, _, count in bracketed) == len(lost)
        for begin, end, count in bracketed:
            assert [t for t in lost if begin <= t <= end] == lost[:count], "a bracket holds what it says"
            assert begin == lost[0]
            assert end == lost[count - 1]
            lost = lost[count:]
    check_places(records)


def check_places(records):
    """A channel's bracket stands between its clicks before the loss and those after it."""
    for at, entry in enumerate(records):
        if len(entry) == 4:
            source, begin, end, _ = entry
            channel = source - counter_index(CounterGroup.CLICKS_LOST)
            before = [r[0] for r in records[:at] if len(r) == 2 and r[1] == channel]
            after = [r[0] for r in records[at:] if len(r) == 2 and r[1] == channel]
            assert all(tick < begin for tick in before)
            assert all(tick > end for tick in after)


SHAPES = [Parameters(channels=8, samples=4), Parameters(channels=16, samples=2), Parameters(channels=3, samples=1)]


def small(parameters, depth):
    return Parameters(channels=parameters.channels, samples=parameters.samples, click_depth=depth)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda p: f"{p.channels}x{p.samples}")
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_uncounted_under_stalls(shape, seed):
    rng = random.Random(seed)
    parameters = small(shape, [16, 32, 8][seed])
    density = rng.choice([0.02, 0.2, 0.9])
    streamed = rng.getrandbits(shape.channels) | 1
    stalls = [(begin, begin + rng.choice([20, 100, 400])) for begin in rng.sample(range(1500), 4)]

    def clicks(clock):
        hit = [c for c in range(shape.channels) if rng.random() < density]
        return {c: rng.randrange(shape.samples) for c in hit}

    fate, records = record(parameters, clicks, streamed, Link(rng, stalls, busy=0.3), clocks=1500)
    check(parameters, fate, records, streamed)
    assert fate["happened"]


def test_a_stall_that_fits_the_queue_loses_nothing():
    parameters = small(SHAPES[0], 64)
    rng = random.Random(0)
    fate, records = record(parameters, lambda clock: {clock % 8: clock % 4}, 0xFF, Link(rng, [(0, 50)], 0), clocks=50)
    assert not fate["lost"]
    check(parameters, fate, records, 0xFF)


def test_a_stall_for_good_ends_in_one_bracket_a_channel():
    parameters = small(SHAPES[0], 16)
    rng = random.Random(0)
    link = Link(rng, [(0, 1000)], 0)
    fate, records = record(parameters, lambda clock: {clock % 8: clock % 4}, 0xFF, link, clocks=1000)
    check(parameters, fate, records, 0xFF)
    brackets = [r for r in records if len(r) == 4]
    assert len(brackets) == 8
    assert len(fate["lost"]) > 950


def test_a_click_a_clock_is_more_than_the_order_takes_but_one_in_two_is_not():
    parameters = small(SHAPES[0], 64)
    link = Link(random.Random(0), [], 0)
    fate, _ = record(parameters, lambda clock: {0: 0} if clock % 2 == 0 else {}, 0xFF, link, clocks=1500)
    assert not fate["lost"]


def test_ticks_keep_their_page():
    parameters = small(SHAPES[0], 64)
    base = (5 << OFFSET_BITS) // 4 - 10
    dut, words = ClickRecorder(parameters), []

    async def run(ctx):
        ctx.set(dut.streamed, 255)
        ctx.set(dut.records.ready, 1)
        for clock in range(base, base + 60):
            ctx.set(dut.clock, clock)
            ctx.set(dut.clicks[2], {"valid": clock < base + 20, "sub": 3})
            _, _, valid, payload = await ctx.tick().sample(dut.records.valid, dut.records.payload)
            if valid:
                words.append((payload.word, payload.last, payload.page))

    simulate(dut, run)
    assert list(parse(words)) == [(4 * clock + 3, 2) for clock in range(base, base + 20)]
