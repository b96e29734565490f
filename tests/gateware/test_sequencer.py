import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlink.firmware_bridge.configuration import (
    Branch,
    Configuration,
    Gate,
    Identity,
    Outcome,
    Pattern,
    ReferenceSource,
    Sequence,
    Window,
)
from qlink.firmware_bridge.registers import BY_NAME, Mode, SequenceEnd
from qlink.firmware_bridge.settings import check, settings_of
from qlink.gateware.register_file import IN_MEMORY
from qlink.gateware.sequencer import Sequencer
from qlink.sim.bench import simulate
from qlink.sim.sequencer import BRANCH_CLOCKS, Events, Played, play

IDENTITY = Identity(
    *(1, "TEST", 8, 8, 4, 1_250_000, 200_000_000, 8, 0),
    sequence_segments=65,
    trigger_latency=4,
    branch_segments=64,
    branch_latency=BRANCH_CLOCKS,
)
START = 8  # clocks from the command to the first clock in which a trigger can be shown
STOP = 4  # from the command to its effect
REFERENCE = 2  # from `begin` to the triggers, and from those to `reference`


def configuration(sequence):
    own = sequence.reference is ReferenceSource.OWN
    longest = max(attempt.period for attempt in (sequence, *sequence.branches.values()))
    patterns = tuple(Pattern(frozenset({channel}), 0, outcome) for channel, outcome in enumerate(Outcome))
    gates = {channel: Gate(0, 1) for channel in range(4)}
    return Configuration(patterns, Mode.GATED, gates, attempt_clocks=1 if own else longest, sequence=sequence)


async def program(ctx, dut, sequence):
    """Write what the host would."""
    check(configuration(sequence), IDENTITY)
    values = {s.name: s.value for s in settings_of(configuration(sequence), IDENTITY)}
    for setting in settings_of(configuration(sequence), IDENTITY):
        if setting.name in IN_MEMORY:
            ctx.set(dut.program.address, (BY_NAME[setting.name].address + setting.index) % 512)
            ctx.set(dut.program.value, setting.value)
            ctx.set(dut.program.write, 1)
            await ctx.tick()
    ctx.set(dut.program.write, 0)
    setup = BY_NAME["sequence_setup"].unpack(values["sequence_setup"])
    numbers = {name: values[f"sequence_{name}"] for name in ("attempts", "timeout", "branches")}
    ctx.set(dut.settings, {**setup, **numbers})
    ctx.set(dut.able, 1)
    await ctx.tick().repeat(4)


def played(sequence, events, clocks):
    """What the gateware makes of it."""
    dut, levels, attempts, status = Sequencer(), [], [], []

    async def bench(ctx):
        await program(ctx, dut, sequence)
        for clock in range(-START, clocks):
            ctx.set(dut.settings.start, clock == -START)
            ctx.set(dut.settings.stop, events.stop is not None and clock == events.stop - STOP)
            ctx.set(dut.begin, clock + REFERENCE in events.references)
            herald = events.heralds.get(clock)
            ctx.set(dut.heralds, 0 if herald is None else 1 << herald)
            ctx.set(dut.branch, {"valid": herald in sequence.branches, "outcome": herald or 0})
            if clock >= 0:
                levels.append(ctx.get(dut.triggers))
            if ctx.get(dut.reference):
                attempts.append(clock)
            await ctx.tick()
        ctx.set(dut.heralds, 0)
        ctx.set(dut.branch.valid, 0)
        ctx.set(dut.settings.stop, 0)
        await ctx.tick().repeat(5)
        status.append(ctx.get(dut.status))

    simulate(dut, bench, limit=clocks + 400)
    return Played(levels, attempts, SequenceEnd(status[0].end)), status[0]


def agree(sequence, events, clocks):
    model = play(sequence, events, clocks)
    seen, status = played(sequence, events, clocks)
    assert seen.levels == model.levels
    if sequence.reference is ReferenceSource.OWN:
        assert seen.attempts == model.attempts
    if model.end is not SequenceEnd.NONE:
        assert (seen.end, status.running, status.begun) == (model.end, 0, len(model.attempts))
        assert status.branched == len(model.branched)
    return model


PULSES = {0: (Window(0, 1),), 3: (Window(1, 3), Window(4, 5))}


@pytest.mark.parametrize("period", [1, 2, 3, 5, 6, 40])
def test_attempts_follow_each_other_without_a_dead_clock(period):
    windows = {0: (Window(0, 1),), 7: (Window(period - 1, period),)}
    model = agree(Sequence(period, windows), Events(), 100)
    assert model.attempts == [*range(0, 100, period)]


@pytest.mark.parametrize(("period", "attempts"), [(1, 1), (1, 2), (1, 7), (5, 1), (5, 3)])
def test_a_burst_has_its_attempts_and_no_more(period, attempts):
    model = agree(Sequence(period, {1: (Window(0, 1),)}, attempts=attempts), Events(), 60)
    assert (len(model.attempts), model.end) == (attempts, SequenceEnd.DONE)


@pytest.mark.parametrize("timeout", [1, 2, 3, 4, 5, 17])
def test_a_timeout_ends_it_to_the_clock(timeout):
    sequence = Sequence(5, PULSES, timeout=timeout, idle_high=frozenset({3}))
    assert agree(sequence, Events(), 40).end is SequenceEnd.TIMEOUT
    assert agree(sequence, Events({0: Outcome.PHI_MINUS}), 60).end is SequenceEnd.TIMEOUT


def test_a_herald_of_a_wanted_outcome_ends_it_at_once():
    sequence = Sequence(50, {2: (Window(0, 50),)}, stop_on=frozenset({Outcome.PSI_MINUS}))
    model = agree(sequence, Events({20: Outcome.PSI_PLUS, 40: Outcome.PSI_MINUS}), 80)
    assert model.end is SequenceEnd.HERALD
    assert model.levels == [4] * 44 + [0] * 36


def test_every_window_of_every_trigger_has_edges_of_its_own():
    windows = {t: tuple(Window(1 + 2 * t + 20 * w, 12 + 2 * t + 20 * w) for w in range(4)) for t in range(8)}
    agree(Sequence(99, windows), Events(), 320)


@st.composite
def triggers(draw, longest):
    """Windows of some triggers, with edges up to a clock."""
    windows = {}
    for trigger in draw(st.sets(st.integers(0, 7))):
        edges = sorted(draw(st.sets(st.integers(0, longest), max_size=8)))
        windows[trigger] = tuple(Window(*pair) for pair in zip(edges[::2], edges[1::2], strict=False))
    return windows


@st.composite
def branches(draw):
    rests = draw(st.one_of(st.integers(1, 6), st.integers(1, 30)))
    windows = draw(triggers(rests))
    last = max((window.stop for several in windows.values() for window in several), default=0)
    return Branch(last + BRANCH_CLOCKS + draw(st.integers(0, 3)), windows)


@st.composite
def sequences(draw):
    period = draw(st.one_of(st.integers(1, 6), st.integers(1, 60)))
    stop_on = draw(st.frozensets(st.sampled_from(Outcome), max_size=1))
    return Sequence(
        period,
        draw(triggers(period)),
        draw(st.sampled_from(ReferenceSource)),
        attempts=draw(st.sampled_from([0, 0, 1, 2, 9])),
        stop_on=stop_on,
        timeout=draw(st.sampled_from([0, 0, 1, 20, 70])),
        idle_high=draw(st.frozensets(st.integers(0, 7))),
        branches=draw(st.dictionaries(st.sampled_from(sorted(set(Outcome) - stop_on)), branches())),
    )


@st.composite
def happenings(draw, clocks):
    heralds = draw(st.dictionaries(st.integers(0, clocks), st.sampled_from(Outcome), max_size=16))
    references = draw(st.sets(st.integers(0, clocks), max_size=40))
    return Events(heralds, references, draw(st.one_of(st.none(), st.integers(1, clocks))))


@settings(max_examples=60, deadline=None)
@given(sequences(), happenings(120))
def test_agrees_with_the_model(sequence, events):
    agree(sequence, events, 120)
