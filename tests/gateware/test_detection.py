from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from qlink.firmware_bridge.configuration import Pattern
from qlink.firmware_bridge.registers import Mode
from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, counter_index
from qlink.gateware.detection import Detection
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate
from qlink.sim.cases import Shape, levels, random_case
from qlink.sim.coincidence import Herald, observe

BEGIN = 40  # clocks that the settings are given to arrive
TAIL = 400  # clocks in which the last heralds come out

COUNTERS = {
    "clicks": CounterGroup.CLICKS,
    "merged": CounterGroup.MERGED,
    "gated": CounterGroup.GATED,
    "heralds": CounterGroup.HERALDS,
    "vetoed": CounterGroup.VETOED,
}
GLOBALS = {
    "attempts": GlobalCounter.ATTEMPTS,
    "references_doubled": GlobalCounter.REFERENCES_DOUBLED,
    "references_missed": GlobalCounter.REFERENCES_MISSED,
}


@dataclass
class Seen:
    """What came out of a `Detection`."""

    heralds: list[Herald] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    clicks: list[tuple[int, int]] = field(default_factory=list)
    pins: list[tuple[int, int]] = field(default_factory=list)  # clock since reset, outcome
    lost: list[tuple[int, int]] = field(default_factory=list)  # clock, pattern
    idle: list[int] = field(default_factory=list)


def register_values(configuration, parameters):
    """`Settings`, as a dict, of a configuration."""
    patterns = [*configuration.patterns, *[Pattern(frozenset(), 0)] * parameters.patterns][: parameters.patterns]
    gates = [configuration.gates.get(channel) for channel in range(parameters.channels)]
    return {
        "run": 1,
        "mode": configuration.mode,
        "attempt_clocks": configuration.attempt_clocks,
        "reference_timeout": configuration.reference_timeout,
        "gate_start": [gate.start if gate else 0 for gate in gates],
        "gate_stop": [gate.stop if gate else 0 for gate in gates],
        "required": [sum(1 << channel for channel in pattern.required) for pattern in patterns],
        "forbidden": [sum(1 << channel for channel in pattern.forbidden) for pattern in patterns],
        "window": [pattern.window for pattern in patterns],
        "outcome": [pattern.outcome for pattern in patterns],
    }


def pin_words(case, parameters, end, rng):
    """What `samples` and `reference` are in each clock."""
    ticks = {channel: [] for channel in range(parameters.channels)}
    for tick, channel in case.edges:
        ticks[channel].append(tick)
    pins = [levels(rng, ticks[channel], end * parameters.samples) for channel in ticks]
    reference = levels(rng, case.references, end * parameters.samples)
    for first in range(0, end * parameters.samples, parameters.samples):
        bits = [level for pin in pins for level in pin[first : first + parameters.samples]]
        yield _word(bits), _word(reference[first : first + parameters.samples])


def _word(bits):
    return sum(bit << place for place, bit in enumerate(bits))


def run(case, parameters, end, *, ready=lambda clock: True, rng=None):
    """Show `case` to a `Detection` for `end` clocks, and wait for what comes out."""
    dut, seen = Detection(parameters), Seen()
    words = list(pin_words(case, parameters, end, rng or Random(0)))

    async def drive(ctx):
        ctx.set(dut.settings, {"restart": 1, **register_values(case.configuration, parameters)})
        for clock in range(end + TAIL):
            samples, reference = words[clock] if clock < end else (0, 0)
            ctx.set(dut.samples, samples)
            ctx.set(dut.reference, reference)
            ctx.set(dut.heralds.ready, ready(clock))
            collect(ctx, clock)
            await ctx.tick()
            ctx.set(dut.settings.restart, 0)

    def collect(ctx, clock):
        now = ctx.get(dut.clock)
        counts = ctx.get(dut.counts)
        for name, group in COUNTERS.items():
            for member in _places(counts[name]):
                seen.counts[counter_index(group, member)] += 1
        for name, member in GLOBALS.items():
            seen.counts[counter_index(CounterGroup.GLOBAL, member)] += counts[name]
        for channel, click in enumerate(ctx.get(dut.clicks)):
            if click.valid:
                seen.clicks.append((now * parameters.samples + click.sub, channel))
        seen.pins.extend((clock, outcome) for outcome in _places(ctx.get(dut.pins)))
        seen.lost.extend((now, pattern) for pattern in _places(ctx.get(dut.heralds_lost)))
        seen.idle.append(ctx.get(dut.idle))
        if ctx.get(dut.heralds.valid) and ready(clock):
            seen.heralds.append(herald(ctx.get(dut.heralds.payload)))

    simulate(dut, drive, limit=end + 2 * TAIL)
    return seen


def _places(mask):
    return [place for place in range(mask.bit_length()) if mask >> place & 1]


def herald(record):
    """The model's form of a record."""
    ages = {channel: record.ages[channel] for channel in _places(record.channels)}
    return Herald(
        tick=record.tick,
        sequence=record.sequence,
        attempt=record.attempt,
        pattern=record.pattern,
        outcome=record.outcome,
        flags=record.flags,
        position=record.position,
        ages=ages,
    )


def expected(case, parameters, end):
    observation = observe(case.configuration, parameters.samples, case.edges, case.references, end)
    return observation.heralds, +observation.counts


SMALL = [(samples, mode, seed) for samples in (1, 2, 4) for mode in Mode for seed in range(3)]


@pytest.mark.parametrize(("samples", "mode", "seed"), SMALL)
def test_agrees_with_the_model(samples, mode, seed):
    rng, clocks = Random(f"{samples} {mode} {seed}"), 300
    channels = rng.randint(2, 5)
    parameters = Parameters(channels=channels, patterns=3, samples=samples, pattern_depth=512)
    case = random_case(rng, Shape(channels, 3, samples, BEGIN, BEGIN + clocks), mode)
    seen = run(case, parameters, BEGIN + clocks, rng=rng)
    heralds, counts = expected(case, parameters, BEGIN + clocks + TAIL - 10)
    assert not seen.lost
    assert seen.counts == counts
    assert seen.heralds == heralds[: len(seen.heralds)]
    assert len(seen.heralds) == len(heralds) or len(heralds) > 30
