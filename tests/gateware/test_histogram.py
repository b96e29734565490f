from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlink.firmware_bridge.histogram import HistogramSettings
from qlink.gateware.histogram import LOOK_CLOCKS, Histogram
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate
from qlink.sim.histogram import histogram

BINS = 16
CHANNELS = 3
BEGIN = 20  # clocks that the settings are given to arrive


@dataclass
class Seen:
    """What the registers show in the end, and how many clocks were computed until the last click was counted."""

    counts: list[int]
    starts: int
    stops: int
    outside: int
    evaluated: int


def values(chosen, samples):
    return {
        "start": chosen.start,
        "stop": chosen.stop,
        "width": chosen.width.bit_length() - 1,
        "clocks": abs(chosen.offset) // samples,
        "of_stop": chosen.offset < 0,
    }


async def show(ctx, dut, now):
    for channel in range(CHANNELS):
        ctx.set(dut.clicks[channel], {"valid": channel in now, "sub": now.get(channel, 0)})
    await ctx.tick()


async def read(ctx, dut, evaluated):
    """Stop, and read everything."""
    ctx.set(dut.control.run, 0)
    counts = []
    for place in range(BINS):
        ctx.set(dut.control.look, place)
        await ctx.tick().repeat(LOOK_CLOCKS)
        counts.append(ctx.get(dut.state.bin))
    state = dut.state
    return Seen(counts, ctx.get(state.starts), ctx.get(state.stops), ctx.get(state.outside), evaluated)


def counted(chosen, samples, clicks, skip=False):
    """What comes of `clicks`: by clock, the subticks by channel."""
    dut, seen = Histogram(Parameters(channels=CHANNELS, samples=samples, histogram_bins=BINS)), []
    end = max(clicks, default=0) + abs(chosen.offset) // samples + 40

    async def drive(ctx):
        await ctx.tick().repeat(3)
        ctx.set(dut.control, {"run": 1, **values(chosen, samples)})
        clock, evaluated = -BEGIN, 0
        while clock < end:
            coming = min((c for c in clicks if c > clock), default=end)
            idle = clock not in clicks and ctx.get(dut.idle)
            skipped = coming - clock - 1 if skip and idle else 0
            ctx.set(dut.skip, skipped)
            await show(ctx, dut, clicks.get(clock, {}))
            clock, evaluated = clock + 1 + skipped, evaluated + 1
        ctx.set(dut.skip, 0)
        seen.append(await read(ctx, dut, evaluated))

    simulate(dut, drive, limit=1_000_000)
    return seen[0]


def agrees(chosen, samples, clicks, seen):
    starts, stops = (
        [clock * samples + clicks[clock][channel] for clock in sorted(clicks) if channel in clicks[clock]]
        for channel in (chosen.start, chosen.stop)
    )
    model = histogram(chosen, BINS, starts, stops)
    assert seen.counts == model.counts
    assert (seen.starts, seen.stops) == (len(starts), len(stops))
    assert seen.outside == model.starts_outside + model.stops_outside
    assert sum(seen.counts) + seen.outside == seen.starts + seen.stops


def random_clicks(rng, samples, clocks, density, stretch=1):
    return {
        clock * stretch: {c: rng.randrange(samples) for c in range(CHANNELS) if rng.random() < density}
        for clock in range(clocks)
    }


@settings(max_examples=25, deadline=None)
@given(
    samples=st.sampled_from([1, 2, 4]),
    channels=st.permutations(range(CHANNELS)),
    width=st.integers(0, 6),
    clocks=st.integers(-9, 9),
    density=st.sampled_from([0.03, 0.3, 0.8, 1.0]),
    seed=st.integers(0, 1000),
)
def test_agrees_with_the_model(samples, channels, width, clocks, density, seed):
    chosen = HistogramSettings(channels[0], channels[1], 1 << width, clocks * samples)
    clicks = random_clicks(Random(seed), samples, 200, density)
    agrees(chosen, samples, clicks, counted(chosen, samples, clicks))


def test_a_click_on_both_channels_in_every_clock_is_counted():
    clicks = {clock: {0: 1, 1: 3, 2: 0} for clock in range(300)}
    seen = counted(HistogramSettings(0, 1), 4, clicks)
    assert seen.counts == [0] * 6 + [299] + [0] * 3 + [300] + [0] * 5
    assert (seen.starts, seen.stops, seen.outside) == (300, 300, 1)


@pytest.mark.parametrize("offset", [0, 28, -28])
def test_skipping_idle_clocks_changes_nothing(offset):
    rng = Random(offset)
    chosen = HistogramSettings(2, 0, 64, offset)
    clicks = random_clicks(rng, 4, 60, 0.5, stretch=97) | random_clicks(rng, 4, 20, 0.5)
    plain, skipping = (counted(chosen, 4, clicks, skip=skip) for skip in (False, True))
    assert skipping.evaluated < plain.evaluated / 1.2
    assert (plain.counts, plain.starts, plain.outside) == (skipping.counts, skipping.starts, skipping.outside)
    agrees(chosen, 4, clicks, plain)


def test_is_empty_after_it_was_cleared_even_in_a_run():
    dut, seen = Histogram(Parameters(channels=CHANNELS, histogram_bins=BINS)), []

    async def drive(ctx):
        ctx.set(dut.control, {"run": 1, **values(HistogramSettings(0, 1), 4)})
        for clock in range(100):
            await show(ctx, dut, {0: 1, 1: 2} if clock < 60 else {})
            ctx.set(dut.control.clear, clock == 50)
        await ctx.tick().repeat(100)
        assert not ctx.get(dut.state.clearing)
        assert ctx.get(dut.idle)
        seen.append(await read(ctx, dut, 0))

    simulate(dut, drive)
    assert (seen[0].counts, seen[0].starts, seen[0].stops, seen[0].outside) == ([0] * BINS, 0, 0, 0)
