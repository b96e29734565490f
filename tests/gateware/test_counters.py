import random

import pytest

from qlink.firmware_bridge.wire import OUTCOMES, ActionCounter, CounterGroup, GlobalCounter, counter_index
from qlink.gateware.counters import CounterBank, counter_indices
from qlink.gateware.parameters import Parameters
from qlink.sim.bench import simulate


class Model:
    """What has been counted before each `take`."""

    def __init__(self, count, start):
        self.values = [start] * count
        self.snapshots = []

    def step(self, increments, take):
        if take:
            self.snapshots.append(list(self.values))
        self.values = [value + (increments >> n & 1) for n, value in enumerate(self.values)]


def run_bank(count, start, *, takes, rng, density, stall=0.3, idle_before=0):
    """Count random events; take `takes` snapshots, each as soon as may be and a random while later."""
    indices = [3 * n + 1 for n in range(count)]
    dut, model, seen = CounterBank(indices, start), Model(count, start), []

    async def run(ctx):
        wait, taken = idle_before, 0
        while taken < takes or ctx.get(dut.busy):
            increments = sum((rng.random() < density) << n for n in range(count))
            busy = ctx.get(dut.busy)
            take = int(not busy and taken < takes and wait == 0)
            wait = rng.randrange(3 * count) if take else max(0, wait - (not busy))
            ready = rng.random() >= stall
            ctx.set(dut.increments, increments)
            ctx.set(dut.take, take)
            ctx.set(dut.snapshot.ready, ready)
            model.step(increments, take)
            taken += take
            _, _, valid, payload = await ctx.tick().sample(dut.snapshot.valid, dut.snapshot.payload)
            if valid and ready:
                seen.append((payload.index, payload.value))

    simulate(dut, run, limit=1000 + takes * (idle_before + 30 * count + 200))
    assert [index for index, _ in seen] == indices * takes
    values = [value for _, value in seen]
    return [values[at : at + count] for at in range(0, len(values), count)], model.snapshots


@pytest.mark.parametrize("count", [13, 69, 96])
@pytest.mark.parametrize("density", [0.05, 1.0])
def test_a_snapshot_is_what_had_been_counted_at_one_instant(count, density):
    snapshots, expected = run_bank(count, 0, takes=6, rng=random.Random(count), density=density)
    assert snapshots == expected


def test_no_event_is_missed_while_a_snapshot_stalls():
    snapshots, expected = run_bank(13, 0, takes=3, rng=random.Random(1), density=1.0, stall=0.97)
    assert snapshots == expected


@pytest.mark.parametrize("start", [2**32 - 7, 2**63 - 50, 2**40 - 3])
def test_counts_beyond_32_bits(start):
    snapshots, expected = run_bank(20, start, takes=3, rng=random.Random(2), density=0.9)
    assert snapshots == expected


def test_all_counters_of_the_largest_board_count_in_every_clock_for_long():
    count = len(counter_indices(Parameters(channels=16, patterns=16)))
    assert count == 16 * 9 + len(GlobalCounter) + len(ActionCounter) * OUTCOMES
    snapshots, expected = run_bank(count, 0, takes=2, rng=random.Random(3), density=1.0, idle_before=600)
    assert snapshots == expected


def test_there_is_a_counter_for_each_of_the_contract():
    indices = counter_indices(Parameters(channels=2, patterns=3))
    per_channel = ("CLICKS", "MERGED", "GATED", "CLICKS_LOST", "CLICKS_FILTERED")
    expected = [counter_index(CounterGroup[group], c) for group in per_channel for c in range(2)]
    expected += [counter_index(CounterGroup[g], p) for g in ("HERALDS", "VETOED", "HERALDS_LOST") for p in range(3)]
    expected += [counter_index(CounterGroup.GLOBAL, member) for member in GlobalCounter]
    assert counter_indices(Parameters(channels=2, patterns=3).lean()) == expected
    expected += [counter_index(CounterGroup.ACCIDENTALS, p) for p in range(3)]
    expected += [counter_index(CounterGroup.ACTIONS, member) for member in range(len(ActionCounter) * OUTCOMES)]
    assert indices == expected
