"""The twin as a transport: what works here has to work on a board."""

from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.hil.twin_port import TwinPort

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Outcome, Pattern, Pulse, Role, Sync
from qlink.firmware_bridge.decoder import concatenate
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.errors import (
    ConfigurationError,
    EndOfStream,
    NoSuchRegister,
    RecordingError,
    TransportError,
)
from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.registers import BY_NAME, MAGIC, Mode
from qlink.firmware_bridge.wire import Operation
from qlink.gateware.boards.profiles import PROFILES
from qlink.sim.photonics import HeraldedLink, PairSource, Scheme
from qlink.sim.sources import clicks_of
from qlink.sim.twin import open_twin
from qlink.sim.twin_transport import TwinTransport, open_url
from qlink.sim.twin_url import Idle, Recorded, parse_url

READ_MAGIC = encode_request(Operation.READ, 7, BY_NAME["magic"].address)


class Wall:
    """A clock that moves only when someone sleeps, or by a given step each time that it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 100.0
        self._step = step

    def clock(self) -> float:
        self.now += self._step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def opened(url: str, wall: Wall | None = None) -> TwinTransport:
    if wall is None:
        return open_url(urlsplit(url))
    return open_url(urlsplit(url), clock=wall.clock, sleep=wall.sleep)


def all_events(board: Board) -> Batch:
    batches = []
    try:
        while True:
            batches.append(board.events(1.0))
    except EndOfStream:
        return concatenate(batches)


def drain(transport: TwinTransport) -> bytes:
    pieces = []
    try:
        while True:
            pieces.append(transport.read(1 << 16, 1.0))
    except EndOfStream:
        return b"".join(pieces)


def test_a_board_tells_who_it_is() -> None:
    with Board(opened("twin://idle")) as board:
        assert board.identity.board == "TWIN"
        assert (board.identity.channels, board.identity.patterns, board.identity.samples) == (8, 8, 4)
        assert board.identity.tick_fs == 1_250_000
        assert board.identity.clock_hz == 200_000_000


def test_a_silent_twin_waits_in_simulated_time() -> None:
    transport = opened("twin://idle")
    assert transport.read(100, 0.25) == b""
    assert transport.twin.now == 50_000_000
    assert transport.now_s() == 0.25
    assert transport.twin.evaluated < 1_000
    assert opened("twin://idle?pace=1", wall := Wall()).now_s() == wall.now


def test_a_recording_begins_with_the_run_and_comes_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("recordings") / "clicks of today.txt"
    path.write_text("".join(f"{i % 8} {i * 1000}\n" for i in range(500)))
    transport = opened(f"twin://recording?file={str(path).replace(' ', '%20')}")
    with Board(transport) as board:
        board.configure(Configuration(patterns=(Pattern(frozenset({3}), 0),)))
        assert transport.origin is None
        board.start()
        events = all_events(board)
        assert transport.origin is not None
        ticks = events.clicks["tick"] - np.uint64(transport.origin)
        assert list(zip(events.clicks["channel"].tolist(), ticks.tolist(), strict=True)) == [
            (i % 8, i * 1000) for i in range(500)
        ]
        assert len(events.heralds) == 500 // 8 + (500 % 8 > 3)
        board.stop()
        counters = board.snapshot()  # answered after the end, too
        assert counters.clicks.sum() == 500
        assert board.telemetry.clicks.missing == 0


@pytest.mark.parametrize("scheme", Scheme)
def test_a_link_is_heralded_as_often_as_its_model_says(scheme: Scheme) -> None:
    link = HeraldedLink(scheme=scheme, attempt_hz=500_000, alpha=0.3, efficiency_a=0.5, efficiency_b=0.4)
    options = f"scheme={scheme}&attempt_hz=500000&alpha=0.3&efficiency_a=0.5&efficiency_b=0.4"
    with Board(opened(f"twin://heralded?{options}&duration_s=0.008")) as board:
        board.configure(link.configuration(1250.0, 4))
        board.start()
        events = all_events(board)
        board.stop()
        attempts = board.snapshot().attempts
    assert attempts == 3_999
    expected = attempts * link.heralding.probability
    assert len(events.heralds) == pytest.approx(expected, abs=4 * expected**0.5)
    assert set(events.heralds["outcome"].tolist()) == {1, 2}


def test_a_pair_source_makes_pairs() -> None:
    source = PairSource(pair_hz=500_000, efficiency=0.5)
    with Board(opened("twin://pairs?pair_hz=500000&efficiency=0.5&duration_s=0.01")) as board:
        board.configure(Configuration(patterns=tuple(Pattern(frozenset({i, i + 4}), 2) for i in range(4))))
        board.start()
        heralds = len(all_events(board).heralds)
    expected = source.pair_hz * 0.01 * source.efficiency**2
    assert heralds == pytest.approx(expected, abs=4 * expected**0.5)


def test_the_same_url_gives_the_same_bytes_with_and_without_skipping() -> None:
    streams = []
    for url in ("twin://pairs?seed=5&duration_s=0.0005", "twin://pairs?seed=5&duration_s=0.0005&skipping=0"):
        transport = opened(url)
        transport.write(encode_request(Operation.WRITE, 1, BY_NAME["stream_channels"].address, 255))
        transport.write(encode_request(Operation.WRITE, 2, BY_NAME["flush_clocks"].address, 5_000))
        transport.write(encode_request(Operation.WRITE, 3, BY_NAME["control"].address, 1))
        streams.append(drain(transport))
    assert streams[0] == streams[1]
    assert len(streams[0]) > 200


def test_ends_only_after_the_last_frame_was_flushed() -> None:
    transport = opened("twin://pairs?pair_hz=100000&duration_s=0.001&channels=8")
    with Board(transport) as board:
        board.configure(Configuration())
        board.start()
        clicks = len(all_events(board).clicks)
        assert clicks == board.snapshot().clicks.sum() > 10


def test_an_ended_twin_still_answers() -> None:
    transport = opened("twin://idle?duration_s=0.001")
    transport.write(encode_request(Operation.WRITE, 3, BY_NAME["control"].address, 1))
    assert drain(transport)
    for _ in range(2):
        with pytest.raises(EndOfStream, match="run out"):
            transport.read(100, 1.0)
    transport.write(READ_MAGIC)
    assert MAGIC.to_bytes(4, "little") in drain(transport)


def test_a_paced_twin_keeps_the_walls_time() -> None:
    wall = Wall()
    transport = opened("twin://idle?pace=2", wall)
    assert transport.read(100, 0.5) == b""
    assert wall.now == pytest.approx(100.5)
    assert transport.twin.now == pytest.approx(2 * 0.5 * 200e6, rel=0.01)


def test_a_paced_twin_answers_at_once() -> None:
    wall = Wall(step=1e-4)
    transport = opened("twin://idle?pace=1", wall)
    transport.write(READ_MAGIC)
    assert MAGIC.to_bytes(4, "little") in transport.read(100, 0.5)
    assert wall.now < 100.1


def test_a_paced_twin_does_not_block_beyond_its_time() -> None:
    wall = Wall(step=0.01)  # a machine too slow for the pace
    transport = opened("twin://pairs?pair_hz=5000000&pace=1000", wall)
    transport.write(encode_request(Operation.WRITE, 3, BY_NAME["control"].address, 1))
    transport.read(1, 0.05)
    assert wall.now < 100.2


def test_a_closed_twin_says_so() -> None:
    transport = opened("twin://idle")
    transport.close()
    with pytest.raises(TransportError, match="closed"):
        transport.read(1, 0.1)
    with pytest.raises(TransportError, match="closed"):
        transport.write(b"x")


def test_a_url_is_understood() -> None:
    wanted = parse_url(urlsplit("twin://pairs?channels=10&samples=2&tick_ps=500&arms=5&seed=9&pace=0.5&skipping=0"))
    assert wanted.kind == PairSource(arms=5)
    assert (wanted.parameters.channels, wanted.parameters.samples) == (10, 2)
    assert (wanted.parameters.clock_hz, wanted.parameters.tick_fs) == (1_000_000_000, 500_000)
    assert (wanted.options.seed, wanted.options.pace, wanted.options.link.skipping) == (9, 0.5, False)
    assert parse_url(urlsplit("twin://idle")).kind == Idle()
    assert parse_url(urlsplit("twin://recording?file=a%20b")).kind == Recorded("a b")


def test_a_boards_twin_has_what_the_board_has() -> None:
    profile = PROFILES["versa-ecp5-5g"]
    wanted = parse_url(urlsplit("twin://idle?board=versa-ecp5-5g"))
    assert wanted.parameters == profile.parameters
    assert (wanted.options.tick_ps, wanted.options.samples) == (5000.0, 2)
    assert wanted.options.link.clocks_per_byte == 84  # 100 MHz, 12 Mbaud, ten bits a byte
    assert parse_url(urlsplit("twin://idle?board=versa-ecp5-5g&clocks_per_byte=1")).options.link.clocks_per_byte == 1


SMALL = "twin://idle?board=ulx3s-12f&clocks_per_byte=1"


def test_a_boards_twin_refuses_what_the_board_lacks() -> None:
    """Each of these would have no effect at all."""
    forbidding = Pattern(frozenset({0}), 2049, forbidden=frozenset({1}))
    follower = Configuration(mode=Mode.GATED, attempt_clocks=200, sync=Sync(Role.FOLLOWER))
    lacking = {
        "time_pps: this board has no PPS input": Configuration(time_pps=True),
        "time_ten_mhz: this board has no 10 MHz input": Configuration(time_ten_mhz=10),
        "built without lines": follower,
        "the board has no feed-forward": Configuration(
            (Pattern(frozenset({0}), 5),), actions={Outcome.PSI_PLUS: (Pulse(0, 200, 1),)}
        ),
        "its window = 2049 does not fit: it goes from 0 to 2048": Configuration((forbidding,)),
    }
    with Board(opened(SMALL)) as board:
        assert (board.identity.outputs, board.identity.pps, board.identity.sync_latency) == (0, False, 0)
        assert board.identity.veto_clocks == 512
        for message, configuration in lacking.items():
            with pytest.raises(ConfigurationError, match=message):
                board.configure(configuration)
        board.configure(Configuration((replace(forbidding, window=2048),)))
        with pytest.raises(NoSuchRegister, match="refused to write time_pps: it has no such register"):
            board.write("time_pps", 1)


def test_the_longest_window_that_a_board_says_is_one_that_it_keeps() -> None:
    """Pairs of a click and a forbidden one, from as far apart as the window is up to a tick more."""
    parameters = PROFILES["ulx3s-12f"].parameters
    longest = parameters.veto_depth * parameters.samples
    starts = 4_000_000 + 10 * longest * np.arange(8)
    apart = np.array([longest, longest + 1] * 4) * np.array([1, 1, -1, -1] * 2)
    twin = open_twin(parameters)
    twin.feed(clicks_of(np.concatenate([starts, starts + apart]), np.repeat([0, 1], 8)))
    with Board(TwinPort(twin)) as board:
        board.configure(Configuration((Pattern(frozenset({0}), longest, forbidden=frozenset({1})),)))
        board.start()
        heralds = concatenate([board.events(0.001) for _ in range(40)]).heralds
    assert heralds["tick"].tolist() == starts[1::2].tolist()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("twin://idle?board=none", "there is no board 'none': it has to be one of ecpix5-45f"),
        ("twin://idle?board=ulx3s-12f&channels=4", "channels is the board's to say: leave it out"),
        ("twin://", "names no source: begin with twin://{idle,heralded,pairs,recording}"),
        ("twin://photons", "names no source"),
        ("twin://idle/path", "names no source"),
        ("twin://idle?sed=1", "twin://idle has no option 'sed': it takes channels, patterns, samples"),
        ("twin://idle?alpha=0.1", "has no option 'alpha'"),
        ("twin://idle?seed=1&seed=2", "seed is given twice"),
        ("twin://idle?seed=one", "seed = 'one' is not a whole number"),
        ("twin://idle?seed=-1", "seed has to be at least 0"),
        ("twin://idle?pace=fast", "pace = 'fast' is not a number"),
        ("twin://idle?pace=nan", "pace has to be at least 0"),
        ("twin://idle?duration_s=0", "duration_s has to be above 0"),
        ("twin://idle?tick_ps=-1", "tick_ps has to be above 0"),
        ("twin://idle?clocks_per_byte=0", "clocks_per_byte has to be at least 1"),
        ("twin://idle?skipping=2", "skipping has to be 0 or 1"),
        ("twin://idle?channels=17", "channels must be 1 to 16, not 17"),
        ("twin://idle?samples=3", "samples must be 1, 2 or 4"),
        ("twin://pairs?channels=4", "needs 8 channels, not 4"),
        ("twin://heralded?scheme=triple", "scheme = 'triple' is not one of single, double"),
        ("twin://recording", "option file is missing"),
    ],
)
def test_names_what_is_wrong_with_a_url(url: str, message: str) -> None:
    with pytest.raises(TransportError) as error:
        opened(url)
    assert message in str(error.value)


def test_a_damaged_recording_is_refused_before_anything_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("recordings") / "bad.txt"
    path.write_text("0 5\n0 4\n")
    with pytest.raises(RecordingError, match="line 2"):
        opened(f"twin://recording?file={path}")
