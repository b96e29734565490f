"""The twin: many clocks a call, idle ones skipped, nothing lost without a count."""

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from qlink.firmware_bridge.configuration import Configuration, Gate, Identity, Outcome, Pattern, Pulse
from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.registers import BY_NAME, Mode
from qlink.firmware_bridge.settings import check, settings_of
from qlink.firmware_bridge.wire import CounterGroup, Operation, counter_index
from qlink.gateware.parameters import Parameters
from qlink.sim.errors import TwinError
from qlink.sim.photonics import HeraldedLink
from qlink.sim.recordings import read_recording
from qlink.sim.sources import REFERENCE, Clicks, clicks_of
from qlink.sim.twin import Link, Twin, no_clicks, open_twin

DATA = Path(os.environ.get("QLINK_DATA", Path(__file__).parents[2] / "../shared/data"))
BOARD = Parameters()
IDENTITY = Identity(
    1, "TWIN", BOARD.channels, BOARD.patterns, BOARD.samples, BOARD.tick_fs, BOARD.clock_hz, 0, 0, 16383
)
FEEDING = replace(IDENTITY, pulses=BOARD.pulses, action_latency=BOARD.action_latency)
PLAIN = Link()
QUIET_CLOCKS = 4_000  # for requests to arrive in
FLUSH_CLOCKS = 5_000

PAIRS = Configuration(
    patterns=(
        Pattern(frozenset({0, 4}), window=6),
        Pattern(frozenset({1, 5}), window=3, outcome=Outcome.PSI_MINUS),
        Pattern(frozenset({2}), window=9, outcome=Outcome.PHI_PLUS, forbidden=frozenset({6, 7})),
    ),
    flush_clocks=FLUSH_CLOCKS,
    snapshot_clocks=30_000,
)
CALM = Configuration(patterns=PAIRS.patterns, flush_clocks=FLUSH_CLOCKS)  # without snapshots
GATED = Configuration(
    patterns=(Pattern(frozenset({0, 1}), window=40), Pattern(frozenset({2}), window=20, forbidden=frozenset({3}))),
    mode=Mode.GATED,
    gates={channel: Gate(8, 60) for channel in range(4)},
    attempt_clocks=30,
    reference_timeout=3_000,
    flush_clocks=FLUSH_CLOCKS,
)
DELAYED = replace(GATED, delays={0: -30, 1: 25, 2: 2000}, reference_delay=7)
ACTING = replace(
    CALM,
    actions={
        Outcome.PSI_PLUS: (Pulse(0, 70, 3), Pulse(1, 90, 4_000)),
        Outcome.PHI_PLUS: (Pulse(1, 800, 60), Pulse(3, 100, 1)),
    },
)
STOPPED = encode_request(Operation.WRITE, 1, BY_NAME["control"].address, 0)
SNAPSHOT = encode_request(Operation.WRITE, 1, BY_NAME["command"].address, 1)


def requests(configuration: Configuration) -> bytes:
    """Everything that sets the board up and starts it."""
    identity = FEEDING if configuration.actions else IDENTITY
    check(configuration, identity)
    writes = [(setting.name, setting.index, setting.value) for setting in settings_of(configuration, identity)]
    writes.append(("control", 0, BY_NAME["control"].pack(run=1, mode=configuration.mode)))
    encoded = (
        encode_request(Operation.WRITE, number % 256, BY_NAME[name].address + index, value)
        for number, (name, index, value) in enumerate(writes)
    )
    return b"".join(encoded)


def running(configuration: Configuration, link: Link = PLAIN) -> Twin:
    twin = open_twin(BOARD, link)
    twin.run(QUIET_CLOCKS, requests=requests(configuration))
    return twin


def random_clicks(rng: np.random.Generator, count: int, mean: float, references: bool = False) -> Clicks:
    channels = rng.choice([*range(8), *([REFERENCE] * 2 if references else [])], count)
    return clicks_of(QUIET_CLOCKS * 4 + np.cumsum(rng.geometric(1 / mean, count)), channels)


def recorded_clicks() -> Clicks:
    path = DATA / "spdc/spdc_pairs.txt"
    if not path.exists():
        pytest.skip(f"no {path}: set QLINK_DATA to the folder of recordings")
    clicks = read_recording(path, channels=8).clicks[:120].copy()
    clicks["tick"] += QUIET_CLOCKS * 4
    return clicks


def link_clicks() -> Clicks:
    link = HeraldedLink(attempt_hz=2_000_000, alpha=0.5, efficiency_a=0.5, efficiency_b=0.5, dark_hz=10_000)
    clicks = next(islice(link.clicks(1250.0, np.random.default_rng(3)), 1)).clicks[:1500].copy()
    clicks["tick"] += QUIET_CLOCKS * 4
    return clicks


def counters(data: bytes) -> dict[int, int]:
    """The counters of the last snapshot."""
    records = Decoder().feed(data).counters
    return {int(record["index"]): int(record["value"]) for record in records}


def total(counted: dict[int, int], group: CounterGroup) -> int:
    return sum(counted[counter_index(group, channel)] for channel in range(BOARD.channels))


@pytest.fixture
def clicks(request: pytest.FixtureRequest) -> Clicks:
    rng = np.random.default_rng(11)
    cases = {
        "dense": lambda: random_clicks(rng, 4_000, 20),
        "sparse": lambda: random_clicks(rng, 200, 2_000),
        "attempts": lambda: random_clicks(rng, 800, 200, references=True),
        "link": link_clicks,
        "recorded": recorded_clicks,
        "none": no_clicks,
    }
    return cases[request.param]()


CASES = [
    (PAIRS, "dense"),
    (PAIRS, "sparse"),
    (PAIRS, "recorded"),
    (PAIRS, "none"),
    (ACTING, "dense"),
    (ACTING, "sparse"),
    (GATED, "attempts"),
    (GATED, "sparse"),
    (DELAYED, "attempts"),
    (DELAYED, "sparse"),
    (HeraldedLink(attempt_hz=2_000_000).configuration(1250.0, 4), "link"),
]


@pytest.mark.parametrize("clocks_per_byte", [1, 7])
@pytest.mark.parametrize(("configuration", "clicks"), CASES, indirect=["clicks"])
def test_skipping_does_not_show(configuration: Configuration, clicks: Clicks, clocks_per_byte: int) -> None:
    seen = []
    for skipping in (True, False):
        twin = open_twin(BOARD, Link(clocks_per_byte, skipping, capture=True))
        seen.append((b"".join(_session(twin, configuration, clicks)), twin.pulses().tobytes(), twin.unresolved))
        assert skipping or twin.evaluated == twin.now
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 1_000


def _session(twin: Twin, configuration: Configuration, clicks: Clicks) -> Iterator[bytes]:
    """Clicks with registers written and read in between."""
    end = int(clicks["tick"][-1]) // BOARD.samples if len(clicks) else 100_000
    yield twin.run(QUIET_CLOCKS, clicks, requests(configuration))
    yield twin.run(end // 2 - twin.now)
    yield twin.run(1_000, requests=SNAPSHOT + SNAPSHOT)
    window = encode_request(Operation.WRITE, 9, BY_NAME["pattern_decision"].address, 2)
    yield twin.run(end - 200 - twin.now, requests=window)
    yield twin.run(300, requests=STOPPED)
    yield twin.run(2 * FLUSH_CLOCKS, requests=SNAPSHOT)


def test_skips_what_is_idle() -> None:
    twin = running(CALM)
    before = twin.evaluated
    twin.run(5_000_000, random_clicks(np.random.default_rng(1), 100, 50_000))
    assert twin.now == QUIET_CLOCKS + 5_000_000
    assert twin.evaluated - before < 20_000


def test_a_click_comes_back_with_its_tick() -> None:
    twin = running(CALM)
    rng = np.random.default_rng(2)
    clicks = clicks_of(QUIET_CLOCKS * 4 + np.cumsum(rng.integers(4, 1_000, 300)), rng.integers(0, 8, 300))
    batch = Decoder().feed(twin.run(50_000, clicks))
    assert batch.clicks[["tick", "channel"]].tolist() == clicks[["tick", "channel"]].tolist()


@pytest.mark.parametrize("subtick", range(4))
def test_a_herald_pin_is_high_a_fixed_time_after_the_click(subtick: int) -> None:
    twin = running(CALM, Link(capture=True))
    starts = QUIET_CLOCKS * 4 + 4 * np.arange(10, 5_000, 501) + subtick
    pairs = clicks_of(np.concatenate([starts, starts + 2]), np.repeat([5, 1], len(starts)))
    twin.run(QUIET_CLOCKS + 6_000, pairs)
    pulses = twin.pulses()
    assert (pulses["clock"] - (starts + 2) // 4 == BOARD.herald_latency).all()
    assert (pulses["pins"] == 1 << Outcome.PSI_MINUS).all()


def test_a_click_right_after_another_is_counted_as_unresolved() -> None:
    twin = running(CALM)
    ticks = QUIET_CLOCKS * 4 + np.array([100, 101, 102, 103, 200, 200, 300])
    twin.run(QUIET_CLOCKS, clicks_of(ticks, 3))
    twin.run(QUIET_CLOCKS, clicks_of(ticks[-1:] + 40_000, REFERENCE))
    assert twin.unresolved == [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]


def test_every_click_is_accounted_for() -> None:
    twin, clicks = running(CALM), random_clicks(np.random.default_rng(4), 5_000, 2)
    twin.run(QUIET_CLOCKS * 4, clicks)
    counted = counters(twin.settle() + twin.run(20_000, requests=STOPPED + SNAPSHOT))
    merged = total(counted, CounterGroup.MERGED)
    assert merged > 100
    assert total(counted, CounterGroup.CLICKS) + merged + sum(twin.unresolved) == len(clicks)


def test_a_stalled_link_loses_in_brackets() -> None:
    twin, clicks = running(CALM), random_clicks(np.random.default_rng(5), 20_000, 8)
    twin.stall((twin.now, twin.now + 60_000))
    data = twin.run(60_000, clicks) + twin.settle()
    data += twin.run(100_000, requests=STOPPED + SNAPSHOT)
    batch, counted = Decoder().feed(data), counters(data)
    lost = int(batch.losses["count"][batch.losses["source"] // 16 == CounterGroup.CLICKS_LOST].sum())
    assert lost == total(counted, CounterGroup.CLICKS_LOST) > 1_000
    assert len(batch.clicks) + lost == total(counted, CounterGroup.CLICKS)


def test_a_slow_link_brings_the_same_records() -> None:
    clicks = random_clicks(np.random.default_rng(6), 200, 400)
    clicks["tick"] += 4 * 4 * QUIET_CLOCKS  # requests take that much longer
    fast, slow = (running(CALM, Link(clocks_per_byte=rate)) for rate in (1, 4))
    batches = [Decoder().feed(twin.run(60_000, clicks) + twin.settle() + twin.run(100_000)) for twin in (fast, slow)]
    assert batches[0].clicks.tobytes() == batches[1].clicks.tobytes()
    assert batches[0].heralds.tobytes() == batches[1].heralds.tobytes()


def test_two_twins_do_not_disturb_each_other() -> None:
    clicks = random_clicks(np.random.default_rng(7), 100, 100)
    alone, first, second = running(CALM), running(CALM), running(CALM)
    first.feed(clicks)
    pieces = []
    for _ in range(20):
        second.run(700)
        pieces.append(first.run(1_000))
    assert b"".join(pieces) == alone.run(20_000, clicks)


@pytest.mark.parametrize(
    ("ticks", "channel", "message"),
    [
        ([40_000, 39_999], 0, "sorted"),
        ([100], 0, "too late"),
        ([40_000], 8, "channels 0 to 7"),
        ([40_000], 252, "0 to 7"),
    ],
)
def test_refuses_clicks_that_make_no_sense(ticks: list[int], channel: int, message: str) -> None:
    twin = running(PAIRS)
    clicks = clicks_of(np.array(ticks), channel)
    clicks["tick"] = ticks
    with pytest.raises(TwinError, match=message):
        twin.feed(clicks)


def test_clicks_have_to_follow_those_that_wait() -> None:
    twin = running(PAIRS)
    twin.feed(clicks_of(np.array([90_000]), 0))
    with pytest.raises(TwinError, match="sorted"):
        twin.feed(clicks_of(np.array([80_000]), 0))


def test_a_run_that_hangs_fails() -> None:
    twin = running(CALM)
    twin.stall((0, 2**60))
    twin.request(SNAPSHOT)
    with pytest.raises(TwinError, match="still busy after 20000 clocks of work"):
        twin.settle(limit=20_000)


def test_a_link_takes_some_time_for_a_byte() -> None:
    with pytest.raises(TwinError, match="clocks_per_byte has to be at least 1, not 0"):
        open_twin(BOARD, Link(clocks_per_byte=0))
