# amaranth: UnusedElaboratable=no
import random

import pytest

from qlink.gateware.uart import BitClock, Uart
from qlink.sim.bench import receiver, sender, simulate

CLOCK_HZ = 200_000_000


def loop_back(sent, baud, stall=0.0, noise=()):
    """Return what comes back when `tx` is wired to `rx`; in the clocks of `noise` the wire reads inverted."""
    dut, rng, seen = Uart(CLOCK_HZ, baud), random.Random(0), []

    async def wire(ctx):
        clock = 0
        while True:
            _, _, level = await ctx.tick().sample(dut.tx)
            ctx.set(dut.rx, level ^ (clock in noise))
            clock += 1

    async def wait(ctx):
        await ctx.tick().repeat(11 * CLOCK_HZ // baud + 50)

    async def send_then_wait(ctx):
        await sender(dut.upstream, sent, rng)(ctx)
        await wait(ctx)

    background = [receiver(dut.downstream, seen, rng, stall), wire]
    simulate(dut, send_then_wait, background=background, limit=12 * (len(sent) + 4) * CLOCK_HZ // baud + 1000)
    return seen


@pytest.mark.parametrize("baud", [12_000_000, 8_000_000, 3_000_000])
def test_bytes_come_back_at_rates_that_do_not_divide_the_clock(baud):
    sent = [0x00, 0xFF, 0x55, 0xAA, *random.Random(1).randbytes(12)]
    assert loop_back(sent, baud) == sent


def test_a_host_that_is_slow_to_take_bytes_misses_none_that_fit_the_queue():
    sent = list(range(40))
    assert loop_back(sent, 12_000_000, stall=0.9) == sent


def test_a_short_glitch_on_an_idle_line_is_no_byte():
    assert loop_back([], 3_000_000, noise=range(20, 40)) == []


def test_a_byte_without_a_stop_bit_is_dropped():
    assert loop_back([], 12_000_000, noise=range(10, 10 + 20 * 17)) == []


def test_no_error_of_the_rate_adds_up():
    dut, baud, strobes = BitClock(CLOCK_HZ, 12_000_000), 12_000_000, []
    clocks = 6_000

    async def count(ctx):
        for _ in range(clocks):
            _, _, strobe = await ctx.tick().sample(dut.strobe)
            strobes.append(strobe)

    simulate(dut, count, limit=clocks + 10)
    assert sum(strobes) == pytest.approx(clocks * baud / CLOCK_HZ, abs=1)


@pytest.mark.parametrize("baud", [0, 60_000_000])
def test_refuses_a_rate_that_the_clock_cannot_make(baud):
    with pytest.raises(ValueError, match="baud"):
        BitClock(CLOCK_HZ, baud)
