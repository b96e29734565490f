from collections import Counter
from random import Random

import pytest

from qlink.gateware.tally import COUNT_BITS, LOOK_CLOCKS, STEPS, Tally
from qlink.sim.bench import simulate

DEPTH = 16


def counted(hits, start=0):
    """What the bins hold after `hits`, one a clock, None for none, if they began at `start`; how often one was full."""
    dut, values, full = Tally(DEPTH, start), [], []

    async def drive(ctx):
        for place in hits:
            ctx.set(dut.hit, place is not None)
            ctx.set(dut.index, place or 0)
            full.append(ctx.get(dut.full))
            await ctx.tick()
        ctx.set(dut.hit, 0)
        for _ in range(2 * STEPS):
            full.append(ctx.get(dut.full))
            await ctx.tick()
        for place in range(DEPTH):
            ctx.set(dut.look, place)
            await ctx.tick().repeat(LOOK_CLOCKS)
            values.append(ctx.get(dut.value))

    simulate(dut, drive)
    return values, sum(full)


@pytest.mark.parametrize("places", [1, 2, 3, 16])
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_a_hit_in_every_clock_is_counted(places, density):
    rng = Random(f"{places} {density}")
    hits = [rng.randrange(places) if rng.random() < density else None for _ in range(600)]
    expected = Counter(hits)
    assert counted(hits) == ([expected[place] for place in range(DEPTH)], 0)


@pytest.mark.parametrize("gap", range(1, 9))
def test_two_hits_at_any_distance_are_two(gap):
    values, _ = counted([5, *[None] * (gap - 1), 5])
    assert values[5] == 2


def test_a_bin_at_its_end_stays_there_and_says_so():
    most = 2**COUNT_BITS - 1
    values, full = counted([1, None, 2, 2, None, 3, 3, 3, 4, 4, 4, 4], start=most - 2)
    assert values[:5] == [most - 2, most - 1, most, most, most]
    assert full == 3


def test_bins_are_cleared_one_by_one():
    dut, values = Tally(DEPTH), []

    async def drive(ctx):
        ctx.set(dut.hit, 1)
        for place in range(DEPTH):
            ctx.set(dut.index, place)
            await ctx.tick()
        ctx.set(dut.hit, 0)
        ctx.set(dut.zero, 1)
        for place in range(4, 9):
            ctx.set(dut.index, place)
            await ctx.tick()
        ctx.set(dut.zero, 0)
        await ctx.tick().repeat(STEPS)
        ctx.set(dut.hit, 1)
        ctx.set(dut.index, 5)
        await ctx.tick()
        ctx.set(dut.hit, 0)
        await ctx.tick().repeat(2 * STEPS)
        for place in range(DEPTH):
            ctx.set(dut.look, place)
            await ctx.tick().repeat(LOOK_CLOCKS)
            values.append(ctx.get(dut.value))

    simulate(dut, drive)
    assert values == [1] * 4 + [0, 1, 0, 0, 0] + [1] * 7
