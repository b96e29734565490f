"""Write the golden byte vectors, tests/vectors/wire.json. Run after a change of the contract; look at the diff."""

import json
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from qlink.firmware_bridge.encoding import (
    Click,
    Counter,
    Herald,
    Loss,
    Record,
    Reply,
    Time,
    encode_frame,
    encode_payload,
    encode_record,
    encode_request,
)
from qlink.firmware_bridge.registers import BY_NAME, MAGIC
from qlink.firmware_bridge.rice import CodedFrame, channel_bits_of, encode_clicks
from qlink.firmware_bridge.wire import (
    CONTRACT_VERSION,
    CRC_BYTES,
    HEADER,
    MAX_FRAME_WORDS,
    OFFSET_BITS,
    RICE_K_MAX,
    RICE_K_RESET,
    SYNC_BYTES,
    Coding,
    CounterGroup,
    HeraldFlag,
    Operation,
    Status,
    TimeSource,
    counter_index,
)

PATH = Path(__file__).parents[1] / "tests" / "vectors" / "wire.json"
PAGE = 1 << OFFSET_BITS
SCRATCH = BY_NAME["scratch"].address
NOWHERE = 0x3FF

HERALD = Herald(
    tick=5 * PAGE + 1234,
    sequence=42,
    pattern=3,
    outcome=2,
    ages={0: 0, 4: 17},
    attempt=0x1_0000_0001,
    position=900,
    flags=HeraldFlag.GATED | HeraldFlag.REFERENCE_MISSED,
)
COUNTER = Counter(tick=5 * PAGE + 2000, snapshot=7, index=counter_index(CounterGroup.HERALDS, 3), value=2**40 + 5)
LOSS = Loss(tick=5 * PAGE + 3000, begin=4 * PAGE + 9, count=123_456, source=counter_index(CounterGroup.CLICKS_LOST, 6))
TIME = Time(tick=5 * PAGE + 4000, source=TimeSource.PPS, number=11, edges=2**33 + 110_000_000)

# name, meaning, sequence, page, epoch, records
FRAMES: list[tuple[str, str, int, int, int, list[Record]]] = [
    ("click", "one click on channel 0 at tick 0, first frame ever", 0, 0, 0, [Click(0, 0)]),
    ("click_top_channel", "a click on channel 15", 1, 5, 0, [Click(5 * PAGE + 77, 15)]),
    ("herald", "one herald of pattern 3 by channels 0 and 4", 2, 5, 0, [HERALD]),
    ("counter", "one counter", 3, 5, 0, [COUNTER]),
    ("loss", "one loss bracket that began in the page before", 4, 5, 0, [LOSS]),
    ("reply", "one reply", 5, 5, 0, [Reply(5 * PAGE + 1, 9, Status.OK, BY_NAME["magic"].address, MAGIC)]),
    ("time", "the 12th second pulse, and how many 10 MHz edges came up to it", 5, 5, 0, [TIME]),
    (
        "mixed",
        "every kind in one frame, clicks between them",
        6,
        5,
        1,
        [
            Click(5 * PAGE + 1200, 4),
            Click(5 * PAGE + 1234, 0),
            HERALD,
            Click(5 * PAGE + 1300, 7),
            COUNTER,
            LOSS,
            TIME,
            Reply(5 * PAGE + 3001, 255, Status.DOES_NOT_FIT, SCRATCH, 0xFFFF_FFFF),
            Click(5 * PAGE + 4002, 1),
        ],
    ),
    ("page_last_tick", "the last tick of a page", 7, 8, 1, [Click(9 * PAGE - 1, 2)]),
    ("page_first_tick", "the first tick of the next page", 8, 9, 1, [Click(9 * PAGE, 2)]),
    ("last_page", "the last tick of all", 9, 2**37 - 1, 1, [Click(2**64 - 1, 3)]),
    (
        "longest_clicks",
        "as many clicks as a frame holds",
        10,
        9,
        1,
        [Click(9 * PAGE + 4 * n, n % 16) for n in range(MAX_FRAME_WORDS)],
    ),
    (
        "longest_mixed",
        "17 heralds and a click fill a frame to its last word",
        11,
        5,
        1,
        [*[Herald(5 * PAGE + n, n, n % 16, n % 4, {n % 16: 0}) for n in range(17)], Click(5 * PAGE + 17, 0)],
    ),
    ("sequence_last", "the last sequence number", 2**32 - 1, 9, 255, [Click(9 * PAGE + 5000, 0)]),
    ("sequence_wrapped", "the sequence number after the last", 0, 9, 255, [Click(9 * PAGE + 5001, 0)]),
    (
        "sync_inside",
        "a click whose word holds the sync mark, frame after frame",
        1,
        9,
        255,
        [Click(9 * PAGE + 0x4C51, 0)],
    ),
]


def _poisson(seed: int, number: int, mean: float) -> list[Click]:
    rng, tick, clicks = Random(seed), 3 * PAGE + 5, []
    for _ in range(number):
        tick += int(rng.expovariate(1 / mean))
        clicks.append(Click(tick, rng.randrange(8)))
    return clicks


# name, meaning, channels, k at the start, clicks; a frame ends where it is full or the page does
CODED: list[tuple[str, str, int, int, list[Click]]] = [
    ("coded_one", "one click", 8, RICE_K_RESET, [Click(7 * PAGE + 3, 5)]),
    ("coded_simultaneous", "a click on each channel at one tick", 8, 2, [Click(PAGE + 9, c) for c in range(8)]),
    ("coded_whole_page", "the longest time there is", 8, 0, [Click(PAGE, 7), Click(2 * PAGE - 1, 7)]),
    ("coded_k_falls", "k goes to 0 and stays", 8, 2, [Click(PAGE + n, n % 8) for n in range(200)]),
    ("coded_k_rises", "k goes up to its end", 16, 21, [Click((1 << 23) * n, n % 16) for n in range(16)]),
    ("coded_k_top", "k at its end", 16, RICE_K_MAX, [Click((1 << 26) * n, n % 16) for n in range(4)]),
    ("coded_one_channel", "a channel takes no bits", 1, 3, [Click(n * n, 0) for n in range(100)]),
    ("coded_page", "a frame ends with its page", 8, 4, [Click(PAGE - 40 + 9 * n, n % 8) for n in range(9)]),
    ("coded_last_page", "the last tick of all", 8, 4, [Click(2**64 - 9, 3), Click(2**64 - 1, 7)]),
    ("coded_poisson", "two frames and a bit, full of random clicks", 8, RICE_K_RESET, _poisson(1, 1600, 60.0)),
    (
        "coded_burst",
        "a quick burst in a slow stream",
        8,
        12,
        sorted(_poisson(2, 60, 9e5) + _poisson(3, 60, 2.0), key=lambda c: (c.tick, c.channel)),
    ),
]

# name, meaning, operation, id, address, value, and the reply's status and value
REQUESTS: list[tuple[str, str, int, int, int, int, Status, int]] = [
    ("read_magic", "read MAGIC", Operation.READ, 1, BY_NAME["magic"].address, 0, Status.OK, MAGIC),
    ("write_scratch", "write a register", Operation.WRITE, 2, SCRATCH, 0xDEADBEEF, Status.OK, 0xDEADBEEF),
    ("read_scratch", "and read it back", Operation.READ, 3, SCRATCH, 0, Status.OK, 0xDEADBEEF),
    ("write_read_only", "write a read-only one", Operation.WRITE, 4, 0, 5, Status.READ_ONLY, 5),
    ("read_nowhere", "no register there", Operation.READ, 5, NOWHERE, 0, Status.NO_SUCH_REGISTER, 0),
    ("bad_operation", "an operation that does not exist", 9, 6, SCRATCH, 1, Status.NO_SUCH_OPERATION, 1),
    (
        "write_too_wide",
        "a bit that the register has not",
        Operation.WRITE,
        255,
        BY_NAME["control"].address,
        4,
        Status.DOES_NOT_FIT,
        4,
    ),
]


def _kind(record: Record) -> dict[str, Any]:
    values = asdict(record)
    if "ages" in values:
        values["ages"] = {str(channel): age for channel, age in values["ages"].items()}
    return {"kind": type(record).__name__.lower(), **values}


def frames() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "meaning": meaning,
            "sequence": sequence,
            "page": page,
            "epoch": epoch,
            "records": [_kind(record) for record in records],
            "hex": encode_frame(sequence, page, epoch, records).hex(),
        }
        for name, meaning, sequence, page, epoch, records in FRAMES
    ]


def coded() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "meaning": meaning,
            "channels": channels,
            "k": k,
            "clicks": " ".join(f"{click.tick}:{click.channel}" for click in clicks),
            "hex": [frame.hex() for frame in encode_clicks(clicks, channels, k=k)],
        }
        for name, meaning, channels, k, clicks in CODED
    ]


def requests() -> list[dict[str, Any]]:
    """Each with its reply: what the record says, and the frame of a board that sends it at tick `id`, sequence `id`."""
    return [
        {
            "name": name,
            "meaning": meaning,
            "operation": int(operation),
            "id": identifier,
            "address": address,
            "value": value,
            "hex": encode_request(operation, identifier, address, value).hex(),
            "reply": {"status": int(status), "value": answer},
            "reply_hex": encode_frame(identifier, 0, 0, [Reply(identifier, identifier, status, address, answer)]).hex(),
        }
        for name, meaning, operation, identifier, address, value, status, answer in REQUESTS
    ]


def refused() -> list[dict[str, str]]:
    """Frames with a right CRC that a reader of this contract has to refuse, by the name of the refusal."""
    click = encode_record(Click(3, 3))
    unknown = (31 << OFFSET_BITS).to_bytes(4, "little")
    too_new = bytearray(encode_payload(0, 0, 0, click))
    too_new[HEADER.offsets["parameter"]] = 1
    too_new[-CRC_BYTES:] = crc32(too_new[SYNC_BYTES:-CRC_BYTES]).to_bytes(CRC_BYTES, "little")
    return [
        {"name": "frame_too_new", "hex": too_new.hex()},
        {"name": "unknown_kind", "hex": encode_payload(0, 0, 0, click + unknown + click).hex()},
        {"name": "unknown_coding", "hex": encode_payload(0, 0, 0, click, coding=200).hex()},
        {"name": "record_overrun", "hex": encode_payload(0, 0, 0, click + encode_record(HERALD)[:-4]).hex()},
        {"name": "bad_code", "hex": _past_the_page().hex()},
    ]


def _past_the_page() -> bytes:
    """A coded frame of two clicks, the second of which would be in the next page."""
    frame = CodedFrame(Click(3, 3), 0, channel_bits_of(8))
    frame.add(Click(PAGE - 1, 3))
    payload = bytearray(frame.payload())
    payload[0] += 1  # of the first click's offset
    return encode_payload(0, 0, 0, bytes(payload), Coding.RICE, frame.parameter)


def vectors() -> dict[str, Any]:
    return {
        "contract_version": CONTRACT_VERSION,
        "frames": frames(),
        "coded": coded(),
        "requests": requests(),
        "refused": refused(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1) + "\n")
    print(f"wrote {PATH}")
