import random

import pytest

from qlink.gateware.losses import LossMeter
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate

PARAMETERS = Parameters(samples=4)
SOURCES = (48, 49, 50, 112)


class Model:
    """Each source's losses until it closes."""

    def __init__(self):
        self.open = {}
        self.closed = []

    def step(self, lost, closing, ticks):
        for n, source in enumerate(SOURCES):
            if closing >> n & 1 and n in self.open:
                begin, end, count = self.open.pop(n)
                self.closed.append((source, begin, end, count))
            if lost >> n & 1:
                begin, _, count = self.open.get(n, (ticks[n], 0, 0))
                self.open[n] = (begin, ticks[n], count + 1)


@pytest.mark.parametrize("seed", range(6))
def test_brackets_what_is_lost_between_one_closing_and_the_next(seed):
    rng, dut, model, seen, closed = random.Random(seed), LossMeter(PARAMETERS, SOURCES), Model(), [], []
    count, clocks = len(SOURCES), 600

    async def run(ctx):
        start = rng.getrandbits(60)
        for clock in range(start, start + clocks):
            quiet = clock > start + clocks - 120
            lost = 0 if quiet else rng.getrandbits(count) & rng.getrandbits(count)
            may_close = 2**count - 1 if quiet else rng.getrandbits(count) if rng.random() < 0.2 else 0
            subs = [rng.randrange(4) for _ in SOURCES]
            ready = quiet or rng.random() < 0.5
            ctx.set(dut.clock, clock)
            ctx.set(dut.lost, lost)
            ctx.set(dut.subs, subs)
            ctx.set(dut.may_close, may_close)
            ctx.set(dut.brackets.ready, ready)
            closing, loss = ctx.get(dut.closing), ctx.get(dut.brackets.payload)
            model.step(lost, closing, [4 * clock + sub for sub in subs])
            _, _, valid, strobe = await ctx.tick().sample(dut.brackets.valid, dut.closed)
            closed.append(strobe)
            if valid and ready:
                seen.append((loss.source, loss.begin, loss.tick, loss.count))
        assert ctx.get(dut.idle)

    simulate(dut, run)
    assert seen == model.closed
    assert sum(closed) == len(seen)
    assert len({source for source, *_ in seen}) == count


def test_counts_what_is_lost_in_every_clock():
    dut = LossMeter(PARAMETERS, SOURCES)

    async def run(ctx):
        ctx.set(dut.lost, 1)
        await ctx.tick().repeat(1000)
        ctx.set(dut.lost, 0)
        ctx.set(dut.may_close, 15)
        ctx.set(dut.brackets.ready, 1)
        while not ctx.get(dut.brackets.valid):
            await ctx.tick()
        assert ctx.get(dut.brackets.payload.count) == 1000

    simulate(dut, run)
