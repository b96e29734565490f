"""The compiled engine at its largest, on links that take anything or nothing: what happened is delivered or counted."""

import random
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.gateware.compiled import Bench
from tests.gateware.test_equivalence import MODELLED, WIDEST, herald, without_chances

from qlink.firmware_bridge.decoder import concatenate
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.registers import BY_NAME, Mode
from qlink.firmware_bridge.wire import TIMES_LOST, Coding, CounterGroup, GlobalCounter, TimeSource, counter_index
from qlink.sim.cases import Case, Shape, random_case
from qlink.sim.coincidence import Observation, late, observe, sample
from qlink.sim.sources import PPS, REFERENCE, TEN_MHZ, clicks_of
from qlink.sim.stream_filter import streamed
from qlink.sim.times import note

CLOCKS, SUSTAINED = 1_500, 3_000  # clocks with edges
REST = 8_000  # clocks after the last edge, longer than any delay and decision take
LONG = 400_000  # clocks in which all that waits is sent
CHANNELS, PATTERNS = range(WIDEST.channels), range(WIDEST.patterns)
SHAPE = Shape(WIDEST.channels, WIDEST.patterns, WIDEST.samples, 0, CLOCKS, (1 << WIDEST.delay_bits) - 1)
INPUTS = {TimeSource.PPS: PPS, TimeSource.TEN_MHZ: TEN_MHZ}
OPEN, SHUT = (), ((0, SUSTAINED + REST),)  # when the link takes nothing


@dataclass(frozen=True)
class Seen:
    """What came of a case in the end, and what should have."""

    case: Case
    model: Observation
    batch: Batch
    zero: int  # the tick at which the case began
    counts: Counter[int]
    bracketed: Counter[int]  # by source

    def lost(self, group, member):
        """How many were lost. The brackets have to say what the counter does."""
        index = counter_index(group, member)
        assert self.bracketed[index] == self.counts[index]
        return self.counts[index]


def run(case, times=(), stalls=OPEN):
    """Run a case; when all is over, the link takes everything."""
    bench = Bench(WIDEST)
    bench.configure(case.configuration)
    zero = bench.twin.now + 50
    inputs = [*case.edges, *((tick, REFERENCE) for tick in case.references), *((t, INPUTS[s]) for t, s in times)]
    ticks, channels = np.array(inputs, np.int64).reshape(-1, 2).T
    bench.twin.stall(*((zero + begin, zero + end) for begin, end in stalls))
    bench.run(SUSTAINED + REST + 50, clicks_of(ticks + zero * WIDEST.samples, channels))
    bench.write("reference_timeout", 0)
    bench.write("snapshot_clocks", 0)
    bench.run(LONG)
    bench.write("command", BY_NAME["command"].pack(snapshot=1))
    bench.run(LONG)
    assert bench.twin.idle
    assert not any(bench.twin.unresolved)
    stats, batch = bench.decoder.stats, concatenate(bench.batches)
    assert (stats.frames_missing, stats.bytes_skipped, stats.errors) == (0, 0, {})
    counts, bracketed = Counter[int](), Counter[int]()
    counts.update({int(counter["index"]): int(counter["value"]) for counter in batch.counters})
    for loss in batch.losses:
        bracketed[int(loss["source"])] += int(loss["count"])
    model = observe(case.configuration, WIDEST.samples, case.edges, case.references, SUSTAINED + REST)
    return Seen(case, model, batch, zero * WIDEST.samples, counts, bracketed)


def check_clicks(seen):
    """A channel's clicks are the model's: in order, and delivered, filtered as it says, or lost."""
    configuration = seen.case.configuration
    edges, _ = late(configuration, seen.case.edges, seen.case.references)
    happened = sample(edges, WIDEST.samples, Counter())
    wanted = streamed(configuration, happened, sorted(herald.tick for herald in seen.model.heralds))
    ticks, channels = seen.batch.clicks["tick"].tolist(), seen.batch.clicks["channel"].tolist()
    came = [(tick - seen.zero, channel) for tick, channel in zip(ticks, channels, strict=True)]
    assert ticks == sorted(ticks)
    assert len(set(came)) == len(came)
    assert set(came) <= set(wanted)
    for channel in CHANNELS:
        count, kept, delivered = (sum(c == channel for _, c in some) for some in (happened, wanted, came))
        assert seen.counts[counter_index(CounterGroup.CLICKS, channel)] == count
        assert seen.counts[counter_index(CounterGroup.CLICKS_FILTERED, channel)] == count - kept
        assert delivered + seen.lost(CounterGroup.CLICKS_LOST, channel) == kept


def check_heralds(seen):
    """A pattern's heralds are the model's, delivered or lost; and whatever else it counts."""
    indices = [counter_index(group, member) for group in MODELLED for member in CHANNELS]
    assert {i: seen.counts[i] for i in indices} == {i: seen.model.counts[i] for i in indices}
    heralds = [herald(record, seen.zero) for record in seen.batch.heralds]
    assert all(before.sequence < after.sequence for before, after in pairwise(heralds))
    assert without_chances(heralds) == without_chances([seen.model.heralds[h.sequence] for h in heralds])
    for pattern in PATTERNS:
        delivered = sum(h.pattern == pattern for h in heralds)
        happened = seen.counts[counter_index(CounterGroup.HERALDS, pattern)]
        assert delivered + seen.lost(CounterGroup.HERALDS_LOST, pattern) == happened


def check_times(seen, times):
    """The records of another clock are the model's, delivered or lost."""
    noted = note(WIDEST.samples, times, seen.case.configuration.time_pps, seen.case.configuration.time_ten_mhz)
    assert seen.counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.TIMES_MERGED)] == noted.merged
    for source in TimeSource:
        due = {record.number: (record.tick, record.edges) for record in noted.records if record.source == source}
        records = seen.batch.times[seen.batch.times["source"] == source]
        came = {int(r["number"]): (int(r["tick"]) - seen.zero, int(r["edges"])) for r in records}
        assert came.items() <= due.items()
        assert len(records) == len(came)
        assert len(came) + seen.lost(CounterGroup.GLOBAL, TIMES_LOST[source]) == len(due)


def check_snapshots(seen):
    """Snapshots are numbered, and delivered whole or lost."""
    sizes = Counter(seen.batch.counters["snapshot"].tolist())
    assert len(set(sizes.values())) == 1
    happened = int(seen.batch.counters["snapshot"][-1]) + 1
    assert len(sizes) + seen.lost(CounterGroup.GLOBAL, GlobalCounter.SNAPSHOTS_LOST) == happened


def every_clock(rng):
    """Edges of every channel, one in every clock."""
    samples, edges = WIDEST.samples, []
    for channel in CHANNELS:
        sub = 0
        for clock in range(SUSTAINED):
            sub = rng.randrange(max(0, sub + 2 - samples), samples)  # a pin is low for a tick before it rises
            edges.append((clock * samples + sub, channel))
    return sorted(edges)


@pytest.mark.parametrize("stalls", [OPEN, SHUT], ids=["open", "shut"])
def test_one_click_on_every_channel_in_every_clock_is_matched_and_counted(stalls):
    rng = random.Random(16)
    case = random_case(rng, SHAPE, Mode.FREE_RUNNING)
    configuration = replace(case.configuration, delays={}, reference_delay=0, flush_clocks=5_000)
    seen = run(Case(configuration, every_clock(rng), []), stalls=stalls)
    clicks = [seen.counts[counter_index(CounterGroup.CLICKS, channel)] for channel in CHANNELS]
    assert clicks == [SUSTAINED] * WIDEST.channels
    assert len(seen.model.heralds) > 5 * SUSTAINED
    check_clicks(seen)
    check_heralds(seen)


def random_times(rng):
    """Edges of both inputs of another clock."""
    ten_mhz = np.cumsum([rng.choice([2, 20, 20, 90]) for _ in range(rng.choice([10, 400]))])
    pps = np.cumsum([rng.choice([3, 300, 2_000]) for _ in range(8)])
    edges = [(int(t), TimeSource.TEN_MHZ) for t in ten_mhz] + [(int(t), TimeSource.PPS) for t in pps]
    return sorted(edge for edge in edges if edge[0] < CLOCKS * WIDEST.samples)


def stretches(steps):
    """When the link takes nothing, of clocks in which it does and does not in turn."""
    ends = np.cumsum(steps).tolist()
    return tuple(zip(ends[::2], ends[1::2], strict=False))


STALLS = st.lists(st.sampled_from([1, 2, 30, 400, 3_000]), max_size=40).map(stretches)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), mode=st.sampled_from(Mode), near=st.booleans(), stalls=STALLS)
@example(seed=1, mode=Mode.FREE_RUNNING, near=False, stalls=SHUT)
@example(seed=2, mode=Mode.FREE_RUNNING, near=True, stalls=SHUT)
@example(seed=3, mode=Mode.GATED, near=True, stalls=stretches([400, 3_000] * 4))
@example(seed=4, mode=Mode.FREE_RUNNING, near=True, stalls=stretches([1, 2] * 4_000))
def test_what_happened_is_delivered_filtered_or_lost_on_any_link(seed, mode, near, stalls):
    rng = random.Random(seed)
    case, times = random_case(rng, SHAPE, mode), random_times(rng)
    near_some = frozenset(rng.sample(CHANNELS, 5 * WIDEST.channels // 8)) if near else frozenset()
    configuration = replace(
        case.configuration,
        coding=rng.choice(list(Coding)),
        stream_channels=frozenset(rng.sample(CHANNELS, WIDEST.channels - rng.choice([0, 0, 2]))),
        near_heralds=near_some,
        vicinity=rng.choice([0, 5, 500]),
        shares={channel: rng.choice([2, 7]) for channel in CHANNELS[::5] if channel not in near_some},
        snapshot_clocks=rng.choice([0, 300, 4_000]),
        flush_clocks=rng.choice([500, 5_000]),
        time_pps=True,
        time_ten_mhz=rng.choice([1, 7]),
    )
    seen = run(replace(case, configuration=configuration), times, stalls)
    check_clicks(seen)
    check_heralds(seen)
    check_times(seen, times)
    check_snapshots(seen)
