"""A board's configuration as a TOML file: all of it can be written down, and what is wrong is refused by name."""

import json
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.firmware_bridge.configuration import (
    Branch,
    Configuration,
    Gate,
    Identity,
    Outcome,
    Pattern,
    Pulse,
    ReferenceSource,
    Role,
    Sequence,
    Sync,
    Window,
)
from qlink.firmware_bridge.errors import ConfigurationError
from qlink.firmware_bridge.registers import Feature, Mode
from qlink.firmware_bridge.settings import check, settings_of
from qlink.firmware_bridge.wire import Coding
from qlink.supervisor.cli import configuration_file as schema
from qlink.supervisor.cli.configuration_file import configuration_of, read_configuration
from qlink.supervisor.cli.patterns import OUTCOMES

IDENTITY = Identity(
    *(3, "TWIN", 8, 8, 4, 1_250_000, 200_000_000, 9, 1),
    delay_ticks=16_383,
    sequence_segments=65,
    trigger_latency=4,
    branch_segments=64,
    branch_latency=8,
    sync_latency=117,
    features=Feature.ACCIDENTALS | Feature.MULTIPLICITY,
    pulses=4,
    action_latency=17,
    vicinity_ticks=4_095,
)
ROOT = Path(__file__).parents[2]
NAMES = {outcome: name for name, outcome in OUTCOMES.items()}
WHOLE = """
mode = "gated"
attempt_clocks = 190
reference_timeout = 1000
window = 40
patterns = [
    "0,~1=psi-",
    { required = [2, 3], forbidden = [4], window = 30, outcome = "phi+" },
]
gates = { 0 = [200, 600], 1 = [200, 600], 2 = [0, 600], 3 = [0, 600], 4 = [0, 600] }
accidental_clocks = 200
delays = { 4 = -37 }
reference_delay = 5
stream_channels = [0, 1, 2]
shares = { 0 = 100 }
near_heralds = [1]
vicinity = 50
coding = "plain"
flush_clocks = 10_000
snapshot_clocks = 20_000_000
time_pps = true
time_ten_mhz = 1_000_000

[actions]
psi- = [{ output = 0, start = 80, width = 28 }, { output = 2, start = 131, width = 1 }]

[sequence]
period = 200
reference = "own"
attempts = 10_000
stop_on = ["psi-"]
timeout = 5_000
idle_high = [7]
windows = { 0 = [[0, 5], [20, 25]], 7 = [[10, 120]] }

[sequence.branches."phi+"]
period = 300
windows = { 0 = [[0, 5]], 3 = [[40, 60], [100, 250]] }

[sync]
role = "leader"
await_ready = true
ready_timeout = 1_000
stop_on_success = true
"""
MEANT = Configuration(
    patterns=(
        Pattern(frozenset({0, 1}), 40, Outcome.PSI_MINUS, shifted=frozenset({1})),
        Pattern(frozenset({2, 3}), 30, Outcome.PHI_PLUS, forbidden=frozenset({4})),
    ),
    mode=Mode.GATED,
    gates={0: Gate(200, 600), 1: Gate(200, 600), 2: Gate(0, 600), 3: Gate(0, 600), 4: Gate(0, 600)},
    attempt_clocks=190,
    reference_timeout=1000,
    flush_clocks=10_000,
    snapshot_clocks=20_000_000,
    stream_channels=frozenset({0, 1, 2}),
    shares={0: 100},
    near_heralds=frozenset({1}),
    vicinity=50,
    coding=Coding.PLAIN,
    delays={4: -37},
    reference_delay=5,
    actions={Outcome.PSI_MINUS: (Pulse(0, 80, 28), Pulse(2, 131, 1))},
    time_pps=True,
    time_ten_mhz=1_000_000,
    sequence=Sequence(
        period=200,
        windows={0: (Window(0, 5), Window(20, 25)), 7: (Window(10, 120),)},
        reference=ReferenceSource.OWN,
        attempts=10_000,
        stop_on=frozenset({Outcome.PSI_MINUS}),
        timeout=5_000,
        idle_high=frozenset({7}),
        branches={Outcome.PHI_PLUS: Branch(300, {0: (Window(0, 5),), 3: (Window(40, 60), Window(100, 250))})},
    ),
    sync=Sync(Role.LEADER, await_ready=True, ready_timeout=1_000, stop_on_success=True),
    accidental_clocks=200,
)


def read(tmp_path: Path, text: str) -> Configuration:
    path = tmp_path / "link.toml"
    path.write_text(text)
    return read_configuration(path)


def written(value: Any) -> Any:
    """A value as TOML has it."""
    match value:
        case Gate(start, stop) | Window(start, stop):
            return [start, stop]
        case Outcome():
            return NAMES[value]
        case IntEnum():
            return value.name.lower()
        case Enum():
            return value.value
        case frozenset():
            return sorted(map(written, value))
        case tuple():
            return list(map(written, value))
        case Mapping():
            return {str(written(key)): written(item) for key, item in value.items()}
        case int() | str():
            return value
    return {field.name: written(item) for field in fields(value) if (item := getattr(value, field.name)) is not None}


def toml(value: Any) -> str:
    """Inline, all on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def file_of(configuration: Configuration) -> str:
    values = written(configuration)
    if configuration.stream_channels is None:
        values["stream_channels"] = "all"
    return "\n".join(f"{key} = {toml(value)}" for key, value in values.items())


# -- what a file can say

small = st.integers(0, 20)
wholes = st.integers(-(2**63) + 1, 2**63 - 1)
channels = st.frozensets(small, max_size=4)
outcomes = st.sampled_from(Outcome)
patterns = st.builds(
    Pattern,
    required=st.frozensets(small, min_size=1, max_size=4),
    window=wholes,
    outcome=outcomes,
    forbidden=channels,
    shifted=channels,
    minimum=wholes,
    maximum=wholes,
    guard=wholes,
)
windows = st.dictionaries(small, st.lists(st.builds(Window, wholes, wholes), max_size=3).map(tuple), max_size=3)
sequences = st.builds(
    Sequence,
    period=wholes,
    windows=windows,
    reference=st.sampled_from(ReferenceSource),
    attempts=wholes,
    stop_on=st.frozensets(outcomes),
    timeout=wholes,
    idle_high=channels,
    branches=st.dictionaries(outcomes, st.builds(Branch, period=wholes, windows=windows), max_size=2),
)
syncs = st.builds(
    Sync,
    role=st.sampled_from(Role),
    await_ready=st.booleans(),
    ready_timeout=wholes,
    stop_on_success=st.booleans(),
)
pulses = st.lists(st.builds(Pulse, wholes, wholes, wholes), max_size=4).map(tuple)
configurations = st.builds(
    Configuration,
    patterns=st.lists(patterns, max_size=3).map(tuple),
    mode=st.sampled_from(Mode),
    gates=st.dictionaries(small, st.builds(Gate, wholes, wholes), max_size=3),
    attempt_clocks=wholes,
    reference_timeout=wholes,
    flush_clocks=wholes,
    snapshot_clocks=wholes,
    stream_channels=st.none() | channels,
    shares=st.dictionaries(small, wholes, max_size=3),
    near_heralds=channels,
    vicinity=wholes,
    coding=st.none() | st.sampled_from(Coding),
    delays=st.dictionaries(small, wholes, max_size=3),
    reference_delay=wholes,
    actions=st.dictionaries(outcomes, pulses, max_size=3),
    time_pps=st.booleans(),
    time_ten_mhz=wholes,
    sequence=st.none() | sequences,
    sync=st.none() | syncs,
    accidental_clocks=wholes,
)


@given(configurations)
def test_every_configuration_can_be_written_down_and_means_the_same(configuration: Configuration) -> None:
    assert configuration_of(tomllib.loads(file_of(configuration))) == configuration


def test_a_file_says_all_that_a_board_can_be_set_to(tmp_path: Path) -> None:
    configuration = read(tmp_path, WHOLE)
    assert configuration == MEANT
    check(configuration, IDENTITY)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (Configuration, {*schema.FIELDS, "patterns"}),
        (Pattern, schema.PATTERN),
        (Sequence, schema.SEQUENCE),
        (Branch, schema.BRANCH),
        (Sync, schema.SYNC),
        (Pulse, schema.PULSE),
    ],
)
def test_no_field_of_a_configuration_is_out_of_a_files_reach(kind: Any, keys: Any) -> None:
    assert {field.name for field in fields(kind)} == set(keys)


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("The file", {*schema.FIELDS, "patterns", "window"}),
        ("A pattern", schema.PATTERN),
        ("`[sequence]`", schema.SEQUENCE),
        ("A branch, `[sequence.branches.psi-]`", schema.BRANCH),
        ("`[sync]`", schema.SYNC),
        ("A pulse of `[actions]`", schema.PULSE),
    ],
)
def test_the_documentation_has_every_key_and_no_other(heading: str, keys: Any) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(keys)


def test_an_empty_file_is_free_running_and_streams_no_clicks(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Configuration(stream_channels=frozenset())


@pytest.mark.parametrize("text", ["attempt_clocks = 9", "gates = { 0 = [0, 9] }", "[sequence]\nperiod = 9"])
def test_attempts_are_in_gated_mode(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).mode is Mode.GATED


def test_a_pattern_has_the_files_window_unless_it_names_its_own(tmp_path: Path) -> None:
    text = 'window = 7\npatterns = ["0,1", {required = [2]}, {required = [3], window = 0}]'
    assert [pattern.window for pattern in read(tmp_path, text).patterns] == [7, 7, 0]
    assert [pattern.window for pattern in read(tmp_path, 'patterns = ["0"]').patterns] == [schema.WINDOW]


def test_patterns_can_be_tables_of_their_own(tmp_path: Path) -> None:
    text = "[[patterns]]\nrequired = [0, 1, 2, 3]\nminimum = 2\nmaximum = 3\nguard = 40\nwindow = 8"
    configuration = read(tmp_path, text)
    check(configuration, IDENTITY)
    (pattern,) = configuration.patterns
    assert pattern == Pattern(frozenset(range(4)), 8, minimum=2, maximum=3, guard=40)


# -- what is wrong in a file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("perod = 9", "'perod' is unknown: there are window, patterns, mode, gates, attempt_clocks"),
        ("[sequence]\nperod = 9", r"'perod' in \[sequence\] is unknown: there are period, windows, reference"),
        ("[sequence]", "sequence.period is missing"),
        ("[sequence]\nperiod = 9\nbranches.psi- = {}", "sequence.branches.psi-.period is missing"),
        ("[sequence]\nperiod = 9\nbranches.psi = {}", r"'psi' in \[sequence.branches\] is unknown: there are phi\+"),
        ("sequence = { period = 9, branches.psi-.attempts = 3 }", r"'attempts' in \[sequence.branches.psi-\] is unkn"),
        ("[sync]", "sync.role is missing"),
        ("[actions]\npsi = []", r"'psi' in \[actions\] is unknown: there are phi\+, psi-, psi\+, phi-"),
        ("[actions]\npsi- = [{}]", r"actions.psi-\[0\].output is missing"),
        ("[actions]\npsi- = [{output = 0, start = 1, length = 2}]", r"'length' in \[actions.psi-\[0\]\] is unknown"),
        ('attempt_clocks = "9"', "attempt_clocks is '9': it has to be a whole number"),
        ("attempt_clocks = 1.0", "attempt_clocks is 1.0: it has to be a whole number"),
        ("attempt_clocks = true", "attempt_clocks is true: it has to be a whole number"),
        (f"attempt_clocks = 0x{'f' * 9000}", "attempt_clocks is too large: it has to be a whole number of 64 bits"),
        ("attempt_clocks = 2024-01-01", "attempt_clocks is 2024-01-01: it has to be a whole number"),
        ("time_pps = 1", "time_pps is 1: it has to be true or false"),
        ('mode = "gate"', "mode is 'gate': it has to be one of free_running, gated"),
        ("mode = 1", "mode is 1: it has to be one of"),
        ("mode = []", "mode is a list: it has to be one of"),
        ('coding = "zip"', "coding is 'zip': it has to be one of plain, rice"),
        ("gates = [[0, 9]]", "gates is a list: it has to be a table"),
        ("gates = { a = [0, 9] }", "gates: the key 'a' has to be a number"),
        ("gates = { -1 = [0, 9] }", "gates: the key '-1' has to be a number"),
        ("gates = { 0 = [0, 9], 00 = [0, 9] }", "gates.00: 0 has a value already"),
        ("gates = { 0 = 9 }", "gates.0 is 9: it has to be a list of two numbers"),
        ("gates = { 0 = [0, 9, 10] }", r"gates.0 is a list: it has to be a list of two numbers, \[start, stop\]"),
        ('gates = { 0 = [0, "9"] }', r"gates.0\[1\] is '9': it has to be a whole number"),
        ("near_heralds = 3", "near_heralds is 3: it has to be a list"),
        ("near_heralds = [3, 4, 3]", r"near_heralds\[2\] stands in this list already"),
        ('stream_channels = "some"', "stream_channels is 'some': it has to be a list of channels, or \"all\""),
        ("sync = 1", "sync is 1: it has to be a table"),
        ('sync = { role = "boss" }', "sync.role is 'boss': it has to be one of leader, follower"),
        ('sequence = { period = 9, reference = "inside" }', "sequence.reference is 'inside': .* own, external"),
        ('sequence = { period = 9, stop_on = ["x"] }', r"sequence.stop_on\[0\] is 'x': it has to be one of phi\+"),
        ("sequence = { period = 9, windows = { 3 = [0, 5] } }", r"sequence.windows.3\[0\] is 0: .* two numbers"),
        ('patterns = "0,1"', "patterns is '0,1': it has to be a list"),
        ('patterns = ["0;1"]', r"patterns\[0\]: '0;1' is no pattern"),
        ("patterns = [3]", r"patterns\[0\] is 3: it has to be a pattern like \"0,4\", or a table"),
        ('patterns = ["0", {window = 3}]', r"patterns\[1\].required is missing"),
        ("patterns = [{required = []}]", r"patterns\[0\].required is empty, so the pattern would never fire"),
        ("patterns = [{required = [1], width = 3}]", r"'width' in \[patterns\[0\]\] is unknown: there are required"),
        ('window = "4"', "window is '4': it has to be a whole number"),
        ("[sync", "at end of document"),
        ("vicinity = " + 5000 * "[" + 5000 * "]", "its lists are nested too deeply"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"link.toml: .*{message}"):
        read(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"link.toml: .*can't decode"):
        read_configuration(path)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_configuration(tmp_path)


KEYS = ("0", "1", "period", "psi-", "x")
anything = st.recursive(
    st.booleans() | wholes | st.floats() | st.text(max_size=4) | st.sampled_from([*OUTCOMES, "all", "gated", "0,1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*schema.FIELDS, "patterns", "window"]), anything, max_size=4))
def test_whatever_stands_in_a_file_it_is_understood_or_refused_in_a_sentence(values: dict[str, object]) -> None:
    with suppress(ValueError):
        configuration_of(values)


@given(configurations)
def test_whatever_a_file_asks_for_a_board_takes_it_or_names_what_it_cannot(configuration: Configuration) -> None:
    with suppress(ConfigurationError):
        check(configuration, IDENTITY)
        assert all(0 <= setting.value < 2**32 for setting in settings_of(configuration, IDENTITY))


def test_what_a_board_cannot_do_is_refused_by_the_board(tmp_path: Path) -> None:
    configuration = read(tmp_path, WHOLE)
    with pytest.raises(ConfigurationError, match="without a sequencer"):
        check(configuration, replace(IDENTITY, sequence_segments=0))
