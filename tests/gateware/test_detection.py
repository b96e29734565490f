from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from qlink.firmware_bridge.configuration import Configuration, Gate, Outcome, Pattern
from qlink.firmware_bridge.registers import Mode
from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, HeraldFlag, counter_index
from qlink.gateware.detection import Detection
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate
from qlink.sim.cases import Case, Shape, levels, random_case, rising_edges
from qlink.sim.coincidence import Herald, observe

BEGIN = 40  # clocks that the settings are given to arrive
TAIL = 400  # clocks in which the last heralds come out

COUNTERS = {
    "clicks": CounterGroup.CLICKS,
    "merged": CounterGroup.MERGED,
    "gated": CounterGroup.GATED,
    "heralds": CounterGroup.HERALDS,
    "vetoed": CounterGroup.VETOED,
    "accidentals": CounterGroup.ACCIDENTALS,
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
    evaluated: int = 0  # clocks that were simulated


def register_values(configuration, parameters):
    """`Settings`, as a dict, of a configuration."""
    patterns = [*configuration.patterns, *[Pattern(frozenset(), 0)] * parameters.patterns][: parameters.patterns]
    gates = [configuration.gates.get(channel) for channel in range(parameters.channels)]
    delays = [configuration.delays.get(channel, 0) for channel in range(parameters.channels)]
    delays.append(configuration.reference_delay)
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
        "delay": [configuration.common_delay + ticks for ticks in delays],
        "minimum": [pattern.minimum for pattern in patterns],
        "maximum": [pattern.maximum for pattern in patterns],
        "guard": [pattern.guard for pattern in patterns],
        "shifted": [sum(1 << channel for channel in pattern.shifted) for pattern in patterns],
        "accidental_clocks": configuration.accidental_clocks,
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


def steady(words, clock, deadline):
    """How many clocks after `clock` the pins stay as they are at its end."""
    count = 0
    while count < deadline and clock + count + 2 < len(words) and words[clock + count + 1] == (0, 0) == words[clock]:
        count += 1
    return count


def _word(bits):
    return sum(bit << place for place, bit in enumerate(bits))


def run(case, parameters, end, *, ready=lambda clock: True, rng=None, skip=False):
    """Show `case` to a `Detection` for `end` clocks, and wait for what comes out."""
    dut, seen = Detection(parameters), Seen()
    words = [*pin_words(case, parameters, end, rng or Random(0)), *[(0, 0)] * TAIL]

    async def drive(ctx):
        ctx.set(dut.settings, {"restart": 1, **register_values(case.configuration, parameters)})
        clock = 0
        while clock < len(words):
            samples, reference = words[clock]
            ctx.set(dut.samples, samples)
            ctx.set(dut.reference, reference)
            ctx.set(dut.heralds.ready, ready(clock))
            collect(ctx, clock)
            skipped = steady(words, clock, ctx.get(dut.deadline)) if skip and ctx.get(dut.idle) else 0
            ctx.set(dut.skip, skipped)
            await ctx.tick()
            ctx.set(dut.settings.restart, 0)
            clock += 1 + skipped

    def collect(ctx, clock):
        seen.evaluated += 1
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


def free_running(*patterns):
    return Configuration(patterns)


def pattern(*required, window=4, forbidden=(), outcome=Outcome.PSI_PLUS, shifted=()):
    return Pattern(frozenset(required), window, outcome, frozenset(forbidden), frozenset(shifted))


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_the_pin_follows_the_completing_click_by_a_constant_latency(samples):
    parameters = Parameters(channels=2, patterns=2, samples=samples)
    patterns = pattern(0, 1, window=9, outcome=Outcome.PHI_MINUS), pattern(1, outcome=Outcome.PSI_MINUS)
    ticks = [160 + 33 * place for place in range(8)]
    edges = sorted((tick - place % 2 * place, place % 2) for tick in ticks for place in range(2))
    completions = sorted({tick // samples for tick, channel in edges if channel == 0})
    seen = run(Case(free_running(*patterns), edges, []), parameters, 440 // samples)
    latency = parameters.herald_latency
    assert latency <= 10
    assert [clock - latency for clock, pin in seen.pins if pin == Outcome.PHI_MINUS] == completions
    clicks = sorted({tick // samples for tick, channel in edges if channel == 1})
    assert [clock - latency for clock, pin in seen.pins if pin == Outcome.PSI_MINUS] == clicks


@pytest.mark.parametrize(("window", "clocks"), [(0, 0), (1, 1), (8, 2), (9, 3), (12, 3), (13, 4), (401, 101)])
def test_a_pattern_with_forbidden_channels_takes_its_window_longer(window, clocks):
    parameters = Parameters(channels=2, patterns=1, samples=4)
    edges = [(2000, 0), (2007, 0), (4000, 0), (4003, 1)]
    case = Case(free_running(pattern(0, window=window, forbidden=[1])), edges, [])
    pins = [2000 // 4, 2007 // 4] + [4000 // 4] * (window < 3)
    seen = run(case, parameters, 1200)
    assert [clock - parameters.herald_latency - 6 - clocks for clock, _ in seen.pins] == pins


def test_a_veto_window_longer_than_the_memory_never_fires():
    parameters = Parameters(channels=2, patterns=2, samples=4, veto_depth=8)
    patterns = pattern(0, window=32, forbidden=[1]), pattern(0, window=33, forbidden=[1])
    assert {h.pattern for h in run(Case(free_running(*patterns), [(200, 0)], []), parameters, 60).heralds} == {0}


def test_heralds_without_room_are_told_as_lost():
    parameters = Parameters(channels=2, patterns=2, samples=4, pattern_depth=8, herald_depth=8)
    edges = [(160 + 4 * clock, channel) for clock in range(60) for channel in range(2)]
    case = Case(free_running(pattern(0, window=0), pattern(0, 1)), edges, [])
    seen = run(case, parameters, 120, ready=lambda clock: clock > 150)
    heralds, counts = expected(case, parameters, 500)
    assert seen.counts == counts
    assert len(seen.lost) > 50
    lost = {(clock, pattern) for clock, pattern in seen.lost}
    kept = [h for h in heralds if (h.tick // 4, h.pattern) not in lost]
    marked = {h.sequence for h in kept if h.sequence and (heralds[h.sequence - 1] not in kept)}
    assert seen.heralds == [replace(h, flags=HeraldFlag.HERALDS_LOST * (h.sequence in marked)) for h in kept]


def test_a_restart_forgets_held_clicks_and_attempts():
    parameters = Parameters(channels=2, patterns=1, samples=4)
    dut, heralds = Detection(parameters), []
    values = register_values(free_running(pattern(0, 1, window=65535)), parameters)

    async def drive(ctx):
        for clicks in ([0, 1], [1, 1], [0, 2]):
            ctx.set(dut.settings, {"restart": 1, **values})
            await ctx.tick()
            ctx.set(dut.settings.restart, 0)
            await ctx.tick().repeat(BEGIN)
            for channel, place in zip((0, 1), clicks, strict=True):
                ctx.set(dut.samples, place << 4 * channel)
                heralds.append(0)
                for _ in range(20):
                    await ctx.tick()
                    heralds[-1] += ctx.get(dut.counts.heralds)
                ctx.set(dut.samples, 0)

    simulate(dut, drive)
    assert heralds == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("delays", [{}, {0: -3, 2: 40}], ids=["plain", "delayed"])
@pytest.mark.parametrize("mode", Mode)
def test_skipping_idle_clocks_changes_nothing(mode, delays):
    parameters = Parameters(channels=3, patterns=2, samples=4, delay_depth=64)
    gates = {channel: Gate(4, 60) for channel in range(3)}
    patterns = pattern(0, 1, window=20, shifted=[1]), pattern(0, 1, window=60, forbidden=[2], shifted=[0])
    settings = Configuration(
        patterns,
        mode,
        gates,
        attempt_clocks=20,
        reference_timeout=400,
        accidental_clocks=4 if mode else 60,
        delays=delays,
    )
    rng = Random(5)
    ticks = sorted(rng.sample(range(150, 1900), 12))
    edges = [(4 * tick + 2 * rng.randrange(5), channel) for tick in ticks for channel in (0, 1, rng.randrange(3))]
    case = Case(settings, sorted(set(edges)), [4 * tick - 3 for tick in ticks])
    plain = run(case, parameters, 2000)
    skipping = run(case, parameters, 2000, skip=True)
    assert skipping.evaluated < plain.evaluated / 1.4
    assert (skipping.heralds, skipping.counts, skipping.clicks) == (plain.heralds, plain.counts, plain.clicks)
    assert plain.heralds
    assert plain.counts[counter_index(CounterGroup.ACCIDENTALS, 0)]
    heralds, counts = expected(case, parameters, 2000 + TAIL - 10)
    assert (plain.heralds, plain.counts) == (heralds, counts)


@pytest.mark.parametrize("delay", [0, 1, 3, 4, 19, 20, 57])
def test_the_latency_counts_from_the_delayed_edge(delay):
    parameters = Parameters(channels=2, patterns=1, samples=4, delay_depth=16)
    configuration = Configuration((pattern(0, 1, window=0),), delays={0: -delay})
    ticks = range(400, 800, 41)
    edges = sorted(edge for tick in ticks for edge in ((tick, 1), (tick + delay, 0)))
    seen = run(Case(configuration, edges, []), parameters, 240)
    assert [clock - parameters.herald_latency for clock, _ in seen.pins] == [(tick + delay) // 4 for tick in ticks]


def test_no_click_is_taken_until_a_changed_delay_is_in_force():
    parameters = Parameters(channels=1, patterns=1, samples=4, delay_depth=16)
    dut, clicks = Detection(parameters), []
    values = register_values(free_running(pattern(0)), parameters)
    delays = [0, 63, 61, 7, 0]

    async def drive(ctx):
        for clock in range(500):
            changed = clock % 100 == 0
            ctx.set(dut.settings, {"restart": changed, **values, "delay": [delays[clock // 100], 0]})
            ctx.set(dut.samples, 0b0100 if clock % 10 == 5 else 0)
            if ctx.get(dut.counts.clicks):
                clicks.append((clock, ctx.get(dut.clock) * 4 + ctx.get(dut.clicks[0].sub)))
            await ctx.tick()

    simulate(dut, drive)
    for number, delay in enumerate(delays):
        seen = [tick for clock, tick in clicks if number * 100 + 20 <= clock < number * 100 + 105]
        assert len(seen) >= 4
        assert {(tick - delay) % 40 for tick in seen} == {22}


def crowded(rng):
    """Patterns that need some of their channels only, and want the others quiet."""
    window = rng.choice([4, 8, 13])
    three = frozenset(rng.sample(range(4), 3))
    return (
        Pattern(frozenset(range(4)), window, minimum=2, maximum=3, shifted=three),
        Pattern(three, window, minimum=2, maximum=2, forbidden=frozenset(range(4)) - three),
        Pattern(three, window // 2, minimum=2, guard=window + rng.randrange(4)),
        Pattern(frozenset(range(4)), window // 4, minimum=rng.choice([1, 2]), shifted=frozenset({0, 1})),
    )


@pytest.mark.parametrize(("samples", "mode"), [(4, Mode.FREE_RUNNING), (4, Mode.GATED), (1, Mode.FREE_RUNNING)])
def test_multiplicities_and_guard_times_agree_with_the_model(samples, mode):
    rng, end = Random(f"{samples} {mode}"), BEGIN + 200
    parameters = Parameters(
        channels=4, patterns=4, samples=samples, pattern_depth=512, delay_depth=0, veto_depth=64, multiplicity=True
    )
    shape = Shape(4, 4, samples, BEGIN, end)
    gates = {channel: Gate(channel, 50) for channel in range(4)}
    settings = Configuration(crowded(rng), mode, gates, attempt_clocks=15, accidental_clocks=5)
    edges = sorted((tick, channel) for channel in range(4) for tick in rising_edges(rng, shape, 0.07))
    references = [BEGIN * samples + 61 * number for number in range(13)]
    case = Case(settings, edges, references)
    seen = run(case, parameters, end, rng=rng)
    heralds, counts = expected(case, parameters, end + TAIL - 10)
    assert seen.counts == counts
    assert seen.heralds == heralds[: len(seen.heralds)]
    assert len(seen.heralds) > 10
    assert all(counts[counter_index(CounterGroup.VETOED, number)] for number in range(3))


SMALL = [(samples, mode, seed) for samples in (1, 2, 4) for mode in Mode for seed in range(2)]


@pytest.mark.parametrize(("samples", "mode", "seed"), SMALL)
def test_agrees_with_the_model(samples, mode, seed):
    rng, clocks = Random(f"{samples} {mode} {seed}"), 300
    channels = rng.randint(2, 5)
    parameters = Parameters(
        channels=channels, patterns=3, samples=samples, pattern_depth=512, delay_depth=16, multiplicity=True
    )
    case = random_case(
        rng, Shape(channels, 3, samples, BEGIN, BEGIN + clocks, 16 * samples - 1, multiplicity=True), mode
    )
    seen = run(case, parameters, BEGIN + clocks, rng=rng)
    heralds, counts = expected(case, parameters, BEGIN + clocks + TAIL - 10)
    assert not seen.lost
    assert seen.counts == counts
    assert seen.heralds == heralds[: len(seen.heralds)]
    assert len(seen.heralds) == len(heralds) or len(heralds) > 30
