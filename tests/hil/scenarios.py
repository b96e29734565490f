"""What must hold on any board of ours, seen through its link and its pins.

Plain blocking functions of a `Rig`. The same ones run on Verilator through UART and FT245 pins (`test_cocotb.py`), on
the twin and on a real board (`test_board.py`). Times are whole clocks, so that they mean the same at any gearing.
"""

from dataclasses import replace

import numpy as np
import pytest
from tests.hil.rig import Rig

from qlink.firmware_bridge.actions import earliest_start
from qlink.firmware_bridge.configuration import (
    Branch,
    Configuration,
    Gate,
    Outcome,
    Pattern,
    Pulse,
    ReferenceSource,
    Sequence,
    SequenceStatus,
    Window,
)
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.errors import BoardError, ConfigurationError, EndOfStream
from qlink.firmware_bridge.histogram import HistogramSettings
from qlink.firmware_bridge.registers import BY_NAME, Mode, SequenceEnd
from qlink.firmware_bridge.wire import CONTRACT_VERSION, HeraldFlag, Operation, TimeSource
from qlink.sim.sources import PPS, REFERENCE, TEN_MHZ

GARBAGE = bytes(range(256)) + b"QLQRQLQR"


def board_says_who_it_is(rig: Rig) -> None:
    identity = rig.board.identity
    assert identity.contract_version == CONTRACT_VERSION
    assert abs(identity.tick_fs * identity.clock_hz * identity.samples - 10**15) <= identity.clock_hz * identity.samples
    assert identity.channels >= 2
    assert identity.patterns >= 2


def registers_keep_what_is_written(rig: Rig) -> None:
    for value in (0, 1, 0x80000000, 0xDEADBEEF, 0xFFFFFFFF):
        rig.board.write("scratch", value)
        assert rig.board.read("scratch") == value


def values_that_do_not_fit_are_refused(rig: Rig) -> None:
    board = rig.board
    last = board.identity.channels - 1
    with pytest.raises(ConfigurationError, match="does not exist"):
        board.write("gate_start", 0, last + 1)
    with pytest.raises(ConfigurationError, match="read-only"):
        board.write("magic", 0)
    with pytest.raises(ConfigurationError, match="does not fit"):
        board.write("control", 4)
    with pytest.raises(BoardError, match="refused"):  # past the host's own check
        board._exchange(Operation.WRITE, "control", 0x10, 4)
    with pytest.raises(BoardError, match="no such register"):
        board._exchange(Operation.READ, "nothing", 0xFFFF)


def garbage_is_counted_and_survived(rig: Rig) -> None:
    before = rig.board.snapshot().requests_bad
    rig.transport.write(GARBAGE)
    good = encode_request(Operation.WRITE, 7, 0x08, 0x12345678)
    rig.transport.write(good[:-1] + bytes([good[-1] ^ 1]))
    rig.transport.write(bytes(64))
    assert rig.board.read("scratch") != 0x12345678
    assert rig.board.snapshot().requests_bad > before


def coincidences_are_heralded_and_accounted(rig: Rig) -> None:
    board, samples = rig.board, rig.board.identity.samples
    window = 4 * samples
    patterns = (
        Pattern(frozenset({0, 1}), window, Outcome.PSI_PLUS),
        Pattern(frozenset({1}), window, Outcome.PHI_MINUS, forbidden=frozenset({0})),
    )
    board.configure(Configuration(patterns))
    board.start()
    rig.edges((0, 0), (3 * samples, 1))  # pattern 0
    rig.edges((0, 0), (6 * samples, 1))  # too far for pattern 0, and outside what vetoes pattern 1
    rig.edges((0, 1), (0, 0))  # pattern 0 at once
    board.stop()
    heralds = _rest(rig, "heralds")
    assert list(heralds["pattern"]) == [0, 1, 0]
    assert list(heralds["outcome"]) == [Outcome.PSI_PLUS, Outcome.PHI_MINUS, Outcome.PSI_PLUS]
    assert list(heralds["sequence"] - heralds["sequence"][0]) == [0, 1, 2]
    assert list(heralds["ages"][0, :2]) == [3 * samples, 0]
    assert list(heralds["channels"]) == [3, 2, 3]
    telemetry = board.telemetry
    assert telemetry.clicks.expected == telemetry.clicks.received == 6
    assert telemetry.heralds.expected == telemetry.heralds.received == 3
    assert telemetry.frames.missing == 0


def pins_fire_at_the_latency_that_the_board_states(rig: Rig) -> None:
    board = rig.board
    board.configure(Configuration((Pattern(frozenset({0, 1}), 4 * board.identity.samples),)))
    board.start()
    rig.latencies()
    for gap in (0, 1, 2):
        rig.edges((0, 0), (gap * board.identity.samples, 1))
    board.stop()
    assert rig.latencies() == [rig.pin_delay + board.identity.herald_latency] * 3


def only_gated_clicks_of_this_attempt_count(rig: Rig) -> None:
    board, samples = rig.board, rig.board.identity.samples
    gate = Gate(10 * samples, 20 * samples)
    pattern = Pattern(frozenset({0, 1}), 20 * samples)
    board.configure(
        Configuration((pattern,), Mode.GATED, {0: gate, 1: gate}, attempt_clocks=40, stream_channels=frozenset())
    )
    board.start()
    before = board.snapshot()
    rig.edges((0, 0), (samples, 1))  # no reference yet
    rig.edges((0, REFERENCE), (12 * samples, 0), (15 * samples, 1))  # both inside
    rig.edges((0, 0), (50 * samples, 1))  # the attempt is over by the second
    rig.edges((0, REFERENCE), (12 * samples, 0), (25 * samples, 1))  # one too late
    rig.edges((0, 0), (60 * samples, 0))  # let the attempt end
    rig.edges((0, REFERENCE), (5 * samples, REFERENCE), (12 * samples, 0), (13 * samples, 1))  # doubled
    rig.edges((0, 0), (60 * samples, 0))
    board.stop()
    heralds, after = _rest(rig, "heralds"), board.snapshot()
    assert list(heralds["position"]) == [15 * samples, 13 * samples]
    assert list(heralds["attempt"] - heralds["attempt"][0]) == [0, 2]
    assert list(heralds["flags"]) == [HeraldFlag.GATED, HeraldFlag.GATED | HeraldFlag.REFERENCE_DOUBLED]
    assert after.attempts - before.attempts == 3
    assert after.references_doubled - before.references_doubled == 1
    assert board.telemetry.clicks.received == 0  # none is streamed, and none is missed
    assert board.telemetry.clicks.missing == 0


def a_board_makes_its_own_attempts(rig: Rig) -> None:
    board = rig.board
    if not board.identity.sequence_segments:
        pytest.skip("this board has no sequencer")
    sequence = Sequence(period=50, windows={0: (Window(0, 5), Window(10, 20))}, attempts=25)
    gates = {0: Gate(0, 40 * board.identity.samples)}
    board.configure(
        Configuration((Pattern(frozenset({0}), 0),), Mode.GATED, gates, attempt_clocks=45, sequence=sequence)
    )
    board.start()
    before = board.snapshot()
    board.start_sequence()
    while board.sequence_status().running:
        pass
    after = board.snapshot()
    board.stop()
    assert board.sequence_status() == SequenceStatus(running=False, end=SequenceEnd.DONE, attempts=25)
    assert after.attempts - before.attempts == 25
    assert after.references_doubled == before.references_doubled


def a_herald_has_the_next_attempt_play_its_branch(rig: Rig) -> None:
    board, samples = rig.board, rig.board.identity.samples
    if not board.identity.branch_segments:
        pytest.skip("this board has no branches")
    branch = Branch(40, {0: (Window(2, 4),), 1: (Window(10, 20),)})
    sequence = Sequence(30, {0: (Window(0, 5),)}, ReferenceSource.EXTERNAL, branches={Outcome.PHI_MINUS: branch})
    pattern = Pattern(frozenset({0}), 0, Outcome.PHI_MINUS)
    gates = {0: Gate(10 * samples, 20 * samples)}
    board.configure(Configuration((pattern,), Mode.GATED, gates, attempt_clocks=40, sequence=sequence))
    board.start()
    board.start_sequence()
    rig.edges((0, REFERENCE))
    late = rig.pin_delay + board.identity.trigger_latency
    program = [(late, 0, 1), (late + 5, 0, 0)]
    assert rig.triggers() == program
    rig.edges((0, REFERENCE), (12 * samples, 0), (80 * samples, REFERENCE))
    assert rig.triggers() == [(late + 2, 0, 1), (late + 4, 0, 0), (late + 10, 1, 1), (late + 20, 1, 0)]
    rig.edges((0, REFERENCE))
    assert rig.triggers() == program
    assert board.sequence_status() == SequenceStatus(running=True, end=SequenceEnd.NONE, attempts=4, branched=1)
    board.stop()


def nothing_counts_while_stopped(rig: Rig) -> None:
    board = rig.board
    board.configure(Configuration((Pattern(frozenset({0}), 0),)))
    before = board.snapshot()
    rig.edges((0, 0), (4 * board.identity.samples, 1))
    after = board.snapshot()
    assert np.array_equal(before.clicks, after.clicks)
    assert np.array_equal(before.heralds, after.heralds)


def inputs_are_delayed_by_single_ticks(rig: Rig) -> None:
    board, samples = rig.board, rig.board.identity.samples
    delays = {0: 10 * samples - 1, 1: -3 * samples}  # so channel 1 is left alone
    board.configure(Configuration((Pattern(frozenset({0, 1}), 1),), delays=delays))
    board.start()
    rig.edges((0, 0), (13 * samples, 1))
    rig.edges((0, 0), (10 * samples, 1), (100 * samples, 0))  # too early, with one sample a clock, too
    board.stop()
    heralds = _rest(rig, "heralds")
    assert [list(ages) for ages in heralds["ages"][:, :2]] == [[1, 0]]
    with pytest.raises(ConfigurationError, match="delay"):
        board.configure(Configuration(delays={0: board.identity.delay_ticks + 1}))


def edges_of_another_clock_are_timed(rig: Rig) -> None:
    board, samples = rig.board, rig.board.identity.samples
    board.configure(Configuration(time_pps=True, time_ten_mhz=3))
    rig.edges(*((20 * n * samples, TEN_MHZ) for n in range(7)), (126 * samples, PPS))
    board.flush()
    times = np.sort(_rest(rig, "times"), order="tick")
    assert list(times["source"]) == [TimeSource.TEN_MHZ, TimeSource.TEN_MHZ, TimeSource.PPS]
    assert list(times["edges"] - times["edges"][0]) == [0, 3, 4]
    assert list(times["tick"] - times["tick"][0]) == [0, 60 * samples, 86 * samples]
    board.configure(Configuration())


def an_epoch_stays_until_the_board_starts_anew(rig: Rig) -> None:
    assert rig.board.epoch > 0
    assert rig.board.read("epoch") == rig.board.epoch % 256
    before = rig.board.snapshot()
    rig.board.read("epoch")
    after = rig.board.snapshot()
    assert (before.epoch, before.tick) < (after.epoch, after.tick)
    assert before.epoch == rig.board.epoch


def delays_between_two_channels_are_counted_on_the_board(rig: Rig) -> None:
    board, samples, bins = rig.board, rig.board.identity.samples, rig.board.identity.histogram_bins
    if not bins:
        pytest.skip("this board has no histogram")
    board.configure(Configuration(stream_channels=frozenset()))
    board.start()
    far = bins * samples
    for offset, width in ((0, 1), (-4 * samples, 2)):
        board.begin_histogram(HistogramSettings(0, 1, width, offset))
        for gap in (3, 3, 5):
            rig.edges((0, 0), (gap * samples, 1), (far, 2))  # each far from the next
        rig.edges((0, 1), (4 * samples, 0), (far, 2))
        counted = board.end_histogram()
        near = {int(delay): int(count) for delay, count in zip(counted.delays, counted.counts, strict=True) if count}
        assert (counted.starts, counted.stops) == (4, 4)
        assert near == {3 * samples // width * width: 2, 5 * samples // width * width: 1, -4 * samples: 1}
        assert counted.outside == 4  # at the offset of the last pair it is a stop that comes first: one each is left
        assert not counted.saturated
    with pytest.raises(ConfigurationError, match="width = 3"):
        board.begin_histogram(HistogramSettings(0, 1, 3))
    board.stop()


def feed_forward_follows_the_heralding_click(rig: Rig) -> None:
    board, samples = rig.board, rig.board.identity.samples
    pattern = Pattern(frozenset({0, 1}), 4 * samples, Outcome.PSI_MINUS)
    soonest = earliest_start(pattern, board.identity)
    table = (
        Pulse(2, soonest, 3),
        Pulse(0, soonest + 40 * samples + 1, 5 * samples),
        Pulse(2, soonest + 10 * samples, 1),
    )
    before = board.snapshot()
    board.configure(Configuration((pattern,), actions={Outcome.PSI_MINUS: table}))
    board.start()
    for gap in (0, samples):
        rig.edges((0, 0), (gap, 1))
        expected = [(p.start, p.output, 1) for p in table] + [(p.start + p.width, p.output, 0) for p in table]
        late = rig.pin_delay * samples
        assert rig.actions() == [(tick + late, output, level) for tick, output, level in sorted(expected)]
    rig.edges((0, 0), (0, 1), (3 * samples, 0), (3 * samples, 1))  # two heralds, and one table that is played
    assert len(rig.actions()) == 6
    board.stop()
    after = board.snapshot()
    assert list(after.actions_started - before.actions_started) == [0, 3, 0, 0]
    assert list(after.actions_dropped - before.actions_dropped) == [0, 1, 0, 0]
    with pytest.raises(ConfigurationError, match="too soon"):
        board.configure(Configuration((pattern,), actions={Outcome.PSI_MINUS: (Pulse(0, soonest - 1, 1),)}))


def feed_forward_that_is_too_soon_is_inert(rig: Rig) -> None:
    """Past the host's check: a pulse that would have to begin before the decision."""
    board, samples = rig.board, rig.board.identity.samples
    pattern = Pattern(frozenset({0}), 0, Outcome.PHI_PLUS)
    soonest = earliest_start(pattern, board.identity)
    board.configure(Configuration((pattern,), actions={Outcome.PHI_PLUS: (Pulse(1, soonest, samples),)}))
    board.write("action_pulse", BY_NAME["action_pulse"].pack(start=soonest - samples, output=1))
    before = board.snapshot()
    board.start()
    rig.edges((0, 0))
    assert rig.actions() == []
    board.stop()
    after = board.snapshot()
    assert list(after.actions_refused - before.actions_refused) == [1, 0, 0, 0]
    assert list(after.actions_started - before.actions_started) == [0, 0, 0, 0]


def what_is_not_streamed_is_counted(rig: Rig) -> None:
    board, samples = rig.board, rig.board.identity.samples
    near = bool(board.identity.vicinity_ticks)
    configuration = Configuration((Pattern(frozenset({0, 1}), 3 * samples),), shares={0: 3})
    if near:
        configuration = replace(configuration, near_heralds=frozenset({1}), vicinity=5 * samples)
    board.configure(configuration)
    board.start()
    before = board.snapshot()
    for gap in (3, 9, 2, 9):
        rig.edges((0, 1), (40 * samples, 0), ((40 + gap) * samples, 1), ((43 + gap) * samples, 1))
    board.stop()
    after, clicks = board.snapshot(), _rest(rig, "clicks")
    delivered = [int((clicks["channel"] == channel).sum()) for channel in range(2)]
    filtered = after.clicks_filtered - before.clicks_filtered
    assert list((after.clicks - before.clicks)[:2]) == [4, 12]
    assert delivered == [2, 4 if near else 12]  # of channel 1 those that complete, and 3 clocks later
    assert list(filtered[:2]) == [2, 12 - delivered[1]]
    assert board.telemetry.clicks.missing == 0
    board.configure(Configuration())


SCENARIOS = (
    board_says_who_it_is,
    registers_keep_what_is_written,
    values_that_do_not_fit_are_refused,
    garbage_is_counted_and_survived,
    coincidences_are_heralded_and_accounted,
    pins_fire_at_the_latency_that_the_board_states,
    only_gated_clicks_of_this_attempt_count,
    a_board_makes_its_own_attempts,
    a_herald_has_the_next_attempt_play_its_branch,
    nothing_counts_while_stopped,
    inputs_are_delayed_by_single_ticks,
    edges_of_another_clock_are_timed,
    an_epoch_stays_until_the_board_starts_anew,
    delays_between_two_channels_are_counted_on_the_board,
    feed_forward_follows_the_heralding_click,
    feed_forward_that_is_too_soon_is_inert,
    what_is_not_streamed_is_counted,
)


def _rest(rig: Rig, kind: str) -> np.ndarray:
    """All events of a kind that are still to be fetched."""
    pieces = []
    while True:
        try:
            batch = rig.board.events(0.0)
        except EndOfStream:
            break
        pieces.append(getattr(batch, kind))
        if not any(len(getattr(batch, name)) for name in type(batch).__slots__):
            break
    return np.concatenate(pieces)
