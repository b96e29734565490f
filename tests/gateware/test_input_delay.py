from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlink.gateware.input_delay import InputDelays
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate

DEPTH = 16


def delayed_words(samples, delays, clocks, rng):
    """Random levels, and what comes out, as one number a pin: bit t is the level at tick t."""
    dut = InputDelays(Parameters(samples=samples, delay_depth=DEPTH), len(delays))
    pins = [rng.getrandbits(clocks * samples) for _ in delays]
    seen = [0] * len(delays)
    word = (1 << samples) - 1

    async def drive(ctx):
        ctx.set(dut.ticks, delays)
        for clock in range(clocks):
            ctx.set(dut.i, [pin >> clock * samples & word for pin in pins])
            for number, value in enumerate(ctx.get(dut.o)):
                seen[number] |= value << clock * samples
            await ctx.tick()

    simulate(dut, drive)
    return pins, seen


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_every_delay_is_exact_to_the_tick(samples):
    clocks, settled = 100, 60 * samples
    delays = list(range(DEPTH * samples))
    pins, seen = delayed_words(samples, delays, clocks, Random(1))
    for delay, pin, late in zip(delays, pins, seen, strict=True):
        assert late >> settled == (pin << delay & (1 << clocks * samples) - 1) >> settled, delay


def busy_clocks(delays, change, clocks=120):
    """In which clocks `busy` is high when the pins move in clock `change` only."""
    dut = InputDelays(Parameters(delay_depth=DEPTH), len(delays))
    busy = []

    async def drive(ctx):
        ctx.set(dut.ticks, delays)
        for clock in range(clocks):
            ctx.set(dut.i, [(clock == change) << 2 for _ in delays])
            if ctx.get(dut.busy):
                busy.append(clock)
            await ctx.tick()

    simulate(dut, drive)
    return busy


@settings(max_examples=20, deadline=None)
@given(delays=st.lists(st.integers(0, DEPTH * 4 - 1), min_size=2, max_size=2), change=st.integers(50, 60))
def test_is_busy_until_the_last_pin_has_shown_its_change(delays, change):
    busy = [clock for clock in busy_clocks(delays, change) if clock > change]
    if max(delays) < 4:
        assert not busy
    else:
        assert busy == list(range(change + 1, busy[-1] + 1))
        assert change + max(delays) // 4 + 1 < busy[-1] < change + 4 * DEPTH


def test_is_not_valid_while_the_memory_holds_what_came_before_a_change():
    dut, valid = InputDelays(Parameters(delay_depth=DEPTH), 2), []

    async def drive(ctx):
        for clock in range(100):
            ctx.set(dut.ticks, [7, 9 if clock < 50 else 8])
            valid.append(ctx.get(dut.valid))
            await ctx.tick()

    simulate(dut, drive)
    assert valid[45:53] == [1] * 8
    assert not any(valid[53 : 53 + DEPTH])
    assert all(valid[-10:])
