"""The twin behind the bridge's transport protocol, with a source of clicks in front of it: `twin://SOURCE?...`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult

from qlink.firmware_bridge.encoding import decode_requests
from qlink.firmware_bridge.errors import EndOfStream, TransportError
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.wire import Operation

from .errors import BuildError, TwinError
from .sources import Source
from .twin import Twin, open_twin
from .twin_build import Progress, silent
from .twin_url import parse_url

SLICE = 20_000  # clocks computed in one go: some ten milliseconds
SHUTTER_CLOCKS = 256  # from the request that starts the run until the first click may come
DECISION_CLOCKS = 2**16  # the longest time from a click to the last record that it leads to
ANSWER_CLOCKS = 10_000  # a board that is at rest answers within so many
NO_LIMIT = 2**48  # clocks
NAP_S = 0.001


@dataclass(frozen=True, slots=True)
class Pace:
    """How simulated time follows that of the wall: `clocks_per_s` system clocks a second."""

    clocks_per_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Wiretap:
    """Follows the requests that go to a board, as far as a source of clicks has to know them."""

    def __init__(self) -> None:
        self.running = False
        self.flush_clocks = BY_NAME["flush_clocks"].reset
        self._rest = b""

    def hear(self, data: bytes) -> None:
        requests, self._rest = decode_requests(self._rest + data)
        for request in requests:
            if request.operation != Operation.WRITE:
                continue
            if request.address == BY_NAME["control"].address:
                self.running = bool(request.value & 1)
            elif request.address == BY_NAME["flush_clocks"].address:
                self.flush_clocks = request.value


class Shutter:
    """Lets the clicks of a source into a twin, from the moment on at which the board is told to run.

    The source's tick 0 is `origin` on the twin.
    """

    def __init__(self, twin: Twin, source: Source) -> None:
        self._twin, self._source = twin, source
        self.origin: int | None = None
        self.exhausted = False
        self.until = 0  # clock up to which all clicks are in

    def open(self) -> None:
        if self.origin is None:
            self.until = self._twin.now + SHUTTER_CLOCKS
            self.origin = self.until * self._twin.samples

    def feed(self) -> None:
        """Put the next stretch in."""
        if self.origin is None or self.exhausted:
            return
        stretch = next(self._source, None)
        if stretch is None:
            self.exhausted = True
            return
        clicks = stretch.clicks.copy()
        clicks["tick"] += self.origin
        self._twin.feed(clicks)
        self.until = (self.origin + stretch.end) // self._twin.samples


class TwinTransport:
    """A byte pipe to a twin. Its time passes only inside `read`. Not thread-safe.

    Without a pace, `read` waits `timeout_s` of simulated time at most, so that the same calls give the same bytes on
    any machine. With one, it waits for the wall's clock, and computes some ten milliseconds beyond `timeout_s` at most.
    When the source has run out and everything that came of it was read, `read` raises `EndOfStream`; requests written
    after that are answered all the same.
    """

    def __init__(self, twin: Twin, source: Source, clock_hz: float, pace: Pace | None = None) -> None:
        self._twin, self._clock_hz, self._pace = twin, clock_hz, pace
        self._tap, self._shutter = Wiretap(), Shutter(twin, source)
        self._began: float | None = None
        self._last: int | None = None  # clock until which clicks and requests may have consequences
        self._asked = self._closed = False

    @property
    def twin(self) -> Twin:
        return self._twin

    @property
    def origin(self) -> int | None:
        """The twin's tick at which the source's tick 0 lies; None until the board was told to run."""
        return self._shutter.origin

    def read(self, size: int, timeout_s: float) -> bytes:
        if self._closed:
            raise TransportError("the twin is closed")
        try:
            return self._read_free(size, timeout_s) if self._pace is None else self._read_paced(size, timeout_s)
        except TwinError as error:
            raise TransportError(f"the twin cannot go on: {error}") from error

    def write(self, data: bytes) -> None:
        if self._closed:
            raise TransportError("the twin is closed")
        self._tap.hear(data)
        self._twin.request(data)
        self._asked = True
        self._last = None  # the answer, too, may wait in an open frame

    def now_s(self) -> float:
        """The time of its reads: that of the simulation, with a pace the wall's (see `transport.Timed`)."""
        return self._twin.now / self._clock_hz if self._pace is None else self._pace.clock()

    def close(self) -> None:
        self._closed = True

    def _read_free(self, size: int, timeout_s: float) -> bytes:
        end = self._twin.now + max(int(timeout_s * self._clock_hz), 1)
        while self._twin.now < end:
            if data := self._advance(size, end):
                return data
        return b""

    def _read_paced(self, size: int, timeout_s: float) -> bytes:
        assert self._pace is not None
        pace = self._pace
        now = pace.clock()
        deadline = now + timeout_s
        if self._began is None:
            self._began = now - self._twin.now / pace.clocks_per_s
        while True:
            target = int((now - self._began) * pace.clocks_per_s)
            if self._twin.now < target:
                if data := self._advance(size, target):
                    return data
            elif now < deadline:
                pace.sleep(min(NAP_S, deadline - now))
            now = pace.clock()
            if now >= deadline:
                return b""

    def _advance(self, size: int, end: int) -> bytes:
        """Work for a slice, up to the clock `end` at most."""
        twin, shutter = self._twin, self._shutter
        self._asked = self._asked and (twin.asked or not twin.idle)  # no more once all is answered
        if self._tap.running and not twin.asked:
            shutter.open()
        if twin.now >= shutter.until:
            shutter.feed()
        until_answered = self._asked or self._pace is not None
        return twin.work(min(end, self._limit()), SLICE, size, until_answered=until_answered)

    def _limit(self) -> int:
        """The clock to which the twin may run before its source, or the answers, have to be looked at again."""
        twin, shutter = self._twin, self._shutter
        if shutter.origin is None:
            return twin.now + (ANSWER_CLOCKS if self._asked else NO_LIMIT)
        if not shutter.exhausted:
            return shutter.until
        if self._last is None:
            self._last = twin.now + DECISION_CLOCKS + self._tap.flush_clocks
        if twin.now < self._last:
            return self._last
        if twin.idle and not self._asked:
            raise EndOfStream("the twin's clicks have run out, and all that came of them was read")
        return twin.now + ANSWER_CLOCKS


def open_url(
    parts: SplitResult,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> TwinTransport:
    """Open the twin that a `twin://` URL asks for, compiled now if it has to be: half a minute, told to `progress`.

    Raises `TransportError` naming what is wrong with the URL or missing on the machine, and `RecordingError`.
    """
    wanted = parse_url(parts)
    source = wanted.source()
    try:
        twin = open_twin(wanted.parameters, wanted.options.link, progress)
    except BuildError as error:
        raise TransportError(str(error)) from error
    clock_hz = 1e12 / (wanted.options.tick_ps * wanted.parameters.samples)
    pace = Pace(wanted.options.pace * clock_hz, clock, sleep) if wanted.options.pace else None
    return TwinTransport(twin, source, clock_hz, pace)
