"""The board in software: the gateware's own RTL, compiled, with clicks and bytes in and bytes out.

Time is counted in system clocks since reset, and only passes inside `run`, `work` and `settle`. One call works on as
many clocks as are asked for; clocks in which nothing can happen are skipped, which the byte stream does not show.
"""

from collections.abc import Callable, Sequence
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
def ffi() -> FFI:
    """The harness's C interface."""
    interface = FFI()
    interface.cdef(files("qlink.sim").joinpath("harness.h").read_text())
    return interface


@cache
def _open(library: Path) -> Any:
    return ffi().dlopen(str(library))


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
        self._runner: Callable[[Twin, Any], int] | None = None
        self._options = ffi().new("twin_options *", (link.skipping, link.capture, link.clocks_per_byte))
        self._buffer = np.empty(_BUFFER_BYTES, np.uint8)
        self.reset()

    def reset(self) -> None:
        """Let the board start anew, as after power-on or when its clock locks again: what is under way is gone."""
        self._twin = ffi().gc(self._lib.twin_new(self._options), self._lib.twin_delete)
        self._state = self._lib.twin_look(self._twin)
        self._clicks = no_clicks()
        self._requests = b""
        self._early = b""  # came up while another one was at work

    @property
    def library(self) -> Any:
        """The compiled gateware, shared by all twins of its kind."""
        return self._lib

    @property
    def handle(self) -> Any:
        """The library's own twin; another one after `reset`."""
        return self._twin

    def join(self, runner: Callable[["Twin", Any], int]) -> None:
        """Let `runner` do the library's work from now on. `TwinError` if there is one already."""
        if self._runner is not None:
            raise TwinError("a twin has lines to one other only")
        self._runner = runner

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
        return bool(self._state.idle) and not self._early

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
        if self._early:
            data, self._early = self._early[:size], self._early[size:]
            return data
        work = ffi().new("twin_work *")
        held = self.arrange(work)
        work.byte_capacity = min(size, _BUFFER_BYTES)
        work.until, work.evaluations, work.until_answered = until, evaluations, until_answered
        end = self._lib.twin_run(self._twin, work) if self._runner is None else self._runner(self, work)
        self.conclude(work)
        del held
        if end == self._lib.TWIN_CLICK_TOO_LATE:
            raise TwinError("a click comes too late")
        data, self._early = self._early, b""
        return data

    def arrange(self, work: Any) -> Any:
        """Put all that waits into `work`; what is returned has to live as long as that."""
        held = ffi().from_buffer(self._requests)
        work.clicks, work.click_count = ffi().cast("twin_click *", self._clicks.ctypes.data), len(self._clicks)
        work.requests, work.request_count = ffi().cast("uint8_t *", held), len(self._requests)
        work.bytes, work.byte_capacity = ffi().cast("uint8_t *", self._buffer.ctypes.data), len(self._buffer)
        return held

    def conclude(self, work: Any) -> None:
        """Take note of what was done of `work`."""
        self._clicks = self._clicks[work.clicks_taken :]
        self._requests = self._requests[work.requests_taken :]
        self._early += self._buffer[: work.bytes_given].tobytes()

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
        self._lib.twin_set_stalls(self._twin, ffi().new("twin_stall[]", list(begins)), len(begins))

    def pulses(self) -> NDArray[np.void]:
        """Return the outputs since the last call (dtype PULSE), if `Link.capture` is set.

        There is one for each clock in which a herald pin is high, or a trigger or an action changes. Between two of
        them an action is as in the last subtick of the first.
        """
        pieces = []
        while True:
            piece = np.empty(_PULSES, PULSE)
            pointer = ffi().cast("twin_pulse *", piece.ctypes.data)
            count = self._lib.twin_take_pulses(self._twin, pointer, len(piece))
            pieces.append(piece[:count])
            if count < len(piece):
                return np.concatenate(pieces)


def open_twin(parameters: "Parameters", link: Link = Link(), progress: Progress = silent) -> Twin:
    """Return a twin of the board with these parameters, compiled now if it has to be."""
    return Twin(build(parameters, progress), parameters.channels, parameters.samples, link)
