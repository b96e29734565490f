"""The compiled engine, from pins to bytes, against the golden model: thousands of clicks a case."""

from collections import Counter
from dataclasses import replace

import pytest
from tests.gateware.compiled import BEGIN, CLOCKS, COMPACT, NARROW, REST, Bench, case_of

from qlink.firmware_bridge.registers import Mode
from qlink.firmware_bridge.wire import (
    GROUP_SIZE,
    OUTCOMES,
    ActionCounter,
    CounterGroup,
    GlobalCounter,
    HeraldFlag,
    counter_index,
)
from qlink.gateware.parameters import Parameters
from qlink.sim.actions import Timing, captured, play
from qlink.sim.actions import edges as edges_of
from qlink.sim.coincidence import Herald, late, observe, sample

CHANCES = HeraldFlag.HERALDS_LOST | HeraldFlag.REFERENCE_MISSED  # flags that depend on which heralds were lost


def herald(record, zero):
    channels = [channel for channel in range(16) if record["channels"] >> channel & 1]
    plain = {name: int(record[name]) for name in ("sequence", "attempt", "pattern", "outcome", "flags", "position")}
    return Herald(
        tick=int(record["tick"]) - zero, ages={channel: int(record["ages"][channel]) for channel in channels}, **plain
    )


MODELLED = [
    *(CounterGroup.CLICKS, CounterGroup.MERGED, CounterGroup.GATED),
    *(CounterGroup.HERALDS, CounterGroup.VETOED, CounterGroup.ACCIDENTALS),
]
MODELLED_GLOBALS = [GlobalCounter.ATTEMPTS, GlobalCounter.REFERENCES_DOUBLED]
WIDEST = Parameters(
    **{"channels": 16, "patterns": 16, "delay_depth": 64},
    **{"pulses": 0, "sequencer": False, "sync": False, "histogram_bins": 0},
)
BOARDS = [
    Parameters(),
    Parameters(channels=5, patterns=3, samples=2, multiplicity=True),
    NARROW,
    COMPACT,
    replace(COMPACT, channels=3, patterns=4, samples=4, window_bits=16, pulses=2, delay_depth=64, ten_mhz=True),
]
CASES = [(board, mode, seed) for board in BOARDS for mode in Mode for seed in range(8)]
CASES += [(WIDEST, mode, seed) for mode in Mode for seed in range(3)]


@pytest.mark.parametrize(
    ("board", "mode", "seed"), CASES, ids=lambda value: getattr(value, "name", str(getattr(value, "samples", value)))
)
def test_delivers_what_the_model_decides(board, mode, seed):
    clocks = CLOCKS if board is not WIDEST else CLOCKS // 4
    case = case_of(board, mode, seed, clocks)
    model = observe(case.configuration, board.samples, case.edges, case.references, BEGIN + clocks + REST)
    bench = Bench(board)
    seen, zero = bench.observe(case)
    counts = {int(counter["index"]): int(counter["value"]) for counter in seen.counters}

    modelled = [group for group in MODELLED if board.accidentals or group is not CounterGroup.ACCIDENTALS]
    indices = [counter_index(group, member) for group in modelled for member in range(GROUP_SIZE)]
    indices += [counter_index(CounterGroup.GLOBAL, member) for member in MODELLED_GLOBALS]
    assert {i: counts.get(i, 0) for i in indices} == {i: model.counts[i] for i in indices}

    played = play(case.configuration, Timing(board.samples, board.action_latency), model.heralds)
    assert [(tick - zero, *change) for tick, *change in captured(bench.twin.pulses(), board.samples)] == edges_of(
        played.levels
    )
    actions = len(ActionCounter) * OUTCOMES if board.pulses else 0
    group = [counter_index(CounterGroup.ACTIONS, member) for member in range(actions)]
    assert {i: counts[i] for i in group} == {i: played.counts[i] for i in group}

    lost = sum(counts[counter_index(CounterGroup.HERALDS_LOST, pattern)] for pattern in range(board.patterns))
    heralds = [herald(record, zero) for record in seen.heralds]
    expected = [model.heralds[herald.sequence] for herald in heralds]
    assert [h.sequence for h in heralds] == sorted({h.sequence for h in heralds})
    assert len(heralds) + lost == len(model.heralds)
    if lost:
        heralds, expected = without_chances(heralds), without_chances(expected)
    assert heralds == expected

    clicks = [(int(click["tick"]) - zero, int(click["channel"])) for click in seen.clicks]
    assert len(set(clicks)) == len(clicks)
    edges, _ = late(case.configuration, case.edges, case.references)
    assert set(clicks) <= set(sample(edges, board.samples, Counter()))
    for channel in range(board.channels if board.streams else 0):
        delivered = sum(click[1] == channel for click in clicks)
        missing = counts[counter_index(CounterGroup.CLICKS_LOST, channel)]
        assert delivered + missing == counts[counter_index(CounterGroup.CLICKS, channel)]


def without_chances(heralds):
    return [replace(herald, flags=herald.flags & ~CHANCES) for herald in heralds]
