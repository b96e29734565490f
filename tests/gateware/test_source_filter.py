from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlink.firmware_bridge.configuration import Configuration
from qlink.firmware_bridge.registers import Keep
from qlink.gateware.parameters import Parameters
from qlink.gateware.source_filter import SourceFilter
from qlink.sim.bench import simulate
from qlink.sim.stream_filter import streamed

CHANNELS, PATTERNS = 3, 2
BEGIN = 150  # clocks that the settings are given to come into force
VETO_DEPTH, DEPTH = 16, 128


def values(configuration):
    """`Filter`, as a dict, of a configuration."""
    keep = [Keep.ALL] * CHANNELS
    for channel in range(CHANNELS):
        if channel in configuration.shares:
            keep[channel] = Keep.SHARE
        elif channel in configuration.near_heralds:
            keep[channel] = Keep.NEAR_HERALDS
    shares = [configuration.shares.get(channel, 1) - 1 for channel in range(CHANNELS)]
    return {"keep": keep, "share": shares, "vicinity": configuration.vicinity}


def judged(configuration, parameters, delays, clicks, heralds, skip=False):
    """Ticks and channels of all clicks and of the wanted ones, as they came out, and how many clocks were computed.

    `clicks` and `heralds` by clock; of a herald by its completing click's clock: subticks by pattern.
    """
    dut, samples = SourceFilter(parameters), parameters.samples
    decided = {}
    for clock, subs in heralds.items():
        for pattern, sub in subs.items():
            decided.setdefault(clock + delays[pattern], {})[pattern] = sub
    end = max([*clicks, *decided], default=0) + 2 * parameters.filter_depth + 10
    out, wanted, evaluated = [], [], 0

    async def drive(ctx):
        nonlocal evaluated
        ctx.set(dut.settings, values(configuration))
        streamed = range(CHANNELS) if configuration.stream_channels is None else configuration.stream_channels
        ctx.set(dut.streamed, sum(1 << channel for channel in streamed))
        clock = -BEGIN
        while clock < end:
            now, verdict = clicks.get(clock, {}), decided.get(clock, {})
            ctx.set(dut.clock, clock + 1000)
            for channel in range(CHANNELS):
                ctx.set(dut.clicks[channel], {"valid": channel in now, "sub": now.get(channel, 0)})
            ctx.set(dut.decided, sum(1 << pattern for pattern in verdict))
            verdicts = [
                {"decided_sub": verdict.get(pattern, 0), "delay": delays[pattern]} for pattern in range(PATTERNS)
            ]
            ctx.set(dut.verdicts, verdicts)
            collect(ctx)
            coming = min((c for c in {*clicks, *decided} if c > clock), default=end)
            quiet = not now and not verdict and clock > -BEGIN and ctx.get(dut.idle)
            skipped = coming - clock - 1 if skip and quiet else 0
            evaluated += 1
            await ctx.tick()
            clock += 1 + skipped

    def collect(ctx):
        for channel, click in enumerate(ctx.get(dut.clicks_out)):
            if click.valid:
                event = ((ctx.get(dut.clock_out) - 1000) * samples + click.sub, channel)
                out.append(event)
                if ctx.get(dut.wanted) >> channel & 1:
                    wanted.append(event)

    simulate(dut, drive, limit=1_000_000)
    return out, wanted, evaluated


def agrees(configuration, parameters, delays, clicks, heralds, **options):
    samples = parameters.samples
    happened = sorted((clock * samples + sub, c) for clock, subs in clicks.items() for c, sub in subs.items())
    marks = sorted(clock * samples + sub for clock, subs in heralds.items() for sub in subs.values())
    out, wanted, evaluated = judged(configuration, parameters, delays, clicks, heralds, **options)
    assert sorted(out) == happened
    assert [tick // samples for tick, _ in out] == sorted(tick // samples for tick, _ in out)
    assert sorted(wanted) == streamed(configuration, happened, marks)
    return evaluated


def random_events(rng, samples, members, clocks, density, stretch=1):
    picked = {
        clock * stretch: {n: rng.randrange(samples) for n in range(members) if rng.random() < density}
        for clock in range(clocks)
    }
    return {clock: events for clock, events in picked.items() if events}


@settings(max_examples=30, deadline=None)
@given(
    samples=st.sampled_from([1, 2, 4]),
    vicinity=st.one_of(st.integers(0, 6), st.integers(0, 75)),
    delays=st.lists(st.integers(0, VETO_DEPTH), min_size=PATTERNS, max_size=PATTERNS),
    density=st.sampled_from([0.02, 0.3, 1.0]),
    seed=st.integers(0, 1000),
)
def test_agrees_with_the_model(samples, vicinity, delays, density, seed):
    rng = Random(seed)
    kinds = [rng.choice([None, *Keep]) for _ in range(CHANNELS)]
    configuration = Configuration(
        stream_channels=frozenset(c for c in range(CHANNELS) if kinds[c] is not None),
        shares={c: rng.choice([2, 3, 7]) for c in range(CHANNELS) if kinds[c] is Keep.SHARE},
        near_heralds=frozenset(c for c in range(CHANNELS) if kinds[c] is Keep.NEAR_HERALDS),
        vicinity=vicinity,
    )
    parameters = Parameters(
        channels=CHANNELS, patterns=PATTERNS, samples=samples, veto_depth=VETO_DEPTH, filter_depth=DEPTH
    )
    clicks = random_events(rng, samples, CHANNELS, 250, density)
    heralds = random_events(rng, samples, PATTERNS, 250, 0.02)
    agrees(configuration, parameters, delays, clicks, heralds)


PARAMETERS = Parameters(channels=CHANNELS, patterns=PATTERNS, veto_depth=VETO_DEPTH, filter_depth=DEPTH)


def test_skipping_idle_clocks_changes_nothing():
    rng = Random(4)
    configuration = Configuration(shares={0: 2}, near_heralds=frozenset({1}), vicinity=30)
    clicks = random_events(rng, 4, CHANNELS, 40, 0.3, stretch=53)
    heralds = random_events(rng, 4, PATTERNS, 40, 0.2, stretch=53)
    plain, skipping = (agrees(configuration, PARAMETERS, [0, 9], clicks, heralds, skip=skip) for skip in (False, True))
    assert skipping < plain


def test_a_board_without_the_memory_still_keeps_shares():
    small = Parameters(channels=CHANNELS, patterns=PATTERNS, filter_depth=0)
    rng = Random(5)
    configuration = Configuration(shares={0: 2, 2: 65536}, stream_channels=frozenset({0, 2}))
    agrees(configuration, small, [0, 0], random_events(rng, 4, CHANNELS, 100, 0.7), {})


@pytest.mark.parametrize("calm", [False, True])
def test_new_settings_wait_for_the_last_click(calm):
    dut, seen = SourceFilter(PARAMETERS), []

    async def drive(ctx):
        near = Configuration(near_heralds=frozenset(range(CHANNELS)), vicinity=5)
        ctx.set(dut.settings, values(near))
        await ctx.tick().repeat(BEGIN)
        assert ctx.get(dut.state.late) == VETO_DEPTH + 5 // 4 + 9
        for clock in range(200):
            if clock == 100:
                ctx.set(dut.settings, values(Configuration()))
            ctx.set(dut.clicks[0].valid, not calm or clock < 90)
            await ctx.tick()
            seen.append(ctx.get(dut.state.pending))
        ctx.set(dut.clicks[0].valid, 0)
        await ctx.tick().repeat(60)
        assert not ctx.get(dut.state.pending)
        assert not ctx.get(dut.state.late)

    simulate(dut, drive)
    assert not any(seen[:100])
    assert seen[-1] == (not calm)
