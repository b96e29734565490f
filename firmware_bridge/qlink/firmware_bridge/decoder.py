"""Turn the board's bytes into arrays of events. The work is done in C, see csrc/decode.h."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._decode import ffi, lib
from .errors import BadCode, BridgeError, DecodeError, FrameTooNew, RecordOverrun, UnknownCoding, UnknownKind
from .events import CLICK, COUNTER, EPOCH, GAP, HERALD, LOSS, REPLY, TIME, Batch
from .wire import CONTRACT_VERSION, MAX_FRAME_WORDS

Buffer = bytes | bytearray | memoryview

ERRORS: Mapping[int, type[DecodeError]] = {
    lib.QL_E_UNKNOWN_KIND: UnknownKind,
    lib.QL_E_UNKNOWN_CODING: UnknownCoding,
    lib.QL_E_TOO_NEW: FrameTooNew,
    lib.QL_E_RECORD_OVERRUN: RecordOverrun,
    lib.QL_E_BAD_CODE: BadCode,
}

WORD_BYTES = 4
MOST_CLICKS = int(lib.QL_MAX_FRAME_CLICKS)
SMALL_CLICKS = 4 * MOST_CLICKS  # so many are written to the scratch and copied
ROOM = 1.1  # of the clicks that are expected
DECAY = 0.9  # of what is expected, from one piece to the next
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


def joined(arrays: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Put arrays of one dtype into one of its own. As bytes: numpy copies structs field by field, 25 times slower."""
    return np.concatenate([np.ascontiguousarray(array).view(np.uint8) for array in arrays]).view(arrays[0].dtype)


def concatenate(batches: Sequence[Batch]) -> Batch:
    """All events of one batch or more, in order. Arrays that need no copy are not copied."""

    def join(name: str) -> NDArray[np.void]:
        arrays: list[NDArray[np.void]] = [getattr(batch, name) for batch in batches]
        arrays = [array for array in arrays if len(array)] or arrays[:1]
        return arrays[0] if len(arrays) == 1 else joined(arrays)

    return batches[0] if len(batches) == 1 else Batch(**{name: join(name) for name in ("clicks", *SCRATCH_DTYPES)})


EMPTY = Batch(clicks=np.empty(0, CLICK), **{name: np.empty(0, dtype) for name, dtype in SCRATCH_DTYPES.items()})


class Decoder:
    """Decodes one stream, fed in pieces of any size. Holds back at most one incomplete frame. Not thread-safe.

    Clicks are written straight into the array that is returned, if there are many: memory is 16 bytes a click, and a
    fixed scratch.
    After corruption every later intact frame is found, and what is missing is reported in `Batch.gaps`.
    """

    def __init__(self, epoch: int = 0) -> None:
        """`epoch` is the one that was known last of this board; 0: none."""
        self._state = ffi.new("ql_decoder *")
        lib.ql_begin(self._state, epoch)
        self._events = ffi.new("ql_events *")
        self._taken = ffi.new("size_t *")
        self._scratch = {name: np.empty(SCRATCH_EVENTS, dtype) for name, dtype in SCRATCH_DTYPES.items()}
        self._small = np.empty(SMALL_CLICKS, CLICK)
        self._density = 1 / WORD_BYTES  # clicks a byte, the most of late
        self._views = {name: ffi.from_buffer(array) for name, array in self._scratch.items()}  # keep them alive
        for name, view in self._views.items():
            setattr(self._events, name, ffi.cast(ffi.typeof(getattr(self._events, name)), view))
            setattr(self._events, f"{name}_max", SCRATCH_EVENTS)

    def feed(self, data: Buffer) -> Batch:
        """Decode `data`, and what was held back before it."""
        return self._run(data)

    def resync(self) -> Batch:
        """Give up the frame that is held back: nothing more will come of it. Returns what was hidden in its bytes.

        For a stream's end, or a silence in the midst of a frame: a false sync mark would hold real frames back.
        """
        return self._run(None)

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

    def _run(self, data: Buffer | None) -> Batch:
        size = self._state.carried + (len(data) if data is not None else 0)
        self._taken[0] = 0
        parts = []
        full = True
        while full:
            left = size - int(self._taken[0])
            clicks = self._room(left)
            self._events.clicks = ffi.from_buffer("ql_click[]", clicks)
            self._events.clicks_max, self._events.clicks_count = len(clicks), 0
            full = self._step(data)
            self._learn(int(self._events.clicks_count), left - (size - int(self._taken[0]) if full else 0))
            parts.append(self._drain(clicks))
        return concatenate(parts)

    def _room(self, size: int) -> NDArray[np.void]:
        """Return room for the clicks that so many bytes probably hold. There is a next part where it is too little."""
        expected = int(ROOM * self._density * size)
        return self._small if expected <= SMALL_CLICKS else np.empty(expected + MOST_CLICKS, CLICK)

    def _learn(self, clicks: int, size: int) -> None:
        if size >= WORD_BYTES * MAX_FRAME_WORDS:
            self._density = max(clicks / size, DECAY * self._density)

    def _step(self, data: Buffer | None) -> bool:
        if data is None:
            result = lib.ql_resync(self._state, self._events)
        else:
            result = lib.ql_feed(self._state, ffi.from_buffer(data), len(data), self._taken, self._events)
        return bool(result == lib.QL_FULL)

    def _drain(self, clicks: NDArray[np.void]) -> Batch:
        out = self._events
        count = int(out.clicks_count)
        if count:  # a buffer that is well filled is handed out itself; of others a copy, to let the rest go
            own = clicks is not self._small and 2 * count >= len(clicks)
            clicks = clicks[:count] if own else joined([clicks[:count]])
        else:
            clicks = EMPTY.clicks
        if not any(getattr(out, f"{name}_count") for name in self._scratch):
            return replace(EMPTY, clicks=clicks)
        arrays = {}
        for name, array in self._scratch.items():
            count = getattr(out, f"{name}_count")
            arrays[name] = joined([array[:count]]) if count else getattr(EMPTY, name)
            setattr(out, f"{name}_count", 0)
        return Batch(clicks=clicks, **arrays)


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
