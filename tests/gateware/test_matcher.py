from random import Random

import pytest
from amaranth.hdl import Module

from qlink.gateware.lifetime import Lifetime, Reach, horizon
from qlink.gateware.matcher import PatternMatcher
from qlink.gateware.parameters import Parameters
from qlink.gateware.veto import ForbiddenTracker
from qlink.sim.bench import simulate


def matched(clicks, window, samples, clocks, starts=()):
    """Show clicks on channels 0 and 1, both required, and return the ticks of the completions."""
    dut, seen = PatternMatcher(Parameters(channels=3, samples=samples)), []
    places = {(tick // samples, channel): tick % samples for tick, channel in clicks}

    async def bench(ctx):
        for name, value in {"clear": 1, "enable": 1, "required": 0b11, "window": window}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(4)
        ctx.set(dut.clear, 0)
        await ctx.tick().repeat(2)
        for clock in range(clocks + 1):
            for channel in range(2):
                sub = places.get((clock, channel))
                ctx.set(dut.slot.clicks[channel], {"valid": sub is not None, "sub": sub or 0})
            ctx.set(dut.slot.start, clock in starts)
            await ctx.tick()
            if ctx.get(dut.fired):
                seen.append((clock - 2) * samples + ctx.get(dut.sub))

    simulate(dut, bench)
    return seen


@pytest.mark.parametrize("samples", [1, 2, 4])
@pytest.mark.parametrize("window", [0, 1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("first", [16, 17, 18, 19])
def test_completes_up_to_the_window_and_no_later(samples, window, first):
    delays = [0, max(window - 1, 0), window, window + 1]
    pairs = [(first + 40 * place, first + 40 * place + delay) for place, delay in enumerate(delays)]
    clicks = [(tick, channel) for pair in pairs for channel, tick in enumerate(pair)]
    assert matched(clicks, window, samples, 180 // samples) == [last for _, last in pairs[:3]]


def test_two_completions_may_follow_each_other_at_once():
    assert matched([(16, 0), (16, 1), (20, 0), (20, 1), (25, 1), (27, 0)], 3, 4, 12) == [16, 20, 27]


def test_a_click_after_the_completion_in_the_same_clock_is_kept():
    assert matched([(15, 0), (16, 1), (18, 0), (20, 1)], 4, 4, 12) == [16, 20]


def test_a_click_at_the_completion_replaces_the_older_one():
    assert matched([(15, 0), (16, 0), (17, 1), (20, 1)], 4, 4, 12) == [17]


def test_the_start_of_an_attempt_drops_what_is_held():
    clicks = [(17, 0), (20, 1), (22, 0)]
    assert matched(clicks, 8, 4, 12) == [20]
    assert matched(clicks, 8, 4, 12, starts=[5]) == [22]


def with_horizon(dut):
    m = Module()
    m.submodules.dut = dut
    m.d.comb += dut.horizon.eq(horizon(m, dut.parameters, dut.window))
    return m


def near(clicks, window, samples, clocks, starts=()):
    """The ticks that are near one of the forbidden `clicks`, by a tracker."""
    dut, seen = ForbiddenTracker(Parameters(samples=samples)), []
    delay = -(-window // samples)
    latency = 3

    async def bench(ctx):
        for name, value in {"begin": 1, "window": 2 * window, "shift": delay * samples - window}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(8)
        for clock in range(clocks + delay + latency - 1):
            ctx.set(dut.begin, clock in starts)
            ctx.set(dut.clicks, sum((clock * samples + s in clicks) << s for s in range(samples)))
            await ctx.tick()
            judged = clock - delay - latency + 1
            mask = ctx.get(dut.near)
            seen.extend(judged * samples + s for s in range(samples) if mask >> s & 1)

    simulate(with_horizon(dut), bench)
    return [tick for tick in seen if tick >= 0]


@pytest.mark.parametrize("samples", [1, 2, 4])
@pytest.mark.parametrize("window", [0, 1, 2, 3, 4, 5, 6, 7, 8, 21])
def test_a_tick_is_near_a_forbidden_click_within_the_window(samples, window):
    rng, clocks = Random(f"{samples} {window}"), 160 // samples
    clicks = {rng.randrange(160) for _ in range(160 // (2 * window + 4))}
    expected = [tick for tick in range(160) if any(abs(tick - click) <= window for click in clicks)]
    assert near(clicks, window, samples, clocks) == expected


def test_a_tracker_forgets_the_clicks_before_it_begins():
    assert near({15, 30}, 4, 4, 16, starts=[4]) == [11, *range(26, 35)]
    assert near({15, 30}, 4, 4, 16) == [*range(11, 20), *range(26, 35)]


def test_the_longest_window_does_not_wrap():
    dut, alive = Lifetime(Parameters(samples=1), 17), []

    async def bench(ctx):
        ctx.set(dut.window, 2 * 65535)
        await ctx.tick().repeat(2)
        ctx.set(dut.click.valid, 1)
        await ctx.tick()
        ctx.set(dut.click.valid, 0)
        for clocks in (65_000, 66_000, 69, 1, 1):
            await ctx.tick().repeat(clocks)
            alive.append(ctx.get(dut.alive))

    simulate(with_horizon(dut), bench, limit=140_000)
    assert alive == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("window", range(6))
def test_reach_is_the_window_within_a_clock(window):
    dut = Reach(Parameters(samples=4), 16)

    async def bench(ctx):
        ctx.set(dut.window, window)
        await ctx.tick()
        for clicks in range(16):
            ctx.set(dut.clicks, clicks)
            expected = sum(1 << s for s in range(4) if any(clicks >> c & 1 for c in range(max(0, s - window), s + 1)))
            assert ctx.get(dut.alive) == expected

    simulate(dut, bench)
