"""Sequences of attempts on the compiled board: triggers, references and heralds in step."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

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
from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.registers import BY_NAME, Mode, SequenceEnd
from qlink.firmware_bridge.settings import check, settings_of
from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, HeraldFlag, Operation, counter_index
from qlink.gateware.parameters import Parameters
from qlink.sim.sequencer import BRANCH_CLOCKS, HERALD_CLOCKS, Events, play
from qlink.sim.sources import REFERENCE, Clicks, clicks_of
from qlink.sim.twin import Link, Twin, open_twin

BOARD = Parameters()
IDENTITY = Identity(
    *(1, "TWIN", BOARD.channels, BOARD.patterns, BOARD.samples, BOARD.tick_fs, BOARD.clock_hz, 0, 0),
    sequence_segments=65,
    trigger_latency=BOARD.trigger_latency,
    branch_segments=64,
    branch_latency=BOARD.branch_latency,
)
CAPTURING = Link(capture=True)
SETUP = 5_000  # clocks in which the registers are written
SEQUENCE = Sequence(
    period=200,
    windows={0: (Window(0, 5), Window(20, 25), Window(30, 31), Window(195, 200)), 7: (Window(10, 120),)},
    idle_high=frozenset({1}),
)
GATED = Configuration(
    patterns=(
        Pattern(frozenset({0, 1}), window=40, outcome=Outcome.PSI_MINUS),
        Pattern(frozenset({2}), window=8, outcome=Outcome.PSI_PLUS, forbidden=frozenset({3})),
    ),
    mode=Mode.GATED,
    gates={channel: Gate(100 + channel, 600) for channel in range(4)},
    attempt_clocks=190,
    reference_timeout=1_000,
    flush_clocks=3_000,
    sequence=SEQUENCE,
)


def write(name: str, value: int, index: int = 0) -> bytes:
    return encode_request(Operation.WRITE, 1, BY_NAME[name].address + index, value)


def requests(configuration: Configuration) -> bytes:
    """Everything that sets the board up, starts it, and begins the sequence."""
    check(configuration, IDENTITY)
    settings = [write(s.name, s.value, s.index) for s in settings_of(configuration, IDENTITY)]
    return b"".join(settings) + write("control", 3) + write("sequence_command", 1)


def started(configuration: Configuration, link: Link = CAPTURING) -> tuple[Twin, bytes]:
    twin = open_twin(BOARD, link)
    return twin, twin.run(SETUP, requests=requests(configuration))


def levels(pulses: np.ndarray, begin: int, end: int) -> list[int]:
    """The triggers in each clock, from the clocks in which they change."""
    changes = np.concatenate([[0], pulses["triggers"]])
    return list(map(int, changes[np.searchsorted(pulses["clock"], np.arange(begin, end), side="right")]))


def first(pulses: np.ndarray) -> int:
    """The clock in which trigger 0 goes up first."""
    return int(pulses["clock"][np.flatnonzero(pulses["triggers"] & 1)[0]])


def read(twin: Twin, name: str) -> int:
    address = BY_NAME[name].address
    replies = Decoder().feed(twin.run(300, requests=encode_request(Operation.READ, 9, address, 0))).replies
    return int(replies["value"][replies["id"] == 9][0])


def status(twin: Twin) -> tuple[int, SequenceEnd, int]:
    fields = BY_NAME["sequence_status"].unpack(read(twin, "sequence_status"))
    return fields["running"], SequenceEnd(fields["end"]), read(twin, "sequence_begun")


def random_clicks(seed: int, begin: int, end: int, mean: float) -> Clicks:
    rng = np.random.default_rng(seed)
    ticks = begin * 4 + np.cumsum(rng.geometric(1 / mean, int((end - begin) * 4 / mean)))
    return clicks_of(ticks[ticks < end * 4], rng.integers(0, 4, (ticks < end * 4).sum()))


def test_triggers_are_those_of_the_model_and_attempts_have_no_dead_clock() -> None:
    twin, _ = started(GATED)
    twin.run(2_000)
    pulses = twin.pulses()
    zero = first(pulses)
    assert levels(pulses, zero, zero + 1_500) == play(SEQUENCE, Events(), 1_500).levels


def test_an_attempt_of_its_own_counts_from_the_clock_of_its_first_trigger() -> None:
    twin, data = started(GATED)
    zero = first(twin.pulses())
    attempt = (twin.now - zero) // 200 + 2
    reference = zero + 200 * attempt
    ticks = reference * 4 + np.array([102, 130, 300])
    data += twin.run(3_000, clicks_of(ticks, np.array([1, 0, 2])))
    heralds = Decoder().feed(data + twin.settle() + twin.run(10_000)).heralds
    assert heralds["attempt"].tolist() == [attempt + 1] * 2
    assert heralds["position"].tolist() == [130, 300]
    assert heralds["flags"].tolist() == [HeraldFlag.GATED] * 2


def test_every_period_is_counted_as_an_attempt() -> None:
    twin, _ = started(replace(GATED, sequence=replace(SEQUENCE, attempts=37)))
    twin.run(20_000)
    assert status(twin) == (0, SequenceEnd.DONE, 37)
    counters = Decoder().feed(twin.run(20_000, requests=write("command", 1))).counters
    values = dict(zip(counters["index"].tolist(), counters["value"].tolist(), strict=True))
    assert values[counter_index(CounterGroup.GLOBAL, GlobalCounter.ATTEMPTS)] == 37
    assert values[counter_index(CounterGroup.GLOBAL, GlobalCounter.REFERENCES_DOUBLED)] == 0


def test_a_period_of_one_clock_is_an_attempt_a_clock() -> None:
    short = Sequence(1, {0: (Window(0, 1),)}, attempts=1_000)
    configuration = replace(
        GATED, patterns=(), attempt_clocks=1, gates={c: Gate(0, 4) for c in range(4)}, sequence=short
    )
    twin, _ = started(configuration)
    twin.run(3_000)
    assert np.diff(twin.pulses()["clock"]).tolist() == [1_000]  # high all the time
    assert status(twin) == (0, SequenceEnd.DONE, 1_000)


def test_an_external_reference_is_followed_by_its_triggers_after_a_constant_time() -> None:
    external = replace(SEQUENCE, reference=ReferenceSource.EXTERNAL)
    twin, _ = started(replace(GATED, attempt_clocks=200, sequence=external))
    clocks = SETUP + np.array([50, 250, 300, 455])  # the third is in the attempt of the second
    twin.run(2_000, clicks_of(clocks * 4 + 3, REFERENCE))
    begins = [int(clock) + BOARD.trigger_latency - SETUP for clock in clocks]
    expected = play(external, Events(references=set(begins) - {begins[2]}), 1_000).levels
    assert levels(twin.pulses(), SETUP, SETUP + 1_000) == expected
    assert status(twin) == (1, SequenceEnd.NONE, 3)


def test_a_herald_ends_the_sequence_a_constant_time_after_its_pin() -> None:
    sequence = replace(SEQUENCE, stop_on=frozenset({Outcome.PSI_PLUS}))
    twin, _ = started(replace(GATED, sequence=sequence))
    zero = first(twin.pulses())
    begin = zero + 200 * ((twin.now - zero) // 200 + 1)
    twin.run(3_000, clicks_of(begin * 4 + np.array([200, 201, 300]), np.array([0, 1, 2])))  # the last one ends it
    pulses = twin.pulses()
    pin = int(pulses["clock"][pulses["pins"] == 1 << Outcome.PSI_PLUS][0])
    heralds = {pin - begin: Outcome.PSI_PLUS}
    assert levels(pulses, begin, begin + 2_000) == play(sequence, Events(heralds), 2_000).levels
    assert pulses["clock"][-1] == pin + HERALD_CLOCKS
    assert status(twin)[:2] == (0, SequenceEnd.HERALD)


BRANCHED = replace(
    SEQUENCE,
    branches={
        Outcome.PSI_MINUS: Branch(230, {0: (Window(0, 9),), 3: (Window(1, 200), Window(210, 222))}),
        Outcome.PSI_PLUS: Branch(191, {1: (Window(5, 15),), 5: (Window(0, 183),)}),
    },
)


def heralded(pulses: np.ndarray, zero: int) -> dict[int, Outcome]:
    """The heralds after the clock `zero`, by clock; of two in one clock that of the lower pattern, as in `GATED`."""
    pins = {int(clock) - zero: int(pin) for clock, pin in zip(pulses["clock"], pulses["pins"], strict=True) if pin}
    order = [pattern.outcome for pattern in GATED.patterns]
    return {clock: next(outcome for outcome in order if pin >> outcome & 1) for clock, pin in pins.items()}


@pytest.mark.parametrize("seed", range(4))
def test_a_herald_has_the_next_attempt_play_its_branch(seed: int) -> None:
    twin = open_twin(BOARD, CAPTURING)
    clocks = 60_000
    twin.run(SETUP, requests=requests(replace(GATED, sequence=BRANCHED)))
    twin.run(clocks, random_clicks(seed, SETUP, SETUP + clocks, 350))
    twin.run(2_000)  # the last branch is over
    pulses = twin.pulses()
    zero = first(pulses)
    model = play(BRANCHED, Events(heralded(pulses, zero)), twin.now - zero)
    assert levels(pulses, zero, twin.now) == model.levels
    assert 20 < len(model.branched) < len(model.attempts) - 20
    assert read(twin, "sequence_branched") == len(model.branched)


def test_a_branch_follows_an_external_reference() -> None:
    external = replace(BRANCHED, reference=ReferenceSource.EXTERNAL)
    twin, _ = started(replace(GATED, attempt_clocks=240, sequence=external))
    begins = SETUP + 60 + np.cumsum(np.random.default_rng(5).integers(241, 300, 200))
    clicks = np.concatenate([clicks_of(begins * 4, REFERENCE), random_clicks(6, SETUP, int(begins[-1]), 350)])
    twin.run(60_000, clicks[np.argsort(clicks["tick"], kind="stable")])
    references = frozenset(int(clock) + BOARD.trigger_latency - SETUP for clock in begins)
    pulses = twin.pulses()
    model = play(external, Events(heralded(pulses, SETUP), references), 50_000)
    assert levels(pulses, SETUP, SETUP + 50_000) == model.levels
    assert 20 < len(model.branched) < len(model.attempts) - 20


@pytest.mark.parametrize("spare", [0, -1])
def test_the_soonest_attempt_with_a_branch_is_what_the_board_says(spare: int) -> None:
    branch = Branch(200, {6: (Window(0, 5),)})
    patterns = (Pattern(frozenset({0}), window=1, outcome=Outcome.PHI_PLUS),)
    sequence = Sequence(200, {0: (Window(0, 5),)}, branches={Outcome.PHI_PLUS: branch})
    gates = {0: Gate(0, 760)}
    twin, _ = started(replace(GATED, patterns=patterns, gates=gates, sequence=sequence))
    zero = first(twin.pulses())
    start = zero + 200 * ((twin.now - zero) // 200 + 3)
    pin = start - BRANCH_CLOCKS - spare
    twin.run(1_000, clicks_of(np.array([4 * (pin - BOARD.herald_latency)]), 0))
    pulses = twin.pulses()
    assert pulses["clock"][pulses["pins"] != 0].tolist() == [pin]
    begun = int(pulses["clock"][np.flatnonzero(pulses["triggers"] & 64)[0]])
    assert begun == start + (200 if spare else 0)


def test_of_two_heralds_in_a_clock_the_lower_pattern_chooses_the_branch() -> None:
    patterns = (
        Pattern(frozenset({2}), window=8, outcome=Outcome.PHI_MINUS),
        Pattern(frozenset({0}), window=8, outcome=Outcome.PSI_PLUS),
        Pattern(frozenset({1}), window=8, outcome=Outcome.PSI_MINUS),
    )
    twin, _ = started(replace(GATED, patterns=patterns, sequence=BRANCHED))
    begin = first(twin.pulses()) + 1_000
    twin.run(2_000, clicks_of(np.full(3, 4 * begin + 300), np.arange(3)))
    pulses = twin.pulses()
    assert set(pulses["pins"]) == {0, 0b1110}
    assert (pulses["triggers"] & 1 << 5).any()
    assert not (pulses["triggers"] & 1 << 3).any()


BEGIN = write("control", 3) + write("sequence_command", 1)
WAITS = {
    "nothing": (b"", 1),
    "a start": (write("sequence_command", 1), 0),
    "a stop": (write("sequence_command", 2) + BEGIN, 0),
    "another gate": (write("gate_stop", 400, 1) + BEGIN, 0),
    "run = 0": (write("control", 2) + BEGIN, 0),
}


@pytest.mark.parametrize(("request_", "branched"), WAITS.values(), ids=WAITS)
def test_a_branch_that_waits_is_forgotten_with_its_sequence(request_: bytes, branched: int) -> None:
    twin, _ = started(replace(GATED, sequence=replace(BRANCHED, period=2_000)))
    begin = first(twin.pulses()) + 2_000
    twin.run(begin + 200 - twin.now, clicks_of(np.array([4 * begin + 400]), 2))
    twin.run(10_000, requests=request_)
    assert read(twin, "sequence_branched") == branched


ENDS = {
    "a stop": (write("sequence_command", 2), SequenceEnd.STOPPED),
    "run = 0": (write("control", 2), SequenceEnd.INTERRUPTED),
    "another gate": (write("gate_stop", 400, 1), SequenceEnd.INTERRUPTED),
    "another program": (write("sequence_clocks", 7, 0), SequenceEnd.INTERRUPTED),
    "another period": (write("sequence_setup", 3), SequenceEnd.INTERRUPTED),
    "another branch": (write("branch_segment", 7, 0), SequenceEnd.INTERRUPTED),
    "other branches": (write("sequence_branches", 3), SequenceEnd.INTERRUPTED),
}


@pytest.mark.parametrize(("request_", "end"), ENDS.values(), ids=ENDS)
def test_an_off_edge_always_comes(request_: bytes, end: SequenceEnd) -> None:
    always = replace(SEQUENCE, windows={0: (Window(0, 200),)}, idle_high=frozenset())
    twin, _ = started(replace(GATED, sequence=always))
    assert twin.pulses()["triggers"].tolist() == [1]
    twin.run(5_000, requests=request_)
    assert twin.pulses()["triggers"].tolist() == [0]
    assert status(twin)[:2] == (0, end)


def test_a_new_start_begins_with_the_first_attempt() -> None:
    twin, _ = started(GATED)
    twin.run(1_000, requests=write("sequence_command", 1))
    twin.run(1_000)
    begun = status(twin)[2]
    assert 8 <= begun <= 12


def test_a_start_is_refused_while_the_board_stands_still() -> None:
    twin, _ = started(GATED)
    twin.run(1_000, requests=write("control", 2) + write("sequence_command", 1))
    assert status(twin)[:2] == (0, SequenceEnd.REFUSED)
    assert levels(twin.pulses(), twin.now - 1, twin.now) == [2]  # the idle level


def test_a_trigger_can_be_held_by_hand() -> None:
    twin, _ = started(GATED)
    twin.run(1_000, requests=write("trigger_manual", 0x03 | 0x0100))
    twin.run(1_000)
    assert set(level & 3 for level in levels(twin.pulses(), twin.now - 800, twin.now)) == {1}


def test_skipping_does_not_show() -> None:
    seen = []
    branches = {Outcome.PSI_MINUS: Branch(3_400, {4: (Window(2_000, 2_001), Window(3_000, 3_100))})}
    sequence = replace(SEQUENCE, period=3_000, timeout=60_000, branches=branches)
    configuration = replace(GATED, attempt_clocks=2_900, sequence=sequence)
    for skipping in (True, False):
        twin, data = started(configuration, Link(skipping=skipping, capture=True))
        data += b"".join(_session(twin))
        seen.append((data, twin.pulses().tobytes()))
        assert skipping == (twin.evaluated < twin.now / 2)
    assert seen[0] == seen[1]
    assert len(Decoder().feed(seen[0][0]).heralds)


def _session(twin: Twin) -> Iterator[bytes]:
    yield twin.run(60_000, random_clicks(3, SETUP, SETUP + 50_000, 900))
    yield twin.run(500, requests=write("trigger_manual", 0x0101))
    yield twin.run(40_000)
    yield twin.run(100_000, requests=write("sequence_command", 1))
    yield twin.run(1_000, requests=encode_request(Operation.READ, 9, BY_NAME["sequence_status"].address, 0))


def test_attempts_of_a_second_are_a_matter_of_milliseconds() -> None:
    second = BOARD.clock_hz
    slow = Sequence(second, {3: (Window(0, 5), Window(second - 7, second))}, attempts=20)
    gates = {channel: Gate(400 * channel, 4 * (second - 9)) for channel in range(4)}
    twin, _ = started(replace(GATED, gates=gates, attempt_clocks=second, reference_timeout=0, sequence=slow))
    twin.run(21 * second)
    assert twin.evaluated < 30_000
    assert status(twin) == (0, SequenceEnd.DONE, 20)
    changes = twin.pulses()["clock"].astype(np.int64)
    middle = [edge for n in range(1, 20) for edge in (n * second - 7, n * second + 5)]
    assert (changes - changes[0]).tolist() == [0, 5, *middle, 20 * second - 7, 20 * second]
