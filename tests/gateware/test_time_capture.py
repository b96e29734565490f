"""Records of another clock's edges, against the model, under every stall of the way out."""

import random

import pytest

from qlink.firmware_bridge.encoding import Time
from qlink.firmware_bridge.wire import TimeSource
from qlink.gateware.parameters import Parameters
from qlink.gateware.time_capture import TimeCapture
from qlink.sim.bench import simulate
from qlink.sim.times import note

LATENCY = 5
CLOCKS = 1500
PINS = ("pps", "ten_mhz")  # by TimeSource


def levels(samples, rng, density):
    """Levels of an input, tick by tick, low at first, and the ticks at which it rises."""
    line, level = [0] * samples, 0
    while len(line) < CLOCKS * samples:
        level = level ^ (rng.random() < density)
        line.append(level)
    return line, [tick for tick in range(1, len(line)) if line[tick] > line[tick - 1]]


def run(samples, every_pps, every_ten_mhz, rng, readiness, densities=(0.02, 0.2)):
    """Return the records that came, those that should have, and what was counted: lost by source, merged."""
    parameters = Parameters(channels=1, patterns=1, samples=samples)
    dut = TimeCapture(parameters, LATENCY)
    lines, edges = [], []
    for source, density in zip(TimeSource, densities, strict=True):
        line, rises = levels(samples, rng, density)
        lines.append(line)
        edges += [(tick, source) for tick in rises]
    came, lost, merged = [], [0, 0], [0]

    async def drive(ctx):
        ctx.set(dut.every_pps, every_pps)
        ctx.set(dut.every_ten_mhz, every_ten_mhz)
        ctx.set(dut.rearm, 1)
        await ctx.tick()
        ctx.set(dut.rearm, 0)
        await ctx.tick().repeat(4)
        for clock in range(CLOCKS + 40):
            for name, line in zip(PINS, lines, strict=True):
                word = line[clock * samples :][:samples]
                ctx.set(getattr(dut, name), sum(bit << s for s, bit in enumerate(word)) if word else 0)
            ctx.set(dut.clock, max(clock - LATENCY, 0))
            ctx.set(dut.times.ready, clock >= CLOCKS or rng.random() < readiness)
            sampled = (dut.times.valid, dut.times.ready, dut.times.payload, dut.lost, dut.merged)
            _, _, valid, ready, time, losing, doubled = await ctx.tick().sample(*sampled)
            if valid and ready:
                came.append(Time(time.tick, TimeSource(time.source), time.number, time.edges))
            lost[0] += losing & 1
            lost[1] += losing >> 1
            merged[0] += doubled
        assert ctx.get(dut.idle)

    simulate(dut, drive)
    noted = note(samples, edges, every_pps, every_ten_mhz)
    return came, noted.records, lost, (merged[0], noted.merged)


@pytest.mark.parametrize("samples", [1, 2, 4])
@pytest.mark.parametrize(("pps", "ten_mhz"), [(1, 0), (1, 10), (0, 7), (0, 0)])
def test_notes_what_the_model_notes(samples, pps, ten_mhz):
    came, due, lost, merged = run(samples, pps, ten_mhz, random.Random(samples), 1.0)
    assert sorted(came, key=lambda time: (time.tick, time.source)) == due
    assert lost == [0, 0]
    assert merged[0] == merged[1]
    assert len(due) > 10 or not (pps or ten_mhz)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_not_delivered_is_lost_and_counted(seed):
    rng = random.Random(seed)
    came, due, lost, _ = run(rng.choice([1, 4]), 1, rng.randrange(1, 4), rng, rng.choice([0.02, 0.2]))
    assert set(came) <= set(due)
    for source in TimeSource:
        delivered, happened = ([time for time in times if time.source == source] for times in (came, due))
        assert len(delivered) + lost[source] == len(happened)
        assert delivered == sorted(delivered, key=lambda time: time.tick)
    assert sum(lost) > 0
