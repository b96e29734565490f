"""How fast the C decoder turns frames into arrays, beside the floor that numpy and the memory set in the same run."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np
from rich.console import Console
from rich.table import Table

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import Click, Herald, encode_stream, pack
from qlink.firmware_bridge.events import CLICK
from qlink.firmware_bridge.link import READ_BYTES
from qlink.firmware_bridge.telemetry import Ledger
from qlink.firmware_bridge.wire import FRAME_SYNC, HEADER, MAX_FRAME_WORDS, OFFSET_BITS, SYNC_BYTES

RUNS = 5
CHANNELS = 8
OFFSET_MASK = (1 << OFFSET_BITS) - 1


def click_frames(tags: int, rng: np.random.Generator) -> bytes:
    """Full frames of clicks on 8 channels, 10 ticks apart on average."""
    frames = tags // MAX_FRAME_WORDS
    ticks = np.cumsum(rng.integers(1, 20, frames * MAX_FRAME_WORDS, dtype=np.uint64))
    pages = ticks[::MAX_FRAME_WORDS] >> np.uint64(OFFSET_BITS)  # a frame across a page's end is wrong in its last ticks
    words = (rng.integers(0, CHANNELS, len(ticks), dtype=np.uint32) << OFFSET_BITS) | (ticks & np.uint64(OFFSET_MASK))
    payloads = words.astype("<u4").reshape(frames, MAX_FRAME_WORDS)
    return b"".join(framed(n, int(page), payload.tobytes()) for n, (page, payload) in enumerate(zip(pages, payloads)))  # noqa: B905


def framed(sequence: int, page: int, payload: bytes) -> bytes:
    header = {"sync": FRAME_SYNC, "words": MAX_FRAME_WORDS, "sequence": sequence, "page": page}
    covered = pack(HEADER, header) + payload
    return covered + crc32(covered[SYNC_BYTES:]).to_bytes(4, "little")


def herald_frames(tags: int) -> bytes:
    """A herald in every hundred clicks."""
    records = (Herald(n, n // 100, 0, 0, {0: 0, 4: 3}) if n % 100 == 0 else Click(n, n % CHANNELS) for n in range(tags))
    return b"".join(encode_stream(records))


def pieces(data: bytes, size: int) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + size] for start in range(0, len(data), size))


def decode(data: bytes, size: int = READ_BYTES) -> int:
    decoder = Decoder()
    return sum(len(batch.clicks) + len(batch.heralds) for batch in map(decoder.feed, pieces(data, size)))


def decode_and_account(data: bytes) -> int:
    """As `Board` does it: every click goes into the account of losses, too."""
    decoder, ledger, count = Decoder(), Ledger(), 0
    for piece in pieces(data, READ_BYTES):
        batch = decoder.feed(piece)
        ledger.take(batch, (), -1)
        count += len(batch.clicks)
    return count


def unpack_by_numpy(words: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> int:
    """The same words to the same arrays by numpy, without finding frames and without a CRC."""
    for piece in np.array_split(words, max(1, words.nbytes // READ_BYTES)):
        clicks = np.empty(len(piece), CLICK)
        clicks["tick"] = piece & np.uint32(OFFSET_MASK)
        clicks["channel"] = piece >> np.uint32(OFFSET_BITS)
    return len(words)


def copy(clicks: np.ndarray[tuple[int], np.dtype[np.void]]) -> int:
    """Only the writing of the result: 16 bytes a tag, from memory to memory."""
    clicks.view(np.uint8).copy()
    return len(clicks)


def rate(run: Callable[[], int], runs: int) -> float:
    """Median of Mtags a second of this thread's CPU time: other programs of the machine are not in it."""

    def once() -> float:
        begin = time.thread_time()
        tags = run()
        return tags / (time.thread_time() - begin) / 1e6

    return statistics.median(once() for _ in range(runs))


def measure(tags: int, runs: int) -> list[dict[str, str | float]]:
    clicks, heralds = click_frames(tags, np.random.default_rng(1)), herald_frames(min(tags, 400_000))
    frame = HEADER.bytes + 4 * MAX_FRAME_WORDS + 4
    bits = 8 * frame / MAX_FRAME_WORDS
    words = np.frombuffer(clicks, np.uint8).reshape(-1, frame)[:, HEADER.bytes : -4].copy().view("<u4").ravel()
    table = np.zeros(len(words), CLICK)
    note = f"{len(words):,} clicks, {bits:.1f} bits a tag on the wire, 128 in memory, one core"
    cases: list[tuple[str, Callable[[], int], str, str]] = [
        ("decoder, clicks", lambda: decode(clicks), ">= 100", note),
        ("decoder, clicks, 16 KiB a feed", lambda: decode(clicks, 1 << 14), "", "a call for every 4,000 tags"),
        ("decoder, clicks, with the account of losses", lambda: decode_and_account(clicks), "", "as Board.events"),
        ("decoder, 1 % heralds", lambda: decode(heralds), "", "full herald records, 60 bytes each"),
        ("numpy, masks of the same words", lambda: unpack_by_numpy(words), "", "floor: no frames, no CRC"),
        ("memory, copy of the result", lambda: copy(table), "", "floor: 16 bytes a tag"),
    ]
    return [
        {"name": name, "value": round(rate(run, runs), 1), "unit": "Mtags/s", "goal": goal, "note": said}
        for name, run, goal, said in cases
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list of figures as the last line")
    parser.add_argument("--quick", action="store_true", help="less data, for a first look")
    options = parser.parse_args()
    figures = measure(1 << 19 if options.quick else 1 << 23, 3 if options.quick else RUNS)
    if options.json:
        print(json.dumps(figures))
        return
    table = Table("what", "Mtags/s", "goal", "note", title="decoder, median of runs")
    for figure in figures:
        table.add_row(str(figure["name"]), f"{figure['value']:.1f}", str(figure["goal"]), str(figure["note"]))
    Console().print(table)


if __name__ == "__main__":
    main()
