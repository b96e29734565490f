"""From a `Configuration` to register values: checked whole against the board, then laid out. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .actions import check_actions
from .configuration import (
    REGISTER_MAX,
    SHARE_MAX,
    WINDOW_MAX,
    Branch,
    Configuration,
    Gate,
    Identity,
    Outcome,
    Pattern,
    Pulse,
    ReferenceSource,
    Sequence,
)
from .errors import ConfigurationError
from .registers import ACCIDENTAL_CLOCKS, BRANCH_SEGMENTS, BY_NAME, Feature, Keep, Mode
from .sequence import branch_words, check_sequence, level_words, segments_of
from .sync import check_sync, setup_of
from .wire import OUTCOMES, Coding


@dataclass(frozen=True, slots=True)
class Setting:
    """One register's value."""

    name: str
    index: int
    value: int


def check(configuration: Configuration, identity: Identity) -> None:
    """Raise `ConfigurationError` naming the first value that the board cannot take."""
    if len(configuration.patterns) > identity.patterns:
        raise ConfigurationError(
            f"{len(configuration.patterns)} patterns do not fit: the board has {identity.patterns}"
        )
    for number, pattern in enumerate(configuration.patterns):
        _check_pattern(f"pattern {number}", pattern, identity)
    _check_stream(configuration, identity)
    if configuration.coding is not None and not identity.codings >> configuration.coding & 1:
        raise ConfigurationError(
            f"coding = {configuration.coding.name}: this board's gateware is built without it, leave coding out"
        )
    _check_range("flush_clocks", configuration.flush_clocks, 1, REGISTER_MAX)
    for name in ("snapshot_clocks", "attempt_clocks", "reference_timeout", "time_ten_mhz"):
        _check_range(name, getattr(configuration, name), 0, REGISTER_MAX)
    check_time_inputs(identity, pps=configuration.time_pps, ten_mhz=configuration.time_ten_mhz > 0)
    _check_filters(configuration, identity)
    _check_delays(configuration, identity)
    _check_accidentals(configuration, identity)
    check_actions(configuration, identity)
    _check_channels("gates", configuration.gates, identity)
    if configuration.mode is Mode.GATED:
        _check_gated(configuration, identity)
    elif configuration.gates:
        raise ConfigurationError("gates do nothing in free-running mode: set mode to GATED or leave them out")
    if configuration.sequence is not None:
        check_sequence(configuration, configuration.sequence, identity)
    if configuration.sync is not None:
        check_sync(configuration, configuration.sync, identity)


def check_time_inputs(identity: Identity, *, pps: bool, ten_mhz: bool) -> None:
    """Raise `ConfigurationError` for an input of another clock that is wanted and that the board has not."""
    wanted = {"time_pps": pps and not identity.pps, "time_ten_mhz": ten_mhz and not identity.ten_mhz}
    for name, missing in wanted.items():
        if missing:
            words = "PPS" if name == "time_pps" else "10 MHz"
            raise ConfigurationError(f"{name}: this board has no {words} input, so leave it out or take another board")


def settings_of(configuration: Configuration, identity: Identity) -> Iterator[Setting]:
    """Every register that a configuration decides, in the order of writing; `control` with run=0 is first.

    What the configuration does not name is cleared: patterns, gates, everything of an earlier one.
    """
    yield Setting("control", 0, BY_NAME["control"].pack(run=0, mode=configuration.mode))
    for channel in range(identity.channels):
        yield Setting("delay", channel, configuration.common_delay + configuration.delays.get(channel, 0))
    yield Setting("reference_delay", 0, configuration.common_delay + configuration.reference_delay)
    for name in ("flush_clocks", "snapshot_clocks", "attempt_clocks", "reference_timeout"):
        yield Setting(name, 0, getattr(configuration, name))
    if identity.ten_mhz:
        yield Setting("time_ten_mhz", 0, configuration.time_ten_mhz)
    if identity.pps:
        yield Setting("time_pps", 0, int(configuration.time_pps))
    if identity.codings:
        yield from _stream_settings(configuration, identity)
    for channel in range(identity.channels):
        gate = configuration.gates.get(channel, Gate(0, 0))
        yield Setting("gate_start", channel, gate.start)
        yield Setting("gate_stop", channel, gate.stop)
    unused = (Pattern(frozenset(), 0, Outcome.PHI_PLUS),) * (identity.patterns - len(configuration.patterns))
    for number, pattern in enumerate((*configuration.patterns, *unused)):
        channels = {"required": _mask(pattern.required), "forbidden": _mask(pattern.forbidden)}
        yield Setting("pattern_channels", number, BY_NAME["pattern_channels"].pack(**channels))
        decision = {"window": pattern.window, "outcome": pattern.outcome}
        yield Setting("pattern_decision", number, BY_NAME["pattern_decision"].pack(**decision))
        if Feature.MULTIPLICITY & identity.features:
            limits = {"minimum": pattern.minimum, "maximum": pattern.maximum, "guard": pattern.guard}
            yield Setting("pattern_limits", number, BY_NAME["pattern_limits"].pack(**limits))
        if Feature.ACCIDENTALS & identity.features:
            yield Setting("pattern_shifted", number, _mask(pattern.shifted))
    if Feature.ACCIDENTALS & identity.features:
        yield Setting("accidental_clocks", 0, configuration.accidental_clocks)
    yield from _action_settings(configuration, identity)
    if identity.sequence_segments:
        yield from _sequence_settings(configuration.sequence)
    if identity.branch_segments:
        yield from _branch_settings(configuration.sequence.branches if configuration.sequence else {})
    if identity.sync_latency:
        yield Setting("sync_setup", 0, setup_of(configuration.sync))
        yield Setting("sync_ready_timeout", 0, configuration.sync.ready_timeout if configuration.sync else 0)


def _stream_settings(configuration: Configuration, identity: Identity) -> Iterator[Setting]:
    streamed = configuration.stream_channels
    yield Setting("stream_channels", 0, _mask(range(identity.channels) if streamed is None else streamed))
    yield Setting("vicinity", 0, configuration.vicinity)
    for channel in range(identity.channels):
        yield Setting("filter", channel, _filter(configuration, channel))
    yield Setting("coding", 0, _coding(configuration, identity))


def _sequence_settings(sequence: Sequence | None) -> Iterator[Setting]:
    """The sequencer's registers. Of the program only what is used: `sequence_setup` says how much that is."""
    yield Setting("trigger_manual", 0, 0)
    if sequence is None:
        for name in ("sequence_setup", "sequence_attempts", "sequence_timeout"):
            yield Setting(name, 0, 0)
        return
    segments = segments_of(sequence)
    for number, segment in enumerate(segments):
        yield Setting("sequence_clocks", number, segment.clocks)
    for number, word in enumerate(level_words(segments)):
        yield Setting("sequence_levels", number, word)
    setup = {
        "segments": len(segments),
        "external": sequence.reference is ReferenceSource.EXTERNAL,
        "stop_on": _mask(sequence.stop_on),
        "idle": _mask(sequence.idle_high),
    }
    yield Setting("sequence_setup", 0, BY_NAME["sequence_setup"].pack(**setup))
    yield Setting("sequence_attempts", 0, sequence.attempts)
    yield Setting("sequence_timeout", 0, sequence.timeout)


def _branch_settings(branches: Mapping[Outcome, Branch]) -> Iterator[Setting]:
    """Of each branch only what is used: its last segment says that it is."""
    for outcome, branch in sorted(branches.items()):
        for number, word in enumerate(branch_words(branch)):
            yield Setting("branch_segment", outcome * BRANCH_SEGMENTS + number, word)
    yield Setting("sequence_branches", 0, _mask(branches))


def _action_settings(configuration: Configuration, identity: Identity) -> Iterator[Setting]:
    for outcome in range(OUTCOMES if identity.pulses else 0):
        pulses = configuration.actions.get(Outcome(outcome), ())
        rest = (Pulse(0, 0, 0),) * (identity.pulses - len(pulses))
        for number, pulse in enumerate((*pulses, *rest)):
            index = number * OUTCOMES + outcome
            yield Setting("action_pulse", index, BY_NAME["action_pulse"].pack(start=pulse.start, output=pulse.output))
            yield Setting("action_width", index, pulse.width)


def _mask(channels: Iterable[int]) -> int:
    return sum(1 << channel for channel in channels)


def _coding(configuration: Configuration, identity: Identity) -> Coding:
    if configuration.coding is not None:
        return configuration.coding
    return Coding.RICE if identity.codings >> Coding.RICE & 1 else Coding.PLAIN


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} = {value} does not fit: it goes from {low} to {high}")


def _check_channels(name: str, channels: Iterable[int], identity: Identity) -> None:
    for channel in sorted(channels):
        if not 0 <= channel < identity.channels:
            raise ConfigurationError(
                f"{name}: channel {channel} does not exist, the board has 0 to {identity.channels - 1}"
            )


def _filter(configuration: Configuration, channel: int) -> int:
    if channel in configuration.near_heralds:
        return BY_NAME["filter"].pack(keep=Keep.NEAR_HERALDS)
    share = configuration.shares.get(channel, 1)
    return BY_NAME["filter"].pack(keep=Keep.SHARE if share > 1 else Keep.ALL, share=share - 1)


def _check_stream(configuration: Configuration, identity: Identity) -> None:
    """A configuration that does not say what is streamed is for every board: where there is a stream, all is."""
    _check_channels("stream_channels", configuration.stream_channels or (), identity)
    wanted = ("stream_channels", "shares", "near_heralds", "coding")
    for name in wanted if not identity.codings else ():
        if getattr(configuration, name) not in (None, frozenset(), {}):
            raise ConfigurationError(f"{name}: this board streams no clicks, it counts and matches them: leave it out")


def _check_filters(configuration: Configuration, identity: Identity) -> None:
    filtered = {"shares": configuration.shares.keys(), "near_heralds": configuration.near_heralds}
    for name, channels in filtered.items():
        _check_channels(name, channels, identity)
        if configuration.stream_channels is not None and (off := sorted(channels - configuration.stream_channels)):
            raise ConfigurationError(f"{name}: channel {off[0]} is not streamed: name it in stream_channels, too")
    for channel, share in sorted(configuration.shares.items()):
        _check_range(f"share of channel {channel}", share, 1, SHARE_MAX)
    if both := sorted(configuration.near_heralds & configuration.shares.keys()):
        raise ConfigurationError(f"channel {both[0]} has both a share and near_heralds: choose one")
    if configuration.near_heralds and not identity.vicinity_ticks:
        raise ConfigurationError("near_heralds: this board cannot choose clicks by heralds; choose a share instead")
    _check_range("vicinity", configuration.vicinity, 0, identity.vicinity_ticks)
    if configuration.vicinity and not configuration.near_heralds:
        raise ConfigurationError(f"vicinity = {configuration.vicinity} does nothing: name channels in near_heralds")


def _check_delays(configuration: Configuration, identity: Identity) -> None:
    _check_channels("delays", configuration.delays, identity)
    if configuration.common_delay > identity.delay_ticks:
        raise ConfigurationError(
            f"a delay of {-configuration.common_delay} does not fit: the inputs without one would have to be delayed "
            f"by as much, and the board delays an input by {identity.delay_ticks} ticks at most"
        )
    inputs = {f"delay of channel {channel}": ticks for channel, ticks in sorted(configuration.delays.items())}
    for name, ticks in {**inputs, "reference_delay": configuration.reference_delay}.items():
        if ticks + configuration.common_delay > identity.delay_ticks:
            raise ConfigurationError(
                f"{name} = {ticks} does not fit: the least delay is {-configuration.common_delay}, "
                f"and the board delays an input by {identity.delay_ticks} ticks at most"
            )


def _check_pattern(name: str, pattern: Pattern, identity: Identity) -> None:
    _check_channels(f"{name}, required", pattern.required, identity)
    _check_channels(f"{name}, forbidden", pattern.forbidden, identity)
    _check_range(f"{name}, window", pattern.window, 0, identity.window_ticks)
    if pattern.forbidden and not identity.veto_clocks:
        raise ConfigurationError(f"{name}: this board has no forbidden channels, leave them out or take another board")
    _check_limits(name, pattern, identity)
    longest = identity.veto_clocks * identity.samples
    if pattern.guard:
        _check_range(f"{name}, guard", pattern.guard, 0, longest)
    elif pattern.vetoed:
        has = "forbidden channels" if pattern.forbidden else "a maximum"
        _check_range(f"{name} has {has}, its window", pattern.window, 0, longest)
    _check_range(f"{name}, outcome", pattern.outcome, 0, max(Outcome))
    if both := sorted(pattern.required & pattern.forbidden):
        raise ConfigurationError(f"{name}: channel {both[0]} is both required and forbidden")
    if pattern.forbidden and not pattern.required:
        raise ConfigurationError(f"{name} requires no channel, so it would never fire: name at least one")


def _check_limits(name: str, pattern: Pattern, identity: Identity) -> None:
    """Multiplicities count required channels; a guard time shorter than the window would not know the first click."""
    if not (pattern.minimum or pattern.maximum or pattern.guard):
        return
    if not Feature.MULTIPLICITY & identity.features:
        raise ConfigurationError(f"{name}: this board has no multiplicities and guard times, leave them at 0")
    size = len(pattern.required)
    _check_range(f"{name}, minimum", pattern.minimum, 0, size)
    least = pattern.minimum or size
    if pattern.maximum:
        _check_range(f"{name}, maximum", pattern.maximum, least, size)
    _check_range(f"{name}, guard", pattern.guard, 0, WINDOW_MAX)
    if 0 < pattern.guard < pattern.window:
        raise ConfigurationError(
            f"{name}, guard = {pattern.guard} is shorter than its window of {pattern.window}: make it as long, or 0"
        )


def _check_accidentals(configuration: Configuration, identity: Identity) -> None:
    """An offset that is no longer than a window would count true coincidences as accidental ones."""
    clocks = configuration.accidental_clocks
    _check_range("accidental_clocks", clocks, 0, ACCIDENTAL_CLOCKS)
    for number, pattern in enumerate(configuration.patterns):
        if not pattern.shifted:
            continue
        if both := sorted(pattern.shifted - pattern.required):
            raise ConfigurationError(f"pattern {number}, shifted: channel {both[0]} is not among the required ones")
        if pattern.shifted == pattern.required:
            raise ConfigurationError(f"pattern {number}: all its channels are shifted, so none against another")
        if not clocks:
            raise ConfigurationError(f"pattern {number} has shifted channels: set accidental_clocks")
        if clocks * identity.samples <= pattern.window:
            raise ConfigurationError(
                f"accidental_clocks = {clocks} is {clocks * identity.samples} ticks, not more than the window of "
                f"pattern {number}, {pattern.window}: true coincidences would count as accidental"
            )
    if clocks and not Feature.ACCIDENTALS & identity.features:
        raise ConfigurationError("this board has no accidental counters: leave accidental_clocks at 0, or take another")


def _check_gated(configuration: Configuration, identity: Identity) -> None:
    """A reference at the input may come at any subtick of its clock, a board's own at 0. Attempts end with a clock."""
    length = configuration.attempt_clocks * identity.samples
    own = configuration.sequence is not None and configuration.sequence.reference is ReferenceSource.OWN
    latest = length if own else length - (identity.samples - 1)
    if length == 0:
        raise ConfigurationError("attempt_clocks = 0: gated mode needs the attempt's length in clocks")
    for channel, gate in sorted(configuration.gates.items()):
        if not 0 <= gate.start < gate.stop:
            raise ConfigurationError(
                f"gate of channel {channel}: start {gate.start} is not in 0 to stop {gate.stop} - 1"
            )
        if gate.stop > latest:
            raise ConfigurationError(
                f"gate of channel {channel}: stop {gate.stop} is past the attempt, which holds {latest} whole ticks "
                f"({configuration.attempt_clocks} clocks): raise attempt_clocks or close the gate earlier"
            )
        _check_range(f"gate of channel {channel}, stop", gate.stop, 1, REGISTER_MAX)
    for number, pattern in enumerate(configuration.patterns):
        without = sorted((pattern.required | pattern.forbidden) - configuration.gates.keys())
        if without:
            raise ConfigurationError(f"pattern {number}: channel {without[0]} has no gate, which gated mode needs")
        if pattern.vetoed and pattern.reach > length:
            raise ConfigurationError(
                f"pattern {number}, {'guard' if pattern.guard else 'window'} = {pattern.reach} is longer than the "
                f"attempt of {length} ticks, and clicks that veto are looked for so long"
            )
