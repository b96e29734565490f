"""The C decoder against the golden vectors, against a plain model, and against every kind of damage."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.firmware_bridge import decoder as decoder_module
from qlink.firmware_bridge import errors
from qlink.firmware_bridge._decode import ffi, lib
from qlink.firmware_bridge.decoder import Decoder, concatenate, count_clicks
from qlink.firmware_bridge.encoding import (
    Click,
    Counter,
    Herald,
    Loss,
    Record,
    Reply,
    Time,
    encode_frame,
    encode_stream,
)
from qlink.firmware_bridge.events import CLICK, COUNTER, EPOCH, GAP, HERALD, LOSS, REPLY, TIME, Batch
from qlink.firmware_bridge.wire import (
    MAX_CHANNELS,
    MAX_FRAME_WORDS,
    OFFSET_BITS,
    UNNAMED,
    Status,
    TimeSource,
    next_epoch,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors/wire.json").read_text())
PAGE = 1 << OFFSET_BITS


def decode(data: bytes, chunks: Iterable[int] = ()) -> tuple[Batch, Decoder]:
    """Feed `data` in pieces of the sizes given and the rest at once, then say that it has ended."""
    decoder, batches = Decoder(), []
    for size in chunks:
        batches.append(decoder.feed(data[:size]))
        data = data[size:]
    batches += [decoder.feed(data), decoder.resync()]
    return concatenate(batches), decoder


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Batch.__slots__)


# -- the golden vectors


def vector_record(row: dict[str, Any]) -> Record:
    kinds = {"click": Click, "herald": Herald, "counter": Counter, "loss": Loss, "reply": Reply, "time": Time}
    values = {key: value for key, value in row.items() if key != "kind"}
    if "ages" in values:
        values["ages"] = {int(channel): age for channel, age in values["ages"].items()}
    record: Record = kinds[row["kind"]](**values)
    return record


def records_of(batch: Batch) -> list[Record]:
    """What a batch says, kind by kind."""
    heralds = [
        Herald(
            tick=int(h["tick"]),
            sequence=int(h["sequence"]),
            pattern=int(h["pattern"]),
            outcome=int(h["outcome"]),
            ages={c: int(h["ages"][c]) for c in range(MAX_CHANNELS) if h["channels"] >> c & 1},
            attempt=int(h["attempt"]),
            position=int(h["position"]),
            flags=int(h["flags"]),
        )
        for h in batch.heralds
    ]
    return [
        *(Click(int(c["tick"]), int(c["channel"])) for c in batch.clicks),
        *heralds,
        *(Counter(*(int(c[n]) for n in ("tick", "snapshot", "index", "value"))) for c in batch.counters),
        *(Loss(*(int(r[n]) for n in ("end", "begin", "count", "source"))) for r in batch.losses),
        *(
            Reply(int(r["tick"]), int(r["id"]), Status(r["status"]), int(r["address"]), int(r["value"]))
            for r in batch.replies
        ),
        *(Time(int(t["tick"]), TimeSource(t["source"]), int(t["number"]), int(t["edges"])) for t in batch.times),
    ]


def by_kind(records: list[Record]) -> list[Record]:
    kinds = [Click, Herald, Counter, Loss, Reply, Time]
    return sorted(records, key=lambda record: kinds.index(type(record)))


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_reads_every_golden_frame(vector: dict[str, Any]) -> None:
    batch, decoder = decode(bytes.fromhex(vector["hex"]))
    assert records_of(batch) == by_kind([vector_record(row) for row in vector["records"]])
    assert (batch.heralds["epoch"] == vector["epoch"]).all()
    assert decoder.stats.epoch == vector["epoch"]
    assert (len(batch.gaps), decoder.stats.frames) == (0, 1)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["name"])
def test_counts_and_names_what_it_cannot_read(vector: dict[str, str]) -> None:
    intact = bytes.fromhex(VECTORS["frames"][1]["hex"])
    batch, decoder = decode(bytes.fromhex(vector["hex"]) + intact)
    name = "".join(map(str.capitalize, vector["name"].split("_")))
    error = getattr(errors, name)
    assert decoder.stats.errors == {error: 1}
    assert batch.clicks[-1]["channel"] == 15
    with pytest.raises(error, match=f"1 of 2 frames .*{name}.*: flash the board"):
        decoder.stats.raise_for_errors()


def test_every_c_error_has_an_exception() -> None:
    codes = {getattr(lib, name) for name in dir(lib) if name.startswith("QL_E_")}
    assert decoder_module.ERRORS.keys() == codes
    assert max(codes) < lib.QL_ERROR_SLOTS
    assert {error.__name__ for error in decoder_module.ERRORS.values()} == {
        "".join(map(str.capitalize, vector["name"].split("_"))) for vector in VECTORS["refused"]
    }


@pytest.mark.parametrize(
    ("struct", "dtype"),
    [
        ("ql_click", CLICK),
        ("ql_herald", HERALD),
        ("ql_counter", COUNTER),
        ("ql_loss", LOSS),
        ("ql_reply", REPLY),
        ("ql_gap", GAP),
        ("ql_time", TIME),
        ("ql_epoch", EPOCH),
    ],
)
def test_numpy_and_c_lay_events_out_alike(struct: str, dtype: np.dtype[np.void]) -> None:
    c_names = {"bytes": "bytes"} | {name: name for name in dtype.names or ()}
    offsets = {name: dtype.fields[name][1] for name in dtype.names or () if name != "pad"}  # type: ignore[index]
    assert offsets == {name: ffi.offsetof(struct, c_names[name]) for name in offsets}
    assert ffi.sizeof(struct) == dtype.itemsize


@given(st.binary(max_size=100))
def test_crc_is_zlibs(data: bytes) -> None:
    assert lib.ql_crc32(data, len(data)) == crc32(data)


# -- a plain model of the decoder


@dataclass
class Model:
    """Which frames are found in a stream that has ended, and what is missing between them."""

    frames: list[bytes] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)  # frames, bytes

    def read(self, data: bytes) -> "Model":
        at = skipped = 0
        while at < len(data):
            size = self._intact(data[at : at + 20 + 4 * MAX_FRAME_WORDS])
            skipped = self._take(data[at : at + size], skipped) if size else skipped + 1
            at += size or 1
        return self

    def _intact(self, data: bytes) -> int:
        words = int.from_bytes(data[2:4], "little")
        size = 20 + 4 * words
        fits = data[:2] == b"QL" and 1 <= words <= MAX_FRAME_WORDS and size <= len(data)
        return size if fits and crc32(data[2 : size - 4]).to_bytes(4, "little") == data[size - 4 : size] else 0

    def _take(self, frame: bytes, skipped: int) -> int:
        """How many of the skipped bytes are still to be told of: a frame that came twice tells of none."""
        sequence = [int.from_bytes(f[4:8], "little") for f in (*self.frames[-1:], frame)]
        if self.frames and self.frames[-1] == frame:
            return skipped
        missing = (sequence[-1] - sequence[0] - 1) % 2**32 if self.frames else 0
        restarted = missing >= 2**31
        if missing or skipped:
            self.gaps.append((0 if restarted else missing, skipped))
        self.frames.append(frame)
        return 0


def gaps_of(batch: Batch) -> list[tuple[int, int]]:
    return [(int(gap["frames"]), int(gap["bytes"])) for gap in batch.gaps]


# -- damage

ticks = st.integers(0, 4 * PAGE - 1)
wide = st.integers(0, 2**64 - 1)
records = st.one_of(
    st.builds(Click, ticks, st.integers(0, 15)),
    st.builds(
        Herald,
        tick=ticks,
        sequence=st.integers(0, 2**32 - 1),
        pattern=st.integers(0, 15),
        outcome=st.integers(0, 3),
        ages=st.dictionaries(st.integers(0, 15), st.integers(0, 2**16 - 1)),
        attempt=wide,
    ),
    st.builds(Counter, ticks, st.integers(0, 2**16 - 1), st.integers(0, 255), wide),
    st.builds(Loss, ticks, wide, st.integers(0, 2**48 - 1), st.integers(0, 255)),
    st.builds(
        Reply, ticks, st.integers(0, 255), st.sampled_from(Status), st.integers(0, 2**16 - 1), st.integers(0, 99)
    ),
)


@st.composite
def frames(draw: st.DrawFn) -> list[bytes]:
    """Frames in sequence, across the wrap of their numbers now and then."""
    first = draw(st.sampled_from([0, 7, 2**32 - 3]))
    return list(encode_stream(draw(st.lists(records, min_size=1, max_size=25)), sequence=first))


noise = st.one_of(
    st.binary(max_size=40),
    st.builds(  # a sync mark with a length that may be true
        lambda words, rest: b"QL" + words.to_bytes(2, "little") + rest, st.integers(0, 300), st.binary(max_size=30)
    ),
    st.sampled_from([b"Q", b"QQL", b"QL", b"L"]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A stream with flips, drops, insertions, repetitions, cut somewhere."""
    data = bytearray(b"".join(draw(frames())))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 60)))
        match draw(st.sampled_from(["flip", "drop", "insert", "repeat", "cut"])):
            case "flip":
                for at in range(start, min(stop, start + 3)):
                    data[at] ^= draw(st.integers(1, 255))
            case "drop":
                del data[start:stop]
            case "insert":
                data[start:start] = draw(noise)
            case "repeat":
                data[start:start] = data[start:stop]
            case "cut":
                del data[max(start, 24) :]
    return bytes(data)


@given(damaged())
def test_finds_what_the_model_finds_in_a_damaged_stream(data: bytes) -> None:
    model = Model().read(data)
    batch, decoder = decode(data)
    wanted, _ = decode(b"".join(model.frames))
    assert all(np.array_equal(getattr(batch, n), getattr(wanted, n)) for n in Batch.__slots__ if n != "gaps")
    assert gaps_of(batch) == model.gaps
    assert decoder.stats.frames == len(model.frames)


@given(damaged(), st.lists(st.integers(0, 50), max_size=40))
def test_chunks_make_no_difference(data: bytes, chunks: list[int]) -> None:
    (whole, first), (pieces, second) = decode(data), decode(data, chunks)
    assert same(whole, pieces)
    assert first.stats == second.stats


@given(damaged())
def test_byte_by_byte_makes_no_difference(data: bytes) -> None:
    assert same(decode(data)[0], decode(data, [1] * len(data))[0])


@given(frames(), st.lists(noise, min_size=30, max_size=30))
def test_finds_every_intact_frame_in_any_noise(sent: list[bytes], between: list[bytes]) -> None:
    data = b"".join(frame + garbage for frame, garbage in zip(sent, between, strict=False))
    batch, decoder = decode(between[-1] + data)
    assert decoder.stats.frames == len(sent)
    assert decoder.stats.frames_missing == 0
    assert len(records_of(batch)) == len(records_of(decode(b"".join(sent))[0]))


@given(frames(), st.data())
def test_counts_exactly_the_frames_that_are_missing(sent: list[bytes], data: st.DataObject) -> None:
    kept = [frame for frame in sent[1:-1] if data.draw(st.booleans())]
    stream = [sent[0], *kept, *sent[1:][-1:]]
    batch, decoder = decode(b"".join(stream))
    assert decoder.stats.frames_missing == len(sent) - len(stream) == int(batch.gaps["frames"].sum())
    assert decoder.stats.bytes_skipped == 0


# -- what a gap says, limits


def test_a_gap_names_the_ticks_around_it() -> None:
    before = encode_frame(3, 1, 0, [Click(PAGE + 5, 0), Click(PAGE + 9, 1)])
    after = encode_frame(6, 4, 0, [Click(4 * PAGE + 7, 0)])
    batch, _ = decode(before + b"noise" + after)
    assert batch.gaps.tolist() == [(2, 5, PAGE + 9, 4 * PAGE)]


def test_a_board_that_starts_anew_misses_no_frames() -> None:
    batch, decoder = decode(encode_frame(9, 0, 0, [Click(1, 0)]) + encode_frame(0, 0, 1, [Click(2, 0)]))
    assert gaps_of(batch) == [(0, 0)]
    assert (decoder.stats.restarts, decoder.stats.frames_missing, decoder.stats.epoch) == (1, 0, 1)


# -- epochs


def epochs_of(frames: list[tuple[int, int, int]], known: int = 0) -> tuple[list[tuple[int, int]], list[int]]:
    """The (epoch, tick) of the click in each frame (sequence, epoch's name, tick), and the epochs announced."""
    decoder = Decoder(known)
    data = b"".join(encode_frame(n, tick >> OFFSET_BITS, name, [Click(tick, 0)]) for n, name, tick in frames)
    batch = decoder.feed(data)
    assert decoder.stats.epoch == max([known, *batch.clicks["epoch"].tolist()])
    return batch.clicks[["epoch", "tick"]].tolist(), batch.epochs["epoch"].tolist()


TOP = 2**64 - 1


@pytest.mark.parametrize(
    ("frames", "epochs", "announced"),
    [
        ([(0, 0, 9), (1, 1, 20)], [0, 1], []),  # a board that is named
        ([(7, 4, 9), (8, 4, 20)], [4, 4], []),
        ([(7, 4, 9), (0, 0, 3), (1, 5, 6)], [4, 5, 5], [5]),  # reset, and named by its host
        ([(7, 255, 9), (0, 0, 3), (1, 1, 6)], [255, 256, 257], [256]),
        ([(0, 4, 900), (1, 0, 3)], [4, 5], [5]),  # so early that the frames' numbers do not tell
        ([(7, 0, 9), (0, 0, 3), (0, 0, 1)], [0, 1, 2], [1, 2]),  # again and again, before anyone names it
        ([(7, 4, 9), (0, 9, 3)], [4, 9], [9]),  # named by another host
        ([(7, 4, 9), (0, 4, 3)], [4, 260], [260]),
        ([(7, 4, TOP), (8, 5, 0), (9, 4, TOP - 5), (10, 5, 1)], [4, 5, 4, 5], [5]),  # the ticks wrapped
        ([(7, 255, TOP), (8, 1, 0), (9, 255, TOP - 5), (10, 1, 1)], [255, 257, 255, 257], [257]),
    ],
)
def test_an_epoch_is_later_when_the_timebase_began_anew(
    frames: list[tuple[int, int, int]], epochs: list[int], announced: list[int]
) -> None:
    seen, events = epochs_of(frames)
    assert seen == [(epoch, tick) for epoch, (_, _, tick) in zip(epochs, frames, strict=True)]
    assert events == announced


@pytest.mark.parametrize(("name", "epoch"), [(44, 300), (0, 301), (45, 301), (43, 299), (50, 306)])
def test_a_decoder_goes_on_from_the_epoch_that_was_known(name: int, epoch: int) -> None:
    seen, _ = epochs_of([(3, name, 5)], known=300)
    assert seen == [(epoch, 5)]


def test_an_epoch_event_names_the_ticks_around_it() -> None:
    before = encode_frame(7, 1, 4, [Click(PAGE + 9, 0)])
    batch, _ = decode(before + encode_frame(0, 2, 0, [Click(2 * PAGE + 7, 0)]))
    assert batch.epochs.tolist() == [(5, 4, PAGE + 9, 2 * PAGE)]


@given(st.lists(st.tuples(st.sampled_from(["click", "name", "reset", "wrap"]), st.integers(1, 2**62)), max_size=30))
def test_epoch_and_tick_never_go_back(story: list[tuple[str, int]]) -> None:
    """A board that is reset at any moment, whose ticks wrap, and that its host names whenever it likes."""
    decoder, sequence, epoch, tick, last = Decoder(), 0, 0, 0, (0, 0)
    for what, step in story:
        if what == "reset":
            sequence, epoch, tick = 0, 0, 0
        elif what == "name" and epoch == UNNAMED:
            known = decoder.stats.epoch
            epoch = (known if known % 256 else next_epoch(known)) % 256
        elif what == "wrap" and epoch != UNNAMED:
            epoch, tick = next_epoch(epoch) % 256, 0
        tick = min(tick + step, TOP)
        batch = decoder.feed(encode_frame(sequence, tick >> OFFSET_BITS, epoch, [Click(tick, 0)]))
        sequence += 1
        if decoder.stats.duplicates:
            return  # a board that after its reset sends what it sent last before
        now = (int(batch.clicks["epoch"][0]), int(batch.clicks["tick"][0]))
        assert now >= last
        last = now


def test_herald_numbers_are_unwrapped_until_the_board_starts_anew() -> None:
    numbers = [2**32 - 2, 2**32 - 1, 0, 5]
    before = list(encode_stream((Herald(n, s, 0, 0, {}) for n, s in enumerate(numbers)), sequence=8))
    anew = list(encode_stream([Herald(1, 3, 0, 0, {})], sequence=0))
    batch, _ = decode(b"".join(before + anew))
    assert batch.heralds["sequence"].tolist() == [2**32 - 2, 2**32 - 1, 2**32, 2**32 + 5, 3]


def test_a_frame_that_comes_twice_counts_once() -> None:
    frame = encode_frame(9, 0, 0, [Click(1, 0)])
    batch, decoder = decode(frame + frame)
    assert (len(batch.clicks), len(batch.gaps), decoder.stats.duplicates) == (1, 0, 1)


def test_a_false_sync_mark_holds_a_frame_back_until_resync() -> None:
    decoder = Decoder()
    assert len(decoder.feed(b"QL\xff\x00" + encode_frame(0, 0, 0, [Click(1, 0)])).clicks) == 0
    assert decoder.incomplete
    assert len(decoder.resync().clicks) == 1
    assert not decoder.incomplete


def test_more_events_than_the_scratch_holds_come_out_in_order() -> None:
    count = 3 * decoder_module.SCRATCH_EVENTS + 17
    batch, _ = decode(b"".join(encode_stream(Reply(n, n % 256, Status.OK, 0, n) for n in range(count))))
    assert batch.replies["value"].tolist() == list(range(count))


def test_an_endless_false_frame_is_not_held_back_for_ever() -> None:
    decoder = Decoder()
    for _ in range(5000):
        decoder.feed(b"QL\x00\x01" * 7)
    assert decoder._state.carried <= 20 + 4 * MAX_FRAME_WORDS


def test_arrays_are_the_callers_own() -> None:
    decoder = Decoder()
    first = decoder.feed(encode_frame(0, 0, 0, [Click(1, 0), Counter(1, 1, 1, 1)]))
    decoder.feed(encode_frame(1, 0, 0, [Click(2, 0), Counter(2, 2, 2, 2)]))
    assert (first.clicks["tick"].tolist(), first.counters["tick"].tolist()) == ([1], [1])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_buffer(kind: Any) -> None:
    assert len(Decoder().feed(kind(encode_frame(0, 0, 0, [Click(1, 0)]))).clicks) == 1


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 15)), max_size=50), st.integers(0, 100))
def test_clicks_are_counted_by_channel_and_tick(clicks: list[tuple[int, int]], limit: int) -> None:
    array = np.zeros(len(clicks), CLICK)
    array["tick"], array["channel"] = [t for t, _ in clicks], [c for _, c in clicks]
    before, after = np.zeros((2, MAX_CHANNELS), np.uint64)
    count_clicks(array, limit, before, after)
    early = array["tick"] <= limit
    assert before.tolist() == np.bincount(array["channel"][early], minlength=MAX_CHANNELS).tolist()
    assert after.tolist() == np.bincount(array["channel"][~early], minlength=MAX_CHANNELS).tolist()
