import random

import pytest

from qlink.firmware_bridge.encoding import Loss, encode_record
from qlink.firmware_bridge.wire import OFFSET_BITS
from qlink.gateware.losses import LossMeter
from qlink.gateware.parameters import Parameters
from qlink.gateware.serial_losses import SerialLossMeter
from qlink.sim.bench import simulate

PARAMETERS = Parameters(samples=4)
SUBTICKS = 2  # bits
SOURCES = (48, 49, 50, 112)


class Model:
    """Each source's losses until it closes."""

    def __init__(self, sources):
        self._sources = sources
        self._open = {}
        self.closed = []

    def step(self, lost, closing, ticks):
        for n, source in enumerate(self._sources):
            if closing >> n & 1 and n in self._open:
                begin, end, count = self._open.pop(n)
                self.closed.append((source, begin, end, count))
            if lost >> n & 1:
                begin, _, count = self._open.get(n, (ticks[n], 0, 0))
                self._open[n] = (begin, ticks[n], count + 1)


def agrees(seed, sources, jumps=0.0, busy=0.5):
    """Lose at random; the clock goes on by one, or jumps ahead with the probability `jumps`."""
    rng, dut, model, seen = random.Random(seed), LossMeter(PARAMETERS, sources), Model(sources), []
    count, clocks = len(sources), 600
    calm = clocks + 100
    clocks += 300 + 20 * count

    async def run(ctx):
        number, known = rng.getrandbits(60), 0
        for clock in range(clocks):
            quiet = clock > calm
            lost = 0 if quiet or clock % 100 > 70 else rng.getrandbits(count) & rng.getrandbits(count)
            may_close = 2**count - 1 if quiet else rng.getrandbits(count) if rng.random() < 0.2 else 0
            subs = [rng.randrange(4) for _ in sources]
            ready = quiet or rng.random() < busy
            ctx.set(dut.clock, number)
            ctx.set(dut.lost, lost)
            ctx.set(dut.subs, subs)
            ctx.set(dut.may_close, may_close)
            ctx.set(dut.brackets.ready, ready)
            assert ctx.get(dut.closed) == len(model.closed) - known, "the clock after the closing"
            known = len(model.closed)
            assert ctx.get(dut.pending) == (known > len(seen))
            closing, loss = ctx.get(dut.closing), ctx.get(dut.brackets.payload)
            assert closing & (closing - 1) == 0, "one at a time"
            model.step(lost, closing, [4 * number + sub for sub in subs])
            _, _, valid = await ctx.tick().sample(dut.brackets.valid)
            if valid and ready:
                seen.append((loss.source, loss.begin, loss.tick, loss.count))
            number += rng.getrandbits(12) if rng.random() < jumps else 1
        assert ctx.get(dut.idle)

    simulate(dut, run)
    assert seen == model.closed
    assert len({source for source, *_ in seen}) == count


@pytest.mark.parametrize("seed", range(6))
def test_brackets_what_is_lost_between_one_closing_and_the_next(seed):
    agrees(seed, SOURCES)


@pytest.mark.parametrize("count", [1, 2, 3, 11, 19])
def test_brackets_as_many_sources_as_there_are(count):
    agrees(count, tuple(range(40, 40 + count)))


@pytest.mark.parametrize("count", [2, 8])
def test_a_loss_has_the_clock_that_there_was_when_the_clock_jumps(count):
    agrees(count, tuple(range(40, 40 + count)), jumps=0.1)


@pytest.mark.parametrize("count", [1, 8, 11])
def test_no_bracket_is_overwritten_while_nobody_takes_any(count):
    agrees(count, tuple(range(40, 40 + count)), busy=0.02)


@pytest.mark.parametrize("count", [1, 4, 19])
def test_counts_what_is_lost_in_every_clock(count):
    dut = LossMeter(PARAMETERS, range(count))

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


def halves_agree(seed, sources, busy=0.5, start=0):
    """The same of a `SerialLossMeter`, which tells its brackets word by word."""
    rng, dut, model, seen = random.Random(seed), SerialLossMeter(PARAMETERS, sources), Model(sources), []
    count, clocks = len(sources), 1500
    calm, words = clocks + 100, []
    clocks += 400 + 300 * count

    async def run(ctx):
        for clock in range(clocks):
            quiet = clock > calm
            dense = clock % 300 < 150
            lost = 0 if quiet or clock % 100 > 70 else rng.getrandbits(count) & (rng.getrandbits(count) if dense else 0)
            may_close = 2**count - 1 if quiet else rng.getrandbits(count) if rng.random() < 0.2 else 0
            ready = quiet or rng.random() < busy
            number = start + clock
            ctx.set(dut.clock, number)
            ctx.set(dut.lost, lost)
            ctx.set(dut.may_close, may_close)
            ctx.set(dut.records.ready, ready)
            assert ctx.get(dut.pending) == (len(model.closed) > len(seen))
            closing = ctx.get(dut.closing)
            assert closing & (closing - 1) == 0, "one at a time"
            model.step(lost, closing, [number << SUBTICKS] * count)
            _, _, valid, word = await ctx.tick().sample(dut.records.valid, dut.records.payload)
            if valid and ready:
                words.append(word)
                if word.last:
                    seen.append((words[0].page, b"".join(w.word.to_bytes(4, "little") for w in words)))
                    words.clear()
        assert ctx.get(dut.idle)

    simulate(dut, run, limit=20_000)
    assert seen == [(end >> OFFSET_BITS, encode_record(Loss(end, *rest))) for end, *rest in map(ordered, model.closed)]
    assert len({source for source, *_ in model.closed}) == count


def ordered(bracket):
    source, begin, end, count = bracket
    return end, begin, count, source


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 3, 11])
def test_brackets_the_same_half_a_word_at_a_time(seed, count):
    halves_agree(seed, tuple(range(40, 40 + count)), busy=(0.5, 0.02, 1, 0.5)[seed])


@pytest.mark.parametrize("bits", [14, 30, 46, 61])
def test_no_half_of_a_tick_is_of_another_clock_than_the_rest(bits):
    halves_agree(bits, (48, 49), start=2 ** (bits) - 700)
