"""The compiled engine, from pins to bytes, against the golden model: thousands of clicks a case."""

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from qlink.firmware_bridge.configuration import Identity
from qlink.firmware_bridge.decoder import Decoder, concatenate
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.events import CLICK
from qlink.firmware_bridge.registers import BY_NAME, Mode
from qlink.firmware_bridge.settings import settings_of
from qlink.firmware_bridge.wire import (
    CONTRACT_VERSION,
    GROUP_SIZE,
    OUTCOMES,
    ActionCounter,
    CounterGroup,
    GlobalCounter,
    HeraldFlag,
    Operation,
    counter_index,
)
from qlink.gateware.parameters import COMPACT as SIZES
from qlink.gateware.parameters import Parameters
from qlink.sim.actions import Timing, captured, play
from qlink.sim.actions import edges as edges_of
from qlink.sim.cases import Shape, random_case
from qlink.sim.coincidence import Herald, late, observe, sample
from qlink.sim.sources import REFERENCE
from qlink.sim.twin import Link, open_twin

CLOCKS = 20_000
BEGIN = 400  # clocks of the case before its first edge: shorter than its timeout
REST = 30_000  # clocks after the last edge, longer than any delay and decision take
ANSWER, ANSWER_BITWISE = 200, 600  # clocks in which a register request is answered
CHANCES = HeraldFlag.HERALDS_LOST | HeraldFlag.REFERENCE_MISSED  # flags that depend on which heralds were lost


class Bench:
    """One board after reset, and all that it has sent."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.twin = open_twin(parameters, Link(capture=True))
        self.decoder = Decoder()
        self.batches = []

    def run(self, clocks, clicks=None, requests=b""):
        self.batches.append(self.decoder.feed(self.twin.run(clocks, clicks, requests)))

    def write(self, name, value, index=0):
        self.run(
            ANSWER_BITWISE if self.parameters.compact else ANSWER,
            requests=encode_request(Operation.WRITE, 0, BY_NAME[name].address + index, value),
        )

    def configure(self, configuration):
        parameters = self.parameters
        identity = Identity(
            contract_version=CONTRACT_VERSION,
            board=parameters.board,
            channels=parameters.channels,
            patterns=parameters.patterns,
            samples=parameters.samples,
            tick_fs=parameters.tick_fs,
            clock_hz=parameters.clock_hz,
            herald_latency=parameters.herald_latency,
            build=0,
            delay_ticks=(1 << parameters.delay_bits) - 1,
            features=parameters.features,
            pulses=parameters.pulses,
            action_latency=parameters.action_latency,
            codings=parameters.codings,
            veto_clocks=parameters.veto_depth,
            window_ticks=(1 << parameters.window_bits) - 1,
            pps=parameters.pps,
            ten_mhz=parameters.ten_mhz,
        )
        for setting in settings_of(configuration, identity):
            self.write(setting.name, setting.value, setting.index)
        self.run(self.parameters.delay_depth)  # until changed delays are in force
        self.write("control", BY_NAME["control"].pack(run=1, mode=configuration.mode))

    def observe(self, case):
        """Run the case and return what came, and the clock of the board in which the case began."""
        self.configure(case.configuration)
        zero = self.twin.now - BEGIN + 20
        edges = [*case.edges, *((tick, REFERENCE) for tick in case.references)]
        clicks = np.zeros(len(edges), CLICK)
        for name, values in zip(("tick", "channel"), zip(*sorted(edges), strict=True), strict=True):
            clicks[name] = values
        clicks["tick"] += zero * self.parameters.samples
        self.run(CLOCKS + REST, clicks)
        self.write("reference_timeout", 0)
        self.write("command", BY_NAME["command"].pack(snapshot=1))
        self.run(400_000)  # beyond the flush timer
        assert self.decoder.stats.frames_missing == self.decoder.stats.bytes_skipped == 0
        assert not any(self.twin.unresolved)
        return concatenate(self.batches), zero * self.parameters.samples


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
COMPACT = Parameters(
    **{"channels": 4, "patterns": 2, "samples": 2, "window_bits": 12, "herald_depth": 16, "frame_depth": 256},
    **SIZES,
    **{"pulses": 0, "sync": False, "pps": False, "ten_mhz": False},
)
WIDEST = Parameters(
    **{"channels": 16, "patterns": 16, "delay_depth": 64},
    **{"pulses": 0, "sequencer": False, "sync": False, "histogram_bins": 0},
)
BOARDS = [
    Parameters(),
    Parameters(channels=5, patterns=3, samples=2, multiplicity=True),
    Parameters(channels=3, patterns=4, samples=1, multiplicity=True),
    COMPACT,
    replace(COMPACT, channels=3, patterns=4, samples=4, window_bits=16, pulses=2, delay_depth=64, ten_mhz=True),
]
CASES = [(board, mode, seed) for board in BOARDS for mode in Mode for seed in range(8)]
CASES += [(WIDEST, mode, seed) for mode in Mode for seed in range(3)]


@pytest.mark.parametrize(
    ("board", "mode", "seed"), CASES, ids=lambda value: getattr(value, "name", str(getattr(value, "samples", value)))
)
def test_delivers_what_the_model_decides(board, mode, seed):
    rng = Random(f"{board.samples} {mode} {seed}")
    delay_ticks = (1 << board.delay_bits) - 1
    clocks = CLOCKS if board is not WIDEST else CLOCKS // 4
    shape = Shape(board.channels, board.patterns, board.samples, BEGIN, BEGIN + clocks, delay_ticks)
    shape = replace(shape, pulses=board.pulses, action_latency=board.action_latency, multiplicity=board.multiplicity)
    shape = replace(shape, vetoes=not board.compact, window_ticks=(1 << board.window_bits) - 1)
    case = random_case(rng, shape, mode)
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
