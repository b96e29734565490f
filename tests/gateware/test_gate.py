from random import Random

import pytest
from amaranth.hdl import Module, Signal

from qlink.gateware.attempt import AttemptTracker
from qlink.gateware.gate import Mark, reaches
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate

OUTPUTS = ("start", "inside", "flagged", "doubled", "missed")


def tracked(references, clocks, *, merged=(), samples=4, **settings):
    """Show references, given by tick, and return for each output the clocks in which it is high."""
    parameters = Parameters(samples=samples)
    dut, seen = AttemptTracker(parameters), {name: [] for name in OUTPUTS}
    ticks = {tick // samples: tick % samples for tick in references}

    async def bench(ctx):
        ctx.set(dut.clear, 1)
        ctx.set(dut.enable, 1)
        for name, value in settings.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(4)
        for clock in range(clocks):
            ctx.set(dut.clear, 0)
            ctx.set(dut.reference, {"valid": clock in ticks, "sub": ticks.get(clock, 0)})
            ctx.set(dut.merged, clock in merged)
            await ctx.tick()
            for name in OUTPUTS:
                if ctx.get(getattr(dut, name)):
                    seen[name].append(clock)

    simulate(dut, bench)
    return seen


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_an_attempt_lasts_its_clocks_from_that_of_its_reference(length):
    seen = tracked([22, 61], 30, attempt_clocks=length)
    assert seen["start"] == [5, 15]
    assert seen["inside"] == [*range(5, 5 + length), *range(15, 15 + length)]


def test_a_reference_starts_the_next_attempt_in_the_first_clock_after_the_last():
    assert tracked([20, 40, 59], 30, attempt_clocks=5)["start"] == [5, 10]
    assert tracked([20, 39, 59], 30, attempt_clocks=5)["start"] == [5, 14]


def test_a_reference_during_an_attempt_doubles_it():
    seen = tracked([20, 30, 60], 30, attempt_clocks=6)
    assert (seen["doubled"], seen["start"]) == ([7], [5, 15])
    assert seen["flagged"] == [*range(7, 15)]


def test_a_second_reference_in_the_clock_that_starts_an_attempt_doubles_it():
    seen = tracked([20], 10, merged=[5], attempt_clocks=3)
    assert (seen["start"], seen["doubled"], seen["flagged"]) == ([5], [5], [5, 6, 7, 8, 9])


@pytest.mark.parametrize("timeout", [1, 2, 3, 8])
def test_a_reference_is_missed_each_time_that_its_timeout_passes(timeout):
    seen = tracked([20, 4 * (5 + timeout)], 40, attempt_clocks=1, reference_timeout=timeout)
    first = [*range(timeout - 1, 5, timeout)]  # counted from the clock before the first
    assert seen["missed"] == [*first, *range(5 + 2 * timeout, 40, timeout)]


def test_no_reference_is_missed_without_a_timeout():
    assert not tracked([20], 40, attempt_clocks=1)["missed"]


def passed(ticks, reference, clocks, samples):
    """The ticks at or after a mark `ticks` after `reference`, in an attempt that follows a longer one."""
    dut, seen = Mark(Parameters(samples=samples)), []

    async def bench(ctx):
        ctx.set(dut.ticks, ticks % samples)
        for clock in range(-9, clocks):
            first = reference // samples
            begins = clock in (-9, first)
            ctx.set(dut.begin, begins)
            ctx.set(dut.sub, reference % samples if clock >= first else samples - 1)
            ctx.set(dut.equal, clock - (first if clock >= first else -9) == ticks // samples)
            if clock >= first:
                mask = ctx.get(dut.passed)
                seen.extend(clock * samples + s for s in range(samples) if mask >> s & 1)
            await ctx.tick()

    simulate(dut, bench)
    return seen


@pytest.mark.parametrize("samples", [1, 2, 4])
@pytest.mark.parametrize("ticks", [0, 1, 2, 3, 4, 5, 6, 7, 8, 30, 43])
def test_a_mark_is_passed_so_many_ticks_after_the_reference(samples, ticks):
    reference = Random(f"{samples} {ticks}").randrange(8)
    if reference + ticks < 40:
        clocks = 60 // samples
        first = max(reference + ticks, reference // samples * samples)
        assert passed(ticks, reference, clocks, samples) == [*range(first, clocks * samples)]


def test_a_count_is_compared_in_all_of_its_bits():
    m, count, clocks, seen = Module(), Signal(32), Signal(32), []
    equal = Signal()
    m.d.comb += equal.eq(reaches(m, count, clocks))

    async def bench(ctx):
        ctx.set(clocks, 0x12345678)
        for flipped in [0, *(1 << bit for bit in range(32)), 0]:
            ctx.set(count, 0x12345678 ^ flipped)
            await ctx.tick()
            seen.append(ctx.get(equal))

    simulate(m, bench)
    assert seen == [1, *[0] * 32, 1]
