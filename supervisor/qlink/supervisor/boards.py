"""The board's side of the service: one thread owns it, reads it, and opens it again when it is gone."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from qlink.firmware_bridge.configuration import Configuration, Identity, SequenceStatus
from qlink.firmware_bridge.errors import BridgeError, ConfigurationError, EndOfStream
from qlink.firmware_bridge.events import Batch

from .link_clock import Clock
from .settings import Backoff

log = logging.getLogger(__name__)

READ_AHEAD = 64  # batches that may wait for the loop; then the board is not read, and says itself what it had to drop


class LinkState(StrEnum):
    STARTING = "starting"
    UP = "up"
    DOWN = "down"  # the board is gone; it is tried again
    ENDED = "ended"  # a recording or a simulation came to its end


class Board(Protocol):
    """What the service needs of `firmware_bridge.board.Board`."""

    identity: Identity

    def configure(self, configuration: Configuration) -> None: ...
    def number_attempts(self, last: int) -> None: ...
    def start(self) -> None: ...
    def start_sequence(self) -> None: ...
    def sequence_status(self) -> SequenceStatus: ...
    def stop(self) -> None: ...
    def events(self, timeout_s: float) -> Batch: ...
    def read(self, name: str) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BoardUp:
    """The board runs; what comes now counts from zero."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class BoardGone:
    state: LinkState  # DOWN or ENDED
    reason: str


@dataclass(frozen=True, slots=True)
class BoardRefused:
    """The board cannot be set to its configuration, and never could: the reader has ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class SequenceOver:
    """The board runs, but makes no attempts any more."""

    status: SequenceStatus


@dataclass(frozen=True, slots=True)
class Arrived:
    """Events, and when they came in by the link's clock."""

    batch: Batch
    time_ns: int


News = BoardUp | BoardGone | BoardRefused | SequenceOver | Arrived


@dataclass(frozen=True, slots=True)
class Reading:
    """How a board is read."""

    configuration: Configuration | None
    backoff: Backoff
    poll_s: float
    silence_s: float  # after which a board is asked whether it is still there, and its sequence goes on
    first_attempt: int | None = None  # its number, when the board is opened first; None: it goes on counting

    @property
    def sequenced(self) -> bool:
        return self.configuration is not None and self.configuration.sequence is not None


class BoardReader:
    """Reads a board in a thread of its own. `deliver` is called in that thread, in order; it may wait.

    Tells each state once. A board that is lost is opened, configured and started again, its sequence, too, after
    growing pauses; it goes on with its attempts' numbers. One that refuses its configuration at first is given up.
    """

    def __init__(
        self, open_board: Callable[[], Board], reading: Reading, clock: Clock, deliver: Callable[[News], None]
    ) -> None:
        self._open_board = open_board
        self._reading = reading
        self._clock = clock
        self._deliver = deliver
        self._ending = threading.Event()
        self._ever_up = False
        self._thread = threading.Thread(target=self._run, name="board reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Have the board stopped and closed. Returns at once; `join` waits for it."""
        self._ending.set()

    def join(self, timeout_s: float) -> bool:
        """Whether the board is closed."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._ending.is_set():
            try:
                self._read(self._opened())
            except EndOfStream as end:
                self._deliver(BoardGone(LinkState.ENDED, str(end)))
                return
            except Exception as error:
                if isinstance(error, ConfigurationError) and not self._ever_up:
                    self._deliver(BoardRefused(str(error)))
                    return
                failures = failures + 1 if not self._was_up else 1
                self._lost(error, self._reading.backoff.delay_s(failures), first=failures == 1)

    def _lost(self, error: Exception, pause_s: float, first: bool) -> None:
        """Tell it, and wait. What is no error of the bridge is a bug: it is logged with its traceback, and survived."""
        if not isinstance(error, BridgeError):
            log.error("the link is unavailable: %s", error, exc_info=error)
        elif first:
            log.error("the link is unavailable: %s", error)
        log.info("trying the board again in %.1f s", pause_s)
        self._deliver(BoardGone(LinkState.DOWN, str(error)))
        self._ending.wait(pause_s)

    def _opened(self) -> Board:
        self._was_up = False
        board = self._open_board()
        try:
            if self._reading.configuration is not None:
                board.configure(self._reading.configuration)
            if self._reading.first_attempt is not None and not self._ever_up:
                board.number_attempts(self._reading.first_attempt - 1)
            board.start()
            if self._reading.sequenced:
                board.start_sequence()
        except BaseException:
            board.close()
            raise
        self._was_up = self._ever_up = True
        return board

    def _read(self, board: Board) -> None:
        log.info("the link is up: board %s, tick %.3f ns", board.identity.board, board.identity.tick_fs / 1e6)
        self._deliver(BoardUp(board.identity))
        heard_s = asked_s = time.monotonic()
        sequenced = self._reading.sequenced
        try:
            while not self._ending.is_set():
                if sequenced and time.monotonic() - asked_s > self._reading.silence_s:
                    sequenced, asked_s = self._goes_on(board), time.monotonic()
                batch = board.events(self._reading.poll_s)
                if any(len(getattr(batch, name)) for name in Batch.__slots__):
                    self._deliver(Arrived(batch, self._clock()))
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > self._reading.silence_s:
                    board.read("magic")  # raises when nobody is there any more
                    heard_s = time.monotonic()
            with suppress(BridgeError):
                board.stop()
        finally:
            board.close()

    def _goes_on(self, board: Board) -> bool:
        """Whether the board's sequence does. When it is over, tell it."""
        status = board.sequence_status()
        if not status.running:
            self._deliver(SequenceOver(status))
        return status.running
