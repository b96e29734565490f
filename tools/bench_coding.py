"""How many bits a coded click takes, beside the limit, and how fast C decodes it.

The encoder is rice.py, the model that the gateware equals byte for byte (tests/sim/test_twin_coding.py). Bits are of
whole frames: headers and CRCs are in them.
"""

import argparse
import json
import os
import statistics
import time
from math import e, log2
from pathlib import Path
from zlib import crc32

import numpy as np

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import Click
from qlink.firmware_bridge.link import READ_BYTES
from qlink.firmware_bridge.rice import encode_clicks
from qlink.firmware_bridge.wire import CRC_BYTES, SYNC_BYTES

DATA = Path(os.environ.get("QLINK_DATA", Path(__file__).parents[1] / "../shared/data"))
RATES = (1e5, 1e6, 1e7)  # clicks a second on 8 channels, at ticks of 1 ns
UNITS = 4  # of the recording's 260 ps in a tick of 1.04 ns
RUNS = 5

Figure = dict[str, str | float]


def poisson(rate: float, count: int) -> list[Click]:
    rng = np.random.default_rng(1)
    ticks = np.cumsum(rng.geometric(rate * 1e-9, count)).tolist()
    return [Click(*click) for click in zip(ticks, rng.integers(0, 8, count).tolist(), strict=True)]


def recording() -> list[Click] | None:
    path = DATA / "spdc/spdc_pairs.txt"
    if not path.exists():
        return None
    rows = np.loadtxt(path, dtype=np.int64)
    return [Click(int(time) // UNITS, int(channel)) for channel, time in rows]


def repeated(frames: list[bytes], times: int) -> bytes:
    """The frames again and again, with numbers that go on."""
    out = []
    for number, frame in enumerate(frames * times):
        covered = frame[:4] + number.to_bytes(4, "little") + frame[8:-CRC_BYTES]
        out.append(covered + crc32(covered[SYNC_BYTES:]).to_bytes(CRC_BYTES, "little"))
    return b"".join(out)


def decoded(data: bytes) -> float:
    """Mtags a second of this thread's CPU time."""
    decoder, view, count, begin = Decoder(), memoryview(data), 0, time.thread_time()
    for start in range(0, len(data), READ_BYTES):
        count += len(decoder.feed(view[start : start + READ_BYTES]).clicks)
    return count / (time.thread_time() - begin) / 1e6


def figure(name: str, value: float, unit: str, goal: str, note: str) -> Figure:
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "note": note}


def measure(count: int, runs: int) -> list[Figure]:
    figures = []
    for rate in RATES:
        limit = log2(e / (rate * 1e-9)) + 3
        frames = list(encode_clicks(poisson(rate, count), 8))
        bits = 8 * sum(map(len, frames)) / count
        note = f"limit {limit:.2f}; 1 ns, 8 channels; frames are full"
        figures.append(figure(f"coding, Poisson {rate:.0e} /s", bits, "bits/tag", f"<= {1.05 * limit:.2f}", note))
        if rate == 1e6:
            data = repeated(frames, 40)
            speed = statistics.median(decoded(data) for _ in range(runs))
            figures.append(figure("decoder, coded clicks", speed, "Mtags/s", "", "1e6 /s at 1 ns, one core"))
    clicks = recording()
    if clicks is not None:
        bits = 8 * sum(map(len, encode_clicks(clicks, 8))) / len(clicks)
        note = f"entangled photon pairs, {len(clicks):,} tags at 1.04 ns"
        figures.append(figure("coding, a lab's recording", bits, "bits/tag", "<= 15.5", note))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list of figures as the last line")
    parser.add_argument("--quick", action="store_true", help="less data, for a first look")
    options = parser.parse_args()
    figures = measure(20_000 if options.quick else 200_000, 1 if options.quick else RUNS)
    if options.json:
        print(json.dumps(figures))
        return
    for row in figures:
        print(f"{row['name']:28} {row['value']:8} {row['unit']:9} {row['goal']:10} {row['note']}")


if __name__ == "__main__":
    main()
