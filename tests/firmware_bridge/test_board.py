"""A board over its register protocol, with a peer in memory that obeys the wire contract."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware_bridge.conftest import IDENTITY

from qlink.firmware_bridge.actions import earliest_start
from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Gate, Outcome, Pattern, Pulse
from qlink.firmware_bridge.counters import indices_of
from qlink.firmware_bridge.encoding import Click, Counter, Herald, Loss, Reply, Time, encode_frame
from qlink.firmware_bridge.errors import (
    BoardError,
    BoardReset,
    BoardTimeout,
    ConfigurationError,
    ContractMismatch,
    EndOfStream,
    NoSuchRegister,
    TransportError,
)
from qlink.firmware_bridge.link import Patience
from qlink.firmware_bridge.registers import BY_NAME, REGISTERS, Access, Mode
from qlink.firmware_bridge.settings import check
from qlink.firmware_bridge.telemetry import Completeness
from qlink.firmware_bridge.wire import (
    CONTRACT_VERSION,
    REQUEST,
    Coding,
    CounterGroup,
    GlobalCounter,
    Status,
    TimeSource,
    counter_index,
)

PATTERNS = (
    Pattern(frozenset({0, 4}), 20, Outcome.PSI_MINUS),
    Pattern(frozenset({1, 5}), 20, Outcome.PSI_PLUS, forbidden=frozenset({0})),
)
FREE = Configuration(patterns=PATTERNS, stream_channels=frozenset({0, 7}), snapshot_clocks=1000)
GATED = Configuration(
    patterns=PATTERNS,
    mode=Mode.GATED,
    gates={0: Gate(10, 20), 1: Gate(10, 20), 4: Gate(10, 30), 5: Gate(0, 37)},
    attempt_clocks=10,
    reference_timeout=500,
)


def opened(peer: Any) -> Board:
    return Board(peer, Patience(reply_s=0.5, attempts=3))


# -- opening


def test_opens_and_says_who_it_is(board: Board, peer: Any) -> None:
    assert board.identity == peer.identity


def test_a_board_from_before_its_pins_could_be_asked_for_is_taken_to_have_all(peer: Any) -> None:
    peer.set("pins", 0)
    assert opened(peer).identity.triggers == 0
    peer.missing = {"pins", "veto_clocks"}
    assert opened(peer).identity == peer.identity


def test_a_board_that_does_not_say_who_it_is_is_none_of_ours(peer: Any) -> None:
    peer.missing = {"clock_hz"}
    with pytest.raises(NoSuchRegister, match="refused to read clock_hz: it has no such register"):
        opened(peer)


def test_opening_ends_a_request_that_a_host_died_in(peer: Any) -> None:
    peer.write(b"QR\x01")
    assert opened(peer).read("clock_hz") == 200_000_000


@pytest.mark.parametrize(("version", "advice"), [(0, "gateware is older: flash it"), (99, "update this package")])
def test_refuses_another_contract_and_says_what_to_do(peer: Any, version: int, advice: str) -> None:
    peer.set("contract_version", version)
    with pytest.raises(ContractMismatch, match=rf"contract {version}, this host {CONTRACT_VERSION}: .*{advice}"):
        opened(peer)
    assert peer.closed


def test_refuses_what_is_no_board_of_ours(peer: Any) -> None:
    peer.set("magic", 0x600D)
    with pytest.raises(BoardError, match="no board of ours"):
        opened(peer)
    assert peer.closed


def test_silence_is_a_timeout_that_says_where_to_look(peer: Any) -> None:
    peer.deaf_to = 99
    with pytest.raises(BoardTimeout, match=r"read magic: the board did not answer 3 requests .* cable"):
        opened(peer)
    assert peer.closed


def test_closes_its_transport(board: Board, peer: Any) -> None:
    with board:
        pass
    assert peer.closed
    with pytest.raises(TransportError, match="closed"):
        board.read("scratch")


# -- registers


def test_reads_back_what_it_wrote(board: Board) -> None:
    board.write("gate_stop", 77, index=3)
    assert (board.read("gate_stop", 3), board.read("gate_stop", 2)) == (77, 0)


@pytest.mark.parametrize("lost", ["deaf_to", "mute_for"])
def test_asks_again_when_request_or_reply_is_lost(board: Board, peer: Any, lost: str) -> None:
    setattr(peer, lost, 2)
    board.write("scratch", 5)
    assert peer.registers[BY_NAME["scratch"].address] == 5
    assert len({request.id for request in peer.requests[-3:]}) == 3
    assert bytes(REQUEST.bytes) in peer.written  # and let the peer finish a request that came in part


def test_a_stale_reply_is_not_taken_for_the_answer(board: Board, peer: Any) -> None:
    address = BY_NAME["scratch"].address
    peer.send([Reply(1, 200, Status.OK, address, 666)])
    assert board.read("scratch") == 0
    peer.before_reply = [Reply(1, (peer.requests[-1].id + 1) % 256, Status.OK, 0x11, 666)]
    assert board.read("scratch") == 0


def test_ids_wrap(board: Board) -> None:
    assert [board.read("clock_hz") for _ in range(300)] == [200_000_000] * 300


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("nonsense", 1), "no register is named 'nonsense'"),
        (("magic", 1), "magic is read-only"),
        (("control", 4), "control = 0x4 does not fit"),
        (("scratch", 2**32), "scratch = 0x100000000 does not fit"),
        (("scratch", -1), "scratch = -0x1 does not fit"),
        (("gate_start", 1, 8), r"gate_start\[8\] does not exist: the board has 0 to 7"),
        (("scratch", 1, 1), r"scratch\[1\] does not exist"),
        (("pattern_channels", 1 << 8), "pattern_channels = 0x100 does not fit"),
    ],
)
def test_refuses_to_write_what_does_not_fit_and_writes_nothing(
    board: Board, peer: Any, arguments: tuple[Any, ...], names: str
) -> None:
    sent = len(peer.requests)
    with pytest.raises(ConfigurationError, match=names):
        board.write(*arguments)
    assert len(peer.requests) == sent


def test_a_refusal_by_the_board_is_named(board: Board, peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "_act", lambda request: (Status.DOES_NOT_FIT, request.value))
    with pytest.raises(BoardError, match="refused to write scratch: the value has bits that the register has not"):
        board.write("scratch", 1)


# -- configuration


@pytest.mark.parametrize("configuration", [Configuration(), FREE, GATED])
def test_a_configuration_arrives_whole(board: Board, peer: Any, configuration: Configuration) -> None:
    for register in REGISTERS:
        if register.access is Access.WRITE and register.name != "scratch":
            peer.registers |= dict.fromkeys(register.addresses, 1)  # left over from before
    board.configure(configuration)
    assert board.read("control") == configuration.mode << 1
    streamed = range(8) if configuration.stream_channels is None else configuration.stream_channels
    assert board.read("stream_channels") == sum(1 << channel for channel in streamed)
    for channel in range(8):
        gate = configuration.gates.get(channel, Gate(0, 0))
        assert (board.read("gate_start", channel), board.read("gate_stop", channel)) == (gate.start, gate.stop)
    for number in range(8):
        fields = BY_NAME["pattern_channels"].unpack(board.read("pattern_channels", number), 8)
        used = number < len(configuration.patterns)
        assert fields["required"] == (sum(1 << c for c in configuration.patterns[number].required) if used else 0)
    assert board.read("reference_timeout") == configuration.reference_timeout


def test_stops_the_board_before_it_sets_anything(board: Board, peer: Any) -> None:
    board.start()
    sent = len(peer.requests)
    board.configure(FREE)
    assert (peer.requests[sent].address, peer.requests[sent].value) == (BY_NAME["control"].address, 0)
    assert board.read("control") == 0


def _acting(*pulses: Pulse, forbidden: frozenset[int] = frozenset()) -> Configuration:
    """Feed-forward of a pattern with a window of 6 ticks, two clocks."""
    return Configuration((Pattern(frozenset({0}), 6, forbidden=forbidden),), actions={Outcome.PSI_PLUS: pulses})


def _pattern(**values: Any) -> Configuration:
    fields: dict[str, Any] = {"required": frozenset({0, 4}), "window": 5} | values
    return Configuration(patterns=(Pattern(**fields),))


@pytest.mark.parametrize(
    ("configuration", "names"),
    [
        (_pattern(required=frozenset({0, 8})), "pattern 0, required: channel 8 does not exist, the board has 0 to 7"),
        (_pattern(forbidden=frozenset({-1})), "pattern 0, forbidden: channel -1 does not exist"),
        (_pattern(window=65536), "pattern 0, window = 65536 does not fit: it goes from 0 to 65535"),
        (_pattern(window=-1), "pattern 0, window = -1 does not fit"),
        (
            _pattern(window=8193, forbidden=frozenset({1})),
            "pattern 0 has forbidden channels, its window = 8193 does not fit: it goes from 0 to 8192",
        ),
        (_pattern(outcome=4), "pattern 0, outcome = 4 does not fit"),
        (_pattern(minimum=3), "pattern 0, minimum = 3 does not fit: it goes from 0 to 2"),
        (_pattern(maximum=1), "pattern 0, maximum = 1 does not fit: it goes from 2 to 2"),
        (_pattern(minimum=1, maximum=3), "pattern 0, maximum = 3 does not fit: it goes from 1 to 2"),
        (_pattern(guard=4), "pattern 0, guard = 4 is shorter than its window of 5"),
        (_pattern(guard=8193), "pattern 0, guard = 8193 does not fit: it goes from 0 to 8192"),
        (_pattern(window=8193, maximum=2), "pattern 0 has a maximum, its window = 8193 does not fit"),
        (_pattern(shifted=frozenset({1})), "pattern 0, shifted: channel 1 is not among the required ones"),
        (_pattern(shifted=frozenset({0, 4})), "pattern 0: all its channels are shifted"),
        (_pattern(shifted=frozenset({4})), "pattern 0 has shifted channels: set accidental_clocks"),
        (replace(_pattern(), accidental_clocks=2048), "accidental_clocks = 2048 does not fit: it goes from 0 to 2047"),
        (
            replace(_pattern(shifted=frozenset({4})), accidental_clocks=1),
            "accidental_clocks = 1 is 4 ticks, not more than the window of pattern 0, 5: true coincidences",
        ),
        (_pattern(forbidden=frozenset({4})), "pattern 0: channel 4 is both required and forbidden"),
        (_pattern(required=frozenset(), forbidden=frozenset({4})), "pattern 0 requires no channel"),
        (Configuration(patterns=PATTERNS * 5), "10 patterns do not fit: the board has 8"),
        (Configuration(stream_channels=frozenset({9})), "stream_channels: channel 9 does not exist"),
        (_acting(Pulse(4, 60, 1)), "actions of PSI_PLUS, pulse 0, output = 4 does not fit: it goes from 0 to 3"),
        (_acting(Pulse(0, 2**24, 1)), "pulse 0, start = 16777216 does not fit: it goes from 0 to 16777215"),
        (_acting(Pulse(0, 60, 0)), "pulse 0, width = 0 does not fit: it goes from 1"),
        (_acting(Pulse(0, 99, 1), Pulse(0, 59, 1)), "pulse 1, start = 59 is too soon: by pattern 0 .* 60 ticks"),
        (_acting(Pulse(0, 80, 1), forbidden=frozenset({3})), "start = 80 is too soon: by pattern 0 .* 88 ticks"),
        (_acting(*[Pulse(0, 60 + 9 * n, 1) for n in range(5)]), "5 pulses do not fit, the board has 4 for an outcome"),
        (_acting(Pulse(1, 90, 4), Pulse(1, 70, 20)), "output 1: the pulse at 90 begins before the one at 70 has ended"),
        (Configuration(actions={Outcome.PHI_PLUS: (Pulse(0, 99, 1),)}), "actions of PHI_PLUS: no pattern heralds it"),
        (Configuration(flush_clocks=0), "flush_clocks = 0 does not fit: it goes from 1"),
        (Configuration(snapshot_clocks=2**32), "snapshot_clocks = 4294967296 does not fit"),
        (Configuration(reference_timeout=-1), "reference_timeout = -1 does not fit"),
        (Configuration(gates={0: Gate(0, 5)}), "gates do nothing in free-running mode"),
        (replace(GATED, attempt_clocks=0), "attempt_clocks = 0: gated mode needs"),
        (replace(GATED, attempt_clocks=2**32), "attempt_clocks = 4294967296 does not fit"),
        (
            replace(GATED, gates=GATED.gates | {4: Gate(5, 38)}),
            "gate of channel 4: stop 38 is past the attempt, .* 37 ",
        ),
        (replace(GATED, gates=GATED.gates | {4: Gate(5, 5)}), "gate of channel 4: start 5 is not in 0 to stop 5 - 1"),
        (replace(GATED, gates=GATED.gates | {4: Gate(-1, 5)}), "gate of channel 4: start -1 "),
        (replace(GATED, gates=GATED.gates | {8: Gate(0, 5)}), "gates: channel 8 does not exist"),
        (replace(GATED, gates={0: Gate(0, 5)}), "pattern 0: channel 4 has no gate"),
        (Configuration(shares={8: 2}), "shares: channel 8 does not exist"),
        (Configuration(shares={1: 0}), "share of channel 1 = 0 does not fit: it goes from 1 to 65536"),
        (Configuration(shares={1: 65537}), "share of channel 1 = 65537 does not fit"),
        (Configuration(shares={1: 2}, stream_channels=frozenset({0})), "shares: channel 1 is not streamed"),
        (Configuration(near_heralds=frozenset({8})), "near_heralds: channel 8 does not exist"),
        (Configuration(shares={1: 2}, near_heralds=frozenset({1})), "channel 1 has both a share and near_heralds"),
        (Configuration(near_heralds=frozenset({1}), vicinity=1024), "vicinity = 1024 does not fit: .* to 1023"),
        (Configuration(vicinity=5), "vicinity = 5 does nothing: name channels in near_heralds"),
        (Configuration(delays={8: 1}), "delays: channel 8 does not exist"),
        (Configuration(delays={1: 4096}), "delay of channel 1 = 4096 does not fit: .* by 4095 ticks at most"),
        (Configuration(delays={1: 4000, 2: -96}), "delay of channel 1 = 4000 does not fit: the least delay is -96"),
        (Configuration(delays={1: -4096}), "a delay of -4096 does not fit"),
        (Configuration(reference_delay=4096), "reference_delay = 4096 does not fit"),
        (
            replace(GATED, patterns=(replace(PATTERNS[1], window=41),)),
            "pattern 0, window = 41 is longer than the attempt of 40 ticks",
        ),
    ],
)
def test_refuses_a_configuration_by_name_and_writes_nothing(
    board: Board, peer: Any, configuration: Configuration, names: str
) -> None:
    sent = len(peer.requests)
    with pytest.raises(ConfigurationError, match=names):
        board.configure(configuration)
    assert len(peer.requests) == sent


def test_a_board_without_accidental_counters_refuses_an_offset(peer: Any) -> None:
    peer.set("features", 0)
    with pytest.raises(ConfigurationError, match="this board has no accidental counters"):
        opened(peer).configure(replace(_pattern(shifted=frozenset({4})), accidental_clocks=100))
    opened(peer).configure(_pattern())


def test_a_board_without_multiplicities_refuses_them(peer: Any) -> None:
    peer.set("features", 0)
    for limits in ({"minimum": 1}, {"maximum": 2}, {"guard": 9}):
        with pytest.raises(ConfigurationError, match="pattern 0: this board has no multiplicities and guard times"):
            opened(peer).configure(_pattern(**limits))


def test_what_vetoes_is_looked_for_no_longer_than_an_attempt(board: Board) -> None:
    gated = replace(_pattern(), mode=Mode.GATED, gates=dict.fromkeys((0, 4), Gate(0, 50)), attempt_clocks=20)
    (pattern,) = gated.patterns
    longest = 20 * board.identity.samples
    fitting: list[dict[str, Any]] = [{"minimum": 1}, {"maximum": 2}, {"guard": longest}]
    for limits in fitting:
        board.configure(replace(gated, patterns=(replace(pattern, **limits),)))
    refused: list[dict[str, Any]] = [{"guard": longest + 1}, {"maximum": 2, "window": longest + 1}]
    for limits in refused:
        with pytest.raises(ConfigurationError, match=f"= {longest + 1} is longer than the attempt of {longest} ticks"):
            board.configure(replace(gated, patterns=(replace(pattern, **limits),)))


LACKING: dict[str, tuple[dict[str, Any], Configuration, str]] = {
    "an output": (
        {"outputs": 2},
        _acting(Pulse(3, 90, 5)),
        "actions of PSI_PLUS, pulse 0: output 3 has no pin on this board, which has those of 0 to 1 only",
    ),
    "any output": (
        {"outputs": 0},
        _acting(Pulse(0, 90, 5)),
        "output 0 has no pin on this board, which has none at all",
    ),
    "a PPS input": ({"pps": False}, Configuration(time_pps=True), "time_pps: this board has no PPS input"),
    "a 10 MHz input": (
        {"ten_mhz": False},
        Configuration(time_ten_mhz=1000),
        "time_ten_mhz: this board has no 10 MHz input",
    ),
    "a long window": (
        {"veto_clocks": 512},
        _pattern(window=2049, forbidden=frozenset({1})),
        "pattern 0 has forbidden channels, its window = 2049 does not fit: it goes from 0 to 2048",
    ),
    "any forbidden channel": (
        {"veto_clocks": 0},
        _pattern(window=0, forbidden=frozenset({1})),
        "pattern 0: this board has no forbidden channels",
    ),
    "a window of all bits": (
        {"window_ticks": 4095},
        _pattern(window=4096),
        "pattern 0, window = 4096 does not fit: it goes from 0 to 4095",
    ),
    "a stream": (
        {"codings": 0},
        Configuration(stream_channels=frozenset({0})),
        "stream_channels: this board streams no clicks, it counts and matches them: leave it out",
    ),
    "a share of a stream": ({"codings": 0}, Configuration(shares={0: 2}), "shares: this board streams no clicks"),
    "a coding": ({"codings": 0}, Configuration(coding=Coding.PLAIN), "coding: this board streams no clicks"),
    "a long guard time": (
        {"veto_clocks": 512},
        _pattern(guard=2049),
        "pattern 0, guard = 2049 does not fit: it goes from 0 to 2048",
    ),
}


@pytest.mark.parametrize(("has", "configuration", "message"), LACKING.values(), ids=LACKING)
def test_what_this_very_board_lacks_is_refused_by_name(
    board: Board, has: dict[str, Any], configuration: Configuration, message: str
) -> None:
    check(configuration, board.identity)
    with pytest.raises(ConfigurationError, match=message):
        check(configuration, replace(board.identity, **has))


@given(st.data())
def test_what_is_set_off_or_timed_has_a_pin(data: st.DataObject) -> None:
    """Whatever a board lacks, a configuration that asks for it is refused, and any other is taken."""
    wanted, outputs = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4))
    clocks, window = data.draw(st.sampled_from((8, 512, 2048))), data.draw(st.integers(0, 2**16 - 1))
    pps, asked = data.draw(st.booleans()), data.draw(st.booleans())
    identity = replace(IDENTITY, outputs=outputs, veto_clocks=clocks, pps=pps)
    pattern = Pattern(frozenset({0}), window, forbidden=frozenset({1}))
    start = earliest_start(pattern, identity)
    configuration = Configuration((pattern,), actions={Outcome.PSI_PLUS: (Pulse(wanted, start, 1),)}, time_pps=asked)
    fits = wanted < outputs and window <= clocks * identity.samples and pps >= asked
    with nullcontext() if fits else pytest.raises(ConfigurationError):
        check(configuration, identity)


def test_a_board_is_not_told_of_inputs_that_it_has_not(peer: Any) -> None:
    peer.set("pins", BY_NAME["pins"].pack(triggers=2, outputs=2))
    peer.missing = {"time_pps", "time_ten_mhz"}
    opened(peer).configure(FREE)


STREAM = {"stream_channels", "vicinity", "filter", "filter_status", "coding"}


def test_a_board_that_streams_no_clicks_is_told_of_none_and_has_filtered_all(peer: Any) -> None:
    quiet = type(peer)(replace(peer.identity, codings=0, veto_clocks=0, window_ticks=255))
    quiet.missing = STREAM
    board = opened(quiet)
    board.configure(Configuration(PATTERNS[:1], stream_channels=frozenset()))
    board.start()
    quiet.counters[counter_index(CounterGroup.CLICKS, 3)] += 7
    counters = board.snapshot()
    assert counters.clicks_filtered[3] == counters.clicks[3] == 7
    assert counters.clicks_lost.tolist() == [0] * 8
    assert board.telemetry.clicks == Completeness(0, 0, 0)
    assert counter_index(CounterGroup.CLICKS_FILTERED) not in indices_of(board.identity)
    board.stop()
    with pytest.raises(ConfigurationError, match="pattern_decision = 0x100 does not fit"):
        board.write("pattern_decision", 256)


def test_notices_a_register_that_does_not_keep_its_value(
    board: Board, peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = BY_NAME["gate_stop"].address + 1
    act = peer._act
    monkeypatch.setattr(peer, "_act", lambda r: (Status.OK, 8) if r.address == address else act(r))
    with pytest.raises(BoardError, match=r"gate_stop\[1\] reads 0x8 where 0x14 was written"):
        board.configure(GATED)


# -- events


def test_events_that_come_before_a_reply_are_kept_in_order(board: Board, peer: Any) -> None:
    peer.send([Click(1, 0)])
    peer.before_reply = [Click(2, 1), Herald(2, 0, 0, 0, {0: 1, 1: 0})]
    board.read("scratch")
    first = board.events(0.0)
    peer.send([Click(3, 2)])
    second = board.events(1.0)
    assert first.clicks["tick"].tolist() == [1, 2]
    assert len(first.heralds) == 1
    assert second.clicks["tick"].tolist() == [3]
    assert len(first.replies) == 0


def test_events_come_as_soon_as_there_are_any(board: Board, peer: Any) -> None:
    peer.send([Click(1, 0)])
    assert len(board.events(5.0).clicks) == 1
    assert peer.time_s == 0.0


def test_nothing_happened_is_an_empty_batch_after_the_timeout(board: Board, peer: Any) -> None:
    batch = board.events(5.0)
    assert all(len(getattr(batch, name)) == 0 for name in batch.__slots__)
    assert peer.time_s == pytest.approx(5.0)


def test_the_streams_end_is_told_after_the_last_event(board: Board, peer: Any) -> None:
    peer.ends = True
    peer.send_raw(b"QL\xff\x00")  # a false sync mark hides the last frame
    peer.send([Click(1, 0)])
    assert len(board.events(1.0).clicks) == 1
    with pytest.raises(EndOfStream):
        board.events(1.0)


def test_a_board_at_the_streams_end_still_answers_and_stops(board: Board, peer: Any) -> None:
    board.start()
    click(board, peer, channel=1, count=5)
    peer.counters[index(CounterGroup.CLICKS, 1)] += 1  # one that never came
    peer.ends = True
    board.stop()
    assert board.telemetry.clicks.missing == 1
    assert board.read("scratch") == 0
    assert len(board.events(1.0).clicks) == 5
    with pytest.raises(EndOfStream):
        board.events(1.0)
    with pytest.raises(EndOfStream):
        board.events(1.0)


def test_a_link_that_fails_while_an_answer_is_awaited_is_not_waited_for(board: Board, peer: Any) -> None:
    peer.send([Click(1, 0)])
    peer.deaf_to, peer.ends = 1, True
    with pytest.raises(EndOfStream):
        board.read("scratch")
    assert peer.time_s == 0.0
    assert len(board.events(1.0).clicks) == 1


def test_events_before_a_failure_come_first(board: Board, peer: Any) -> None:
    peer.before_reply = [Click(1, 0)]
    board.read("scratch")
    peer.close()
    assert len(board.events(1.0).clicks) == 1
    with pytest.raises(TransportError):
        board.events(1.0)


def test_half_a_frame_followed_by_silence_does_not_hold_back_what_is_behind_it(board: Board, peer: Any) -> None:
    peer.send_raw(b"QL\xff\x00")
    peer.send([Herald(1, 0, 0, 0, {})])
    assert len(board.events(1.0).heralds) == 1


def test_the_host_drops_clicks_that_nobody_fetches_and_says_so(
    board: Board, peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qlink.firmware_bridge.link.PENDING_CLICKS", 100)
    for begin in range(0, 400, 50):
        peer.before_reply = [*(Click(begin + n, 0) for n in range(50)), Herald(begin + 49, begin // 50, 0, 0, {})]
        board.read("scratch")
    batch = board.events(0.0)
    assert len(batch.clicks) <= 100
    assert batch.clicks["tick"][-1] == 399
    assert len(batch.clicks) + board.telemetry.clicks_discarded == 400
    assert len(batch.heralds) == 8


# -- counters and the account of losses


def index(group: CounterGroup, member: int = 0) -> int:
    return counter_index(group, member)


def test_a_snapshot_names_every_counter(board: Board, peer: Any) -> None:
    peer.counters = {number: 1000 + number for number in peer.counters}
    peer.counters[index(CounterGroup.CLICKS, 7)] = 2**63
    counters = board.snapshot()
    for group in CounterGroup:
        if group not in (CounterGroup.GLOBAL, CounterGroup.ACTIONS):
            values = getattr(counters, group.name.lower())
            assert values.tolist()[:7] == [1000 + index(group, member) for member in range(7)]
    for member in GlobalCounter:
        assert getattr(counters, member.name.lower()) == 1000 + index(CounterGroup.GLOBAL, member)
    assert counters.clicks[7] == 2**63
    assert counters.tick == peer.tick
    assert len(board.events(0.0).counters) == len(peer.counters)


def test_between_two_snapshots_lies_what_was_counted(board: Board, peer: Any) -> None:
    first = board.snapshot()
    peer.counters = dict.fromkeys(peer.counters, 2**60)
    last = board.snapshot()
    counted = last.since(first)
    assert counted.tick == last.tick - first.tick > 0
    assert counted.clicks.tolist() == [2**60] * 8
    assert (counted.attempts, counted.sync_missed) == (2**60, 2**60)
    with pytest.raises(BoardReset, match="count again"):
        last.since(replace(first, epoch=first.epoch + 1))


def test_each_snapshot_is_a_new_one(board: Board, peer: Any) -> None:
    peer.chunk = 8  # so that the reply is read before the snapshot is
    assert board.snapshot().snapshot < board.snapshot().snapshot < board.snapshot().snapshot


def test_a_snapshot_is_later_than_what_was_asked_before(board: Board, peer: Any) -> None:
    peer.send_snapshot()  # a periodic one, of before
    peer.counters[index(CounterGroup.CLICKS, 0)] = 9
    board.write("scratch", 1)
    assert board.snapshot().clicks[0] == 9


def test_a_snapshot_with_a_hole_is_asked_for_again(board: Board, peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    send = peer.send_snapshot
    calls: list[int] = []

    def holed() -> None:
        if not calls:
            peer.send([Counter(peer.tick, 500, 0, 1)])
        else:
            send()
        calls.append(1)

    monkeypatch.setattr(peer, "send_snapshot", holed)
    assert board.snapshot().snapshot == 1
    assert len(calls) == 2


def test_a_board_that_sends_no_snapshots_is_named(board: Board, peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "send_snapshot", lambda: None)
    with pytest.raises(BoardTimeout, match="no whole counter snapshot"):
        board.snapshot()


def click(board: Board, peer: Any, channel: int, count: int, lost: int = 0) -> None:
    """`count` clicks happen, of which the board cannot deliver `lost`."""
    peer.tick += 1
    peer.send(Click(peer.tick + n, channel) for n in range(count - lost))
    peer.tick += count
    peer.counters[index(CounterGroup.CLICKS, channel)] += count
    if lost:
        peer.counters[index(CounterGroup.CLICKS_LOST, channel)] += lost
        peer.send([Loss(peer.tick, peer.tick - lost, lost, index(CounterGroup.CLICKS_LOST, channel))])


def test_what_happened_is_delivered_or_lost(board: Board, peer: Any) -> None:
    peer.counters[index(CounterGroup.CLICKS, 2)] = 12345  # before we came
    board.start()
    click(board, peer, channel=2, count=10, lost=3)
    click(board, peer, channel=5, count=4)
    peer.counters[index(CounterGroup.CLICKS, 6)] += 8
    peer.counters[index(CounterGroup.CLICKS_FILTERED, 6)] += 8
    board.stop()
    account = board.telemetry
    assert (account.clicks.expected, account.clicks.received, account.clicks.bracketed) == (14, 11, 3)
    assert account.clicks.missing == 0
    assert account.clicks.ratio == pytest.approx(11 / 14)
    assert account.clicks_expected[[2, 5, 6]].tolist() == [10, 4, 0]
    assert account.clicks_received[[2, 5, 6]].tolist() == [7, 4, 0]
    assert account.clicks_lost[[2, 5, 6]].tolist() == [3, 0, 0]
    assert account.clicks_until == peer.tick
    assert len(board.events(0.0).clicks) == 11


def test_clicks_that_vanish_on_the_link_are_missing(board: Board, peer: Any) -> None:
    board.start()
    click(board, peer, channel=0, count=10)
    peer.counters[index(CounterGroup.CLICKS, 0)] += 5
    peer.lose_frames(2)
    board.stop()
    account = board.telemetry
    assert (account.clicks.missing, account.frames.missing) == (5, 2)
    assert account.frames.ratio < 1
    assert board.events(0.0).gaps["frames"].tolist() == [2]


def test_the_account_of_a_running_board_ends_at_its_newest_whole_snapshot(board: Board, peer: Any) -> None:
    board.start()
    for _ in range(3):
        click(board, peer, channel=1, count=5)
        peer.tick += 1
        peer.send_snapshot()
        until = peer.tick
        click(board, peer, channel=1, count=2)
    board.events(0.0)
    account = board.telemetry
    assert account.clicks_until == until
    assert (account.clicks.expected, account.clicks.received) == (19, 19)


def test_clicks_after_a_snapshot_that_come_before_it_is_whole_are_not_in_its_account(board: Board, peer: Any) -> None:
    board.start()
    peer.chunk = 64
    click(board, peer, channel=1, count=5)
    records = [Counter(peer.tick, 77, i, v) for i, v in peer.counters.items()]
    until = peer.tick
    peer.send(records[:20])
    click(board, peer, channel=1, count=3)
    peer.send(records[20:])
    click(board, peer, channel=1, count=1)
    while len(board.events(0.0).counters) or peer._out:
        pass
    account = board.telemetry
    assert (account.clicks_until, account.clicks.expected, account.clicks.received) == (until, 5, 5)


def test_lost_heralds_are_told_by_their_numbers(board: Board, peer: Any) -> None:
    board.start()
    peer.send([Herald(peer.tick, 2**32 - 1, 0, 0, {}), Herald(peer.tick + 1, 0, 0, 0, {})])
    peer.send(
        [Loss(peer.tick + 2, peer.tick, 1, index(CounterGroup.HERALDS_LOST, 3)), Herald(peer.tick + 3, 2, 0, 0, {})]
    )
    peer.lose_frames(1)
    peer.send([Herald(peer.tick + 4, 5, 0, 0, {})])
    batch = board.events(0.0)
    assert batch.heralds["sequence"].tolist() == [2**32 - 1, 2**32, 2**32 + 2, 2**32 + 5]
    heralds = board.telemetry.heralds
    assert (heralds.expected, heralds.received, heralds.bracketed, heralds.missing) == (7, 4, 1, 2)


def test_heralds_lost_at_the_very_end_are_missed_after_stop(board: Board, peer: Any) -> None:
    board.start()
    peer.send([Herald(peer.tick, 0, 0, 0, {})])
    peer.counters[index(CounterGroup.HERALDS, 0)] += 3
    board.stop()
    assert board.telemetry.heralds.missing == 2


def test_lost_records_of_another_clock_are_told_by_their_numbers_and_brackets(board: Board, peer: Any) -> None:
    board.start()
    pps, ten_mhz = TimeSource.PPS, TimeSource.TEN_MHZ
    lost = index(CounterGroup.GLOBAL, GlobalCounter.TEN_MHZ_LOST)
    peer.send([Time(peer.tick, pps, 2**32 - 1, 0), Time(peer.tick, ten_mhz, 7, 70)])
    peer.send([Loss(peer.tick + 2, peer.tick, 3, lost), Time(peer.tick + 3, ten_mhz, 11, 110)])
    peer.lose_frames(1)
    peer.send([Time(peer.tick + 4, pps, 1, 120)])
    peer.send([Loss(peer.tick + 9, peer.tick + 5, 2, lost)])
    peer.counters[lost] += 5
    board.stop()
    times = board.telemetry.times
    assert (times.expected, times.received, times.bracketed, times.missing) == (10, 4, 5, 1)
    batch = board.events(0.0)
    assert batch.times["number"].tolist() == [2**32 - 1, 7, 11, 1]
    assert batch.losses[["source", "count"]].tolist() == [(lost, 3), (lost, 2)]
    assert board.snapshot().ten_mhz_lost == 5
    board.start()
    assert board.telemetry.times == Completeness(0, 0, 0)


def test_nothing_happened_is_complete(board: Board) -> None:
    board.start()
    board.stop()
    account = board.telemetry
    assert (account.clicks.ratio, account.heralds.ratio, account.frames.missing) == (1.0, 1.0, 0)


def test_start_begins_a_new_account(board: Board, peer: Any) -> None:
    board.start()
    click(board, peer, channel=1, count=5)
    board.stop()
    board.start()
    click(board, peer, channel=1, count=2)
    board.stop()
    assert board.telemetry.clicks.expected == board.telemetry.clicks.received == 2


def test_a_frame_of_another_contract_shows_in_the_account(board: Board, peer: Any) -> None:
    frame = bytearray(encode_frame(peer.sequence, 0, 0, [Click(0, 0)]))
    peer.send_raw(bytes(frame))
    assert np.array_equal(board.events(0.0).clicks["channel"], [0])
    assert board.telemetry.decoder.errors == {}
