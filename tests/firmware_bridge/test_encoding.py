"""The golden vectors are what the encoder writes today, and the encoder refuses what does not fit."""

import json
import runpy
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from qlink.firmware_bridge.encoding import (
    Click,
    Counter,
    Reply,
    Request,
    decode_requests,
    encode_frame,
    encode_payload,
    encode_request,
    encode_stream,
)
from qlink.firmware_bridge.wire import HEADER, MAX_FRAME_WORDS, OFFSET_BITS, REQUEST, Operation, Status

ROOT = Path(__file__).parents[2]
VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/wire.json").read_text())


def test_vectors_are_what_the_script_writes() -> None:
    assert runpy.run_path(str(ROOT / "tools/make_vectors.py"))["vectors"]() == VECTORS


@pytest.mark.parametrize("frame", VECTORS["frames"], ids=lambda frame: frame["name"])
def test_every_frame_ends_with_zlibs_crc(frame: dict[str, Any]) -> None:
    data = bytes.fromhex(frame["hex"])
    words = int.from_bytes(data[2:4], "little")
    assert len(data) == HEADER.bytes + 4 * words + 4
    assert crc32(data[2:-4]).to_bytes(4, "little") == data[-4:]


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: vector["name"])
def test_a_peer_reads_every_request(vector: dict[str, Any]) -> None:
    wanted = Request(vector["operation"], vector["id"], vector["address"], vector["value"])
    assert decode_requests(bytes.fromhex(vector["hex"])) == ([wanted], b"")


def test_a_peer_finds_its_way_behind_half_a_request() -> None:
    request = encode_request(Operation.READ, 1, 2)
    half, pad = request[:7], bytes(REQUEST.bytes)
    requests, rest = decode_requests(half + pad + request + half)
    assert requests == [Request(Operation.READ, 1, 2)]
    assert rest == half


def test_a_stream_splits_where_the_page_changes_and_where_a_frame_is_full() -> None:
    last = 1 << OFFSET_BITS
    clicks = [Click(last - MAX_FRAME_WORDS - 1 + n, 0) for n in range(MAX_FRAME_WORDS + 2)]
    lengths = [int.from_bytes(frame[2:4], "little") for frame in encode_stream(clicks)]
    assert lengths == [MAX_FRAME_WORDS, 1, 1]


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: encode_frame(0, 1, 0, [Click(0, 0)]), "tick 0 is not in page 1"),
        (lambda: encode_frame(0, 0, 0, [Click(0, 16)]), "channel 16 does not fit"),
        (lambda: encode_frame(0, 0, 0, [Counter(0, 0, 0, 2**64)]), r"counter\.value has 64 bits"),
        (lambda: encode_frame(0, 0, 0, [Reply(0, 256, Status.OK, 0, 0)]), r"reply\.id has 8 bits"),
        (lambda: encode_frame(2**32, 0, 0, [Click(0, 0)]), r"header\.sequence has 32 bits"),
        (lambda: encode_frame(0, 0, 0, []), "1 to 256 whole words"),
        (lambda: encode_payload(0, 0, 0, bytes(4 * MAX_FRAME_WORDS + 4)), "1 to 256 whole words"),
        (lambda: encode_payload(0, 0, 0, bytes(3)), "1 to 256 whole words"),
        (lambda: encode_request(1, 0, 2**16), r"request\.address has 16 bits"),
    ],
)
def test_refuses_what_does_not_fit(make: Any, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        make()
