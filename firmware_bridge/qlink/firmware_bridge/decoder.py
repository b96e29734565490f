"""Turn the board's bytes into arrays of events. The work is done in C, see csrc/decode.h."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._decode import ffi, lib
from .errors import BridgeError, DecodeError, FrameTooNew, RecordOverrun, UnknownCoding, UnknownKind
from .events import CLICK, COUNTER, EPOCH, GAP, HERALD, LOSS, REPLY, TIME, Batch
from .wire import CONTRACT_VERSION

Buffer = bytes | bytearray | memoryview

ERRORS: Mapping[int, type[DecodeError]] = {
    lib.QL_E_UNKNOWN_KIND: UnknownKind,
    lib.QL_E_UNKNOWN_CODING: UnknownCoding,
    lib.QL_E_TOO_NEW: FrameTooNew,
    lib.QL_E_RECORD_OVERRUN: RecordOverrun,
}

WORD_BYTES = 4
SCRATCH_EVENTS = 1024  # of each kind but clicks; any frame's fit, and full ones are drained
SCRATCH_DTYPES = {
    "heralds": HERALD,
    "counters": COUNTER,
    "losses": LOSS,
    "replies": REPLY,
    "gaps": GAP,
    "times": TIME,
    "epochs": EPOCH,
}


@dataclass(frozen=True, slots=True)
class Stats:
    """What a decoder has seen since it was made."""

    bytes: int
    frames: int  # intact ones, those with errors included, duplicates not
    frames_missing: int  # by their sequence numbers
    bytes_skipped: int  # bytes that belong to no intact frame
    duplicates: int  # frames that came twice in a row; the second is dropped
    restarts: int  # sequence numbers that went back: the board started anew
    epoch: int  # the highest of any frame, see events.CLICK
    errors: Mapping[type[DecodeError], int]  # frames that this contract cannot read, by reason

    def raise_for_errors(self) -> None:
        """Raise the `DecodeError` that came most often, if any: the board speaks another contract than we."""
        if self.errors:
            error, count = max(self.errors.items(), key=lambda item: item[1])
            raise error(
                f"{count} of {self.frames} frames cannot be read by wire contract {CONTRACT_VERSION} "
                f"({error.__name__}): flash the board with the gateware of this host's release"
            )


def concatenate(batches: Sequence[Batch]) -> Batch:
    """All events of one batch or more, in order. Arrays that need no copy are not copied."""

    def join(name: str) -> NDArray[np.void]:
        arrays: list[NDArray[np.void]] = [getattr(batch, name) for batch in batches]
        arrays = [array for array in arrays if len(array)] or arrays[:1]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    return batches[0] if len(batches) == 1 else Batch(**{name: join(name) for name in ("clicks", *SCRATCH_DTYPES)})


EMPTY = Batch(clicks=np.empty(0, CLICK), **{name: np.empty(0, dtype) for name, dtype in SCRATCH_DTYPES.items()})


class Decoder:
    """Decodes one stream, fed in pieces of any size. Holds back at most one incomplete frame. Not thread-safe.

    Clicks are written straight into the array that is returned; memory is 4 bytes a byte fed, and a fixed scratch.
    After corruption every later intact frame is found, and what is missing is reported in `Batch.gaps`.
    """

    def __init__(self, epoch: int = 0) -> None:
        """`epoch` is the one that was known last of this board; 0: none."""
        self._state = ffi.new("ql_decoder *")
        lib.ql_begin(self._state, epoch)
        self._events = ffi.new("ql_events *")
        self._taken = ffi.new("size_t *")
        self._scratch = {name: np.empty(SCRATCH_EVENTS, dtype) for name, dtype in SCRATCH_DTYPES.items()}
        self._views = {name: ffi.from_buffer(array) for name, array in self._scratch.items()}  # keep them alive
        for name, view in self._views.items():
            setattr(self._events, name, ffi.cast(ffi.typeof(getattr(self._events, name)), view))
            setattr(self._events, f"{name}_max", SCRATCH_EVENTS)

    def feed(self, data: Buffer) -> Batch:
        """Decode `data`, and what was held back before it."""
        return self._run((len(data) + self._state.carried) // WORD_BYTES, data)

    def resync(self) -> Batch:
        """Give up the frame that is held back: nothing more will come of it. Returns what was hidden in its bytes.

        For a stream's end, or a silence in the midst of a frame: a false sync mark would hold real frames back.
        """
        return self._run(self._state.carried // WORD_BYTES, None)

    @property
    def incomplete(self) -> bool:
        """Whether a part of a frame is held back."""
        return bool(self._state.carried)

    @property
    def stats(self) -> Stats:
        state = self._state
        counts = {error: int(state.errors[code]) for code, error in ERRORS.items() if state.errors[code]}
        names = ("bytes", "frames", "frames_missing", "bytes_skipped", "duplicates", "restarts")
        plain = {name: int(getattr(state, name)) for name in names}
        return Stats(**plain, epoch=int(state.newest), errors=counts)

    def _run(self, clicks_max: int, data: Buffer | None) -> Batch:
        clicks = np.empty(clicks_max, CLICK)
        self._events.clicks = ffi.from_buffer("ql_click[]", clicks)
        self._events.clicks_max, self._events.clicks_count = clicks_max, 0
        self._taken[0] = 0
        parts = []
        while True:
            full = self._step(data)
            parts.append(self._drain())
            if not full:
                break
        count = int(self._events.clicks_count)
        return _with_clicks(concatenate(parts), clicks, count)

    def _step(self, data: Buffer | None) -> bool:
        if data is None:
            result = lib.ql_resync(self._state, self._events)
        else:
            result = lib.ql_feed(self._state, ffi.from_buffer(data), len(data), self._taken, self._events)
        return bool(result == lib.QL_FULL)

    def _drain(self) -> Batch:
        out = self._events
        if not any(getattr(out, f"{name}_count") for name in self._scratch):
            return EMPTY
        arrays = {}
        for name, array in self._scratch.items():
            count = getattr(out, f"{name}_count")
            arrays[name] = array[:count].copy() if count else getattr(EMPTY, name)
            setattr(out, f"{name}_count", 0)
        return Batch(clicks=EMPTY.clicks, **arrays)


def _with_clicks(batch: Batch, clicks: NDArray[np.void], count: int) -> Batch:
    """Hand out the buffer itself when it is well filled; a small part of it is copied, to let the rest go."""
    filled = clicks[:count]
    return replace(batch, clicks=filled if 2 * count >= len(clicks) else filled.copy())


def count_clicks(clicks: NDArray[np.void], limit: int, before: NDArray[np.uint64], after: NDArray[np.uint64]) -> None:
    """Add to `before[channel]` the clicks up to tick `limit`, to `after[channel]` the others. Shape (MAX_CHANNELS,).

    Ticks are taken modulo 2**64: what is less than 2**63 ahead of the limit is after it.
    """
    if len(clicks):
        lib.ql_count_clicks(
            ffi.from_buffer("ql_click[]", clicks),
            len(clicks),
            limit,
            ffi.from_buffer("uint64_t[]", before),
            ffi.from_buffer("uint64_t[]", after),
        )


if lib.QL_CONTRACT_VERSION != CONTRACT_VERSION:
    raise BridgeError(
        f"the C decoder was built for wire contract {lib.QL_CONTRACT_VERSION}, wire.py says {CONTRACT_VERSION}: "
        "run pip install again"
    )
