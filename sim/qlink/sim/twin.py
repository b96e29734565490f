"""The board in software: the gateware's own RTL, compiled, with clicks and bytes in and bytes out.

Time is counted in system clocks since reset, and only passes inside `run`, `work` and `settle`. One call works on as
many clocks as are asked for; clocks in which nothing can happen are skipped, which the byte stream does not show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

from qlink.firmware_bridge.events import CLICK

from .errors import TwinError
from .sources import INPUTS
from .twin_build import Progress, build, silent

if TYPE_CHECKING:
    from qlink.gateware.parameters import Parameters

PULSE = np.dtype([("clock", "<u8"), ("pins", "u1"), ("triggers", "u1"), ("actions", "<u2"), ("pad", "u1", 4)])

_BUFFER_BYTES = 1 << 20
_PULSES = 1 << 16
_NO_LIMIT = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Link:
    """How the byte link to the host behaves, and how the twin is watched."""

    clocks_per_byte: int = 1  # each way
    skipping: bool = True
    capture: bool = False  # keep the outputs for `Twin.pulses`


@cache
def _ffi() -> FFI:
    ffi = FFI()
    ffi.cdef(files("qlink.sim").joinpath("harness.h").read_text())
    return ffi


@cache
def _open(library: Path) -> Any:
    return _ffi().dlopen(str(library))


def no_clicks() -> NDArray[np.void]:
    """Return an empty array of clicks."""
    return np.empty(0, CLICK)


class Twin:
    """A compiled board. Not thread-safe; several may run side by side, and the GIL is free while they do."""

    def __init__(self, library: Path, channels: int, samples: int, link: Link = Link()) -> None:
        if link.clocks_per_byte < 1:
            raise TwinError(f"clocks_per_byte has to be at least 1, not {link.clocks_per_byte}")
        self.channels, self.samples = channels, samples
        self._lib: Any = _open(library)
        self._options = _ffi().new("twin_options *", (link.skipping, link.capture, link.clocks_per_byte))
        self._buffer = np.empty(_BUFFER_BYTES, np.uint8)
        self.reset()

    def reset(self) -> None:
        """Let the board start anew, as after power-on or when its clock locks again: what is under way is gone."""
        self._twin = _ffi().gc(self._lib.twin_new(self._options), self._lib.twin_delete)
        self._state = self._lib.twin_look(self._twin)
        self._clicks = no_clicks()
        self._requests = b""

    @property
    def now(self) -> int:
        """System clocks since reset."""
        return int(self._state.now)

    @property
    def evaluated(self) -> int:
        """Clocks that were computed; the others were skipped."""
        return int(self._state.evaluated)

    @property
    def idle(self) -> bool:
        """Whether nothing moves inside and no byte waits. Timers may run."""
        return bool(self._state.idle)

    @property
    def waiting(self) -> int:
        """Clicks that were given and whose time has not come."""
        return len(self._clicks)

    @property
    def unresolved(self) -> list[int]:
        """Clicks within a tick of one on the same channel, which are no edge: by channel, then as `sources.INPUTS`."""
        return [*self._state.unresolved[0 : self.channels], *self._state.unresolved[16 : 16 + len(INPUTS)]]

    def feed(self, clicks: NDArray[np.void]) -> None:
        """Put `clicks` (dtype CLICK, sorted by tick; `sources` names other inputs) behind those that wait."""
        if not len(clicks):
            return
        ticks, channels = clicks["tick"], clicks["channel"]
        if (ticks[1:] < ticks[:-1]).any() or (len(self._clicks) and ticks[0] < self._clicks["tick"][-1]):
            raise TwinError("clicks have to be sorted by tick")
        if int(ticks[0]) < self.now * self.samples:
            raise TwinError(f"a click at tick {ticks[0]} comes too late: the twin is at tick {self.now * self.samples}")
        if ((channels >= self.channels) & (channels < min(INPUTS))).any():
            raise TwinError(f"a click's channel is out of range: this twin has channels 0 to {self.channels - 1}")
        self._clicks = np.concatenate([self._clicks, clicks]) if len(self._clicks) else np.ascontiguousarray(clicks)

    @property
    def asked(self) -> bool:
        """Whether requests wait for the link."""
        return bool(self._requests)

    def request(self, data: bytes) -> None:
        """Send `data` down the link as soon as it takes it."""
        self._requests += data

    def run(self, clocks: int, clicks: NDArray[np.void] | None = None, requests: bytes = b"") -> bytes:
        """Run for exactly `clocks` and return what came up. Clicks and requests not reached wait for the next run."""
        if clicks is not None:
            self.feed(clicks)
        self.request(requests)
        until, pieces = self.now + clocks, []
        while self.now < until:
            pieces.append(self.work(until, _NO_LIMIT))
        return b"".join(pieces)

    def work(self, until: int, evaluations: int, size: int = _BUFFER_BYTES, *, until_answered: bool = False) -> bytes:
        """Run to the clock `until` at most, and return up to `size` bytes that came up.

        Comes back earlier when `evaluations` clocks were computed; and with `until_answered` as soon as there are
        bytes, all requests are in and all is idle again.
        """
        size = min(size, _BUFFER_BYTES)
        requests, ffi = self._requests, _ffi()
        work = ffi.new("twin_work *")
        held = ffi.from_buffer(requests)
        work.clicks, work.click_count = ffi.cast("twin_click *", self._clicks.ctypes.data), len(self._clicks)
        work.requests, work.request_count = ffi.cast("uint8_t *", held), len(requests)
        work.bytes, work.byte_capacity = ffi.cast("uint8_t *", self._buffer.ctypes.data), size
        work.until, work.evaluations, work.until_answered = until, evaluations, until_answered
        if self._lib.twin_run(self._twin, work) == self._lib.TWIN_CLICK_TOO_LATE:
            raise TwinError("a click comes too late")
        self._clicks = self._clicks[work.clicks_taken :]
        self._requests = requests[work.requests_taken :]
        return self._buffer[: work.bytes_given].tobytes()

    def settle(self, limit: int = 10_000_000) -> bytes:
        """Run until all clicks and requests are in and nothing moves; `TwinError` after `limit` computed clocks."""
        pieces, end = [], self.evaluated + limit
        while self.waiting or self._requests or not self.idle:
            until = int(self._clicks["tick"][-1]) // self.samples + 1 if self.waiting else self.now + 100
            pieces.append(self.work(until, limit))
            if self.evaluated > end:
                raise TwinError(f"the twin does not come to rest: it is still busy after {limit} clocks of work")
        return b"".join(pieces)

    def stall(self, *stretches: tuple[int, int]) -> None:
        """Let the link take no byte in the clocks [begin, end) of each stretch. Replaces stalls set earlier."""
        begins: Sequence[tuple[int, int]] = sorted(stretches)
        self._lib.twin_set_stalls(self._twin, _ffi().new("twin_stall[]", list(begins)), len(begins))

    def pulses(self) -> NDArray[np.void]:
        """Return the outputs since the last call (dtype PULSE), if `Link.capture` is set.

        There is one for each clock in which a herald pin is high, or a trigger or an action changes. Between two of
        them an action is as in the last subtick of the first.
        """
        pieces = []
        while True:
            piece = np.empty(_PULSES, PULSE)
            pointer = _ffi().cast("twin_pulse *", piece.ctypes.data)
            count = self._lib.twin_take_pulses(self._twin, pointer, len(piece))
            pieces.append(piece[:count])
            if count < len(piece):
                return np.concatenate(pieces)


def open_twin(parameters: "Parameters", link: Link = Link(), progress: Progress = silent) -> Twin:
    """Return a twin of the board with these parameters, compiled now if it has to be."""
    return Twin(build(parameters, progress), parameters.channels, parameters.samples, link)
