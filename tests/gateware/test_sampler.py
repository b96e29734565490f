import pytest

from qlink.gateware.parameters import Parameters
from qlink.gateware.sampler import Sampler
from qlink.sim.bench import simulate


def sampled(pin, samples=4, run=True):
    """Show `pin`, a string of 0 and 1 in order of time, and return (valid, sub, merged) of each clock."""
    dut, seen = Sampler(Parameters(samples=samples)), []

    async def bench(ctx):
        ctx.set(dut.run, run)
        for first in range(0, len(pin), samples):
            ctx.set(dut.samples, int(pin[first : first + samples][::-1], 2))
            await ctx.tick()
            seen.append((ctx.get(dut.click.valid), ctx.get(dut.click.sub), ctx.get(dut.merged)))

    simulate(dut, bench)
    return [(sub, merged) if valid else None for valid, sub, merged in seen]


@pytest.mark.parametrize(
    ("pin", "clicks"),
    [
        ("0000 1111 1111", [None, (0, 0), None]),
        ("0000 0001 1000", [None, (3, 0), None]),  # high across the clocks' border is one click
        ("0001 0001 0000", [(3, 0), (3, 0), None]),
        ("0101 0000 1001", [(1, 1), None, (0, 1)]),  # the second edge in a clock is merged
        ("1111 1110 1000", [None, None, (0, 0)]),  # high from the beginning: no edge
    ],
)
def test_finds_the_first_rising_edge_of_each_clock(pin, clicks):
    assert sampled(pin.replace(" ", "")) == clicks


def test_takes_one_or_two_samples_a_clock():
    assert sampled("010110", samples=1) == [None, (0, 0), None, (0, 0), None, None]
    assert sampled("011001", samples=2) == [(1, 0), None, (1, 0)]


def test_there_are_no_clicks_unless_it_runs():
    assert sampled("00101010", run=False) == [None, None]
