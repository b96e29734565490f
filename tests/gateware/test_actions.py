"""Feed-forward, tick by tick, against its model."""

import random

import pytest

from qlink.firmware_bridge.configuration import Configuration, Outcome, Pattern, Pulse
from qlink.firmware_bridge.registers import OUTPUTS
from qlink.firmware_bridge.wire import OUTCOMES, ActionCounter, action_counter
from qlink.gateware.actions import ACTION_CLOCKS, Actions
from qlink.gateware.detection import VERDICT
from qlink.gateware.parameters import Parameters
from qlink.sim.actions import Level, Timing, edges, lateness, play
from qlink.sim.bench import simulate
from qlink.sim.coincidence import Herald

LATENCY = VERDICT + ACTION_CLOCKS
COUNTS = {"started": ActionCounter.STARTED, "dropped": ActionCounter.DROPPED, "refused": ActionCounter.REFUSED}


def herald(tick, pattern, configuration):
    outcome = configuration.patterns[pattern].outcome
    return Herald(tick, 0, 0, pattern, outcome, 0, 0, {})


def run(configuration, samples, heralds, clear=range(0)):
    """Return the outputs' edges and the counts. `clear` are clocks in which all is forgotten."""
    patterns = configuration.patterns
    parameters = Parameters(channels=2, patterns=len(patterns), samples=samples)
    dut, seen, counts = Actions(parameters, VERDICT), [], dict.fromkeys(COUNTS, 0)
    due = {}
    for one in heralds:
        late = lateness(patterns[one.pattern], samples)
        due.setdefault(one.tick // samples + late + VERDICT, []).append(one)
    end = max(due) + max((p.start + p.width for t in configuration.actions.values() for p in t), default=0) + 40

    async def configure(ctx):
        for index, pattern in enumerate(patterns):
            ctx.set(dut.verdicts[index].plain, pattern.plain)
            ctx.set(dut.settings.outcome[index], pattern.outcome)
            ctx.set(dut.verdicts[index].delay, -(-pattern.window // samples) if pattern.forbidden else 0)
        for outcome, table in configuration.actions.items():
            for number, pulse in enumerate(table):
                action = {"start": pulse.start, "output": pulse.output, "width": pulse.width}
                ctx.set(dut.settings.actions[number * OUTCOMES + outcome], action)
        await ctx.tick().repeat(5)

    async def drive(ctx):
        await configure(ctx)
        level = [0] * OUTPUTS
        for clock in range(end):
            verdicts = {one.pattern: one for one in due.get(clock, [])}
            for index, pattern in enumerate(patterns):
                names = ("decided", "decided_sub") if pattern.forbidden else ("fired", "fired_sub")
                ctx.set(getattr(dut.verdicts[index], names[0]), index in verdicts)
                ctx.set(
                    getattr(dut.verdicts[index], names[1]), verdicts[index].tick % samples if index in verdicts else 0
                )
            ctx.set(dut.clear, clock in clear)
            word = ctx.get(dut.outputs)
            for s in range(samples):
                for output in range(OUTPUTS):
                    bit = word >> output * samples + s & 1
                    if bit != level[output]:
                        seen.append((clock * samples + s, output, bit))
                    level[output] = bit
            for name in COUNTS:
                counts[name] += getattr(ctx.get(dut.counts), name).bit_count()
            await ctx.tick()
        assert ctx.get(dut.idle)
        assert level == [0] * OUTPUTS

    simulate(dut, drive, limit=end + 100)
    return seen, counts


def expected(configuration, samples, heralds):
    played = play(configuration, Timing(samples, LATENCY), heralds)
    counts = {
        name: sum(played.counts[action_counter(what, outcome)] for outcome in range(OUTCOMES))
        for name, what in COUNTS.items()
    }
    return edges(played.levels), counts


def random_case(rng, samples):
    patterns = tuple(
        Pattern(
            frozenset({0}), rng.randrange(30), Outcome(rng.randrange(4)), frozenset({1} if rng.random() < 0.4 else ())
        )
        for _ in range(rng.randrange(1, 6))
    )
    soonest = LATENCY * samples
    actions = {
        Outcome(outcome): tuple(
            Pulse(
                rng.randrange(OUTPUTS),
                soonest + (rng.randrange(-6, 80) if rng.random() < 0.1 else rng.randrange(16 * samples, 200)),
                rng.choice([1, 2, 3, rng.randrange(1, 120)]),
            )
            for _ in range(rng.randrange(5))
        )
        for outcome in range(4)
    }
    configuration = Configuration(patterns, actions=actions)
    clock, heralds = 3, []
    for _ in range(rng.randrange(1, 25)):
        clock += rng.choice([1, 1, 2, 5, rng.randrange(80)])
        for pattern in rng.sample(range(len(patterns)), rng.randrange(1, len(patterns) + 1)):
            heralds.append(herald(clock * samples + rng.randrange(samples), pattern, configuration))
    return configuration, heralds


@pytest.mark.parametrize("samples", [1, 2, 4])
@pytest.mark.parametrize("seed", range(15))
def test_plays_what_the_model_plays(seed, samples):
    rng = random.Random(seed * 10 + samples)
    configuration, heralds = random_case(rng, samples)
    assert run(configuration, samples, heralds) == expected(configuration, samples, heralds)


SINGLE = Pattern(frozenset({0}), 0, Outcome.PSI_PLUS)


@pytest.mark.parametrize("subtick", range(4))
def test_the_soonest_pulse_is_exact_to_the_tick_on_every_subtick(subtick):
    configuration = Configuration((SINGLE,), actions={Outcome.PSI_PLUS: (Pulse(2, 4 * LATENCY, 1),)})
    seen, counts = run(configuration, 4, [herald(40 + subtick, 0, configuration)])
    tick = 40 + subtick + 4 * LATENCY
    assert seen == [(tick, 2, 1), (tick + 1, 2, 0)]
    assert counts == {"started": 1, "dropped": 0, "refused": 0}


def test_a_pulse_that_would_be_too_soon_is_refused_and_nothing_moves():
    table = (Pulse(0, 4 * LATENCY - 1, 3), Pulse(1, 4 * LATENCY + 10, 3))
    configuration = Configuration((SINGLE,), actions={Outcome.PSI_PLUS: table})
    seen, counts = run(configuration, 4, [herald(43, 0, configuration)])
    assert seen == []
    assert counts == {"started": 0, "dropped": 0, "refused": 1}


def test_a_herald_while_the_table_is_played_is_dropped_and_counted():
    configuration = Configuration((SINGLE,), actions={Outcome.PSI_PLUS: (Pulse(0, 80, 100),)})
    heralds = [herald(tick, 0, configuration) for tick in (40, 60, 300)]
    seen, counts = run(configuration, 4, heralds)
    assert seen == edges([Level(0, 120, 220), Level(0, 380, 480)])
    assert counts == {"started": 2, "dropped": 1, "refused": 0}


@pytest.mark.parametrize("clear", range(15, 60, 3))
def test_a_restart_in_the_midst_lets_every_output_go_low(clear):
    configuration = Configuration((SINGLE,), actions={Outcome.PSI_PLUS: (Pulse(0, 100, 60), Pulse(3, 70, 170))})
    seen, _ = run(configuration, 4, [herald(21, 0, configuration)], clear=range(clear, clear + 3))
    last = {output: level for _, output, level in seen}
    assert not any(last.values())
    assert all(tick < (clear + 6) * 4 for tick, _, _ in seen)


def test_the_board_states_the_latency_that_it_has():
    assert Parameters().action_latency == LATENCY
