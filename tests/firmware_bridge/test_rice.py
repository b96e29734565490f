"""The coding of clicks: Python both ways, C against Python, the golden vectors, and how near to the limit it comes."""

import json
from math import e, log2
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qlink.firmware_bridge.decoder import MOST_CLICKS, Decoder
from qlink.firmware_bridge.encoding import Click, Herald, encode_frame, encode_payload
from qlink.firmware_bridge.errors import BadCode
from qlink.firmware_bridge.rice import CodedFrame, Rate, channel_bits_of, decode_clicks, encode_clicks
from qlink.firmware_bridge.wire import HEADER, MAX_FRAME_WORDS, OFFSET_BITS, RICE_K_MAX, Coding

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors/wire.json").read_text())
PAGE = 1 << OFFSET_BITS
POISSON_SHARE = 1.05  # of the limit

waits = st.one_of(
    st.integers(0, 3),
    st.integers(0, 40),
    st.integers(0, 10_000),
    st.integers(0, PAGE // 3),
    st.sampled_from([0, PAGE - 1, PAGE]),
)


@st.composite
def streams(draw: st.DrawFn, longest: int = 80) -> tuple[int, list[Click]]:
    """Channels of a board, and clicks in the order of ticks."""
    channels = draw(st.sampled_from([1, 2, 3, 8, 9, 16]))
    pace = draw(waits)
    tick, clicks = draw(st.sampled_from([0, PAGE - 7, 5 * PAGE + 1])), []
    for wait, channel in draw(st.lists(st.tuples(waits, st.integers(0, channels - 1)), min_size=1, max_size=longest)):
        tick += min(wait, pace) if draw(st.booleans()) else wait
        clicks.append(Click(tick, channel))
    return channels, clicks


def parts(frame: bytes) -> tuple[int, int, bytes]:
    """Page, parameter and payload."""
    at, parameter = HEADER.offsets["page"], HEADER.offsets["parameter"]
    return int.from_bytes(frame[at : at + 5], "little"), frame[parameter], frame[HEADER.bytes : -4]


def clicks_of(data: bytes) -> list[Click]:
    decoder = Decoder()
    batch = decoder.feed(data)
    assert not decoder.stats.errors
    assert not len(batch.gaps)
    return [Click(int(click["tick"]), int(click["channel"])) for click in batch.clicks]


@given(streams(), st.integers(0, RICE_K_MAX))
def test_what_is_encoded_is_decoded_by_python_and_c(stream: tuple[int, list[Click]], k: int) -> None:
    channels, clicks = stream
    frames = list(encode_clicks(clicks, channels, k=k))
    assert [click for frame in frames for click in decode_clicks(*parts(frame))] == clicks
    assert clicks_of(b"".join(frames)) == clicks


@given(streams(), st.integers(0, RICE_K_MAX))
def test_each_frame_is_read_by_itself(stream: tuple[int, list[Click]], k: int) -> None:
    channels, clicks = stream
    assert [click for frame in encode_clicks(clicks, channels, k=k) for click in clicks_of(frame)] == clicks


@pytest.mark.parametrize("vector", VECTORS["coded"], ids=lambda vector: vector["name"])
def test_reads_every_golden_frame(vector: dict[str, Any]) -> None:
    frames = [bytes.fromhex(text) for text in vector["hex"]]
    clicks = [Click(*map(int, text.split(":"))) for text in vector["clicks"].split()]
    assert clicks_of(b"".join(frames)) == clicks
    assert [click for frame in frames for click in decode_clicks(*parts(frame))] == clicks


bits = st.one_of(st.binary(min_size=4, max_size=80), st.builds(lambda n: bytes([255]) * n, st.integers(4, 80)))


@given(st.integers(0, 255), bits, st.integers(0, 7))
@example(0, bytes(4 * MAX_FRAME_WORDS), 0)
@example(RICE_K_MAX + 1, bytes(8), 0)
def test_c_and_python_refuse_the_same(parameter: int, payload: bytes, masked: int) -> None:
    """Whatever the bits: C reads what Python reads, or counts an error where Python raises."""
    payload = payload[: len(payload) // 4 * 4]
    payload = payload[:3] + bytes([payload[3] >> masked]) + payload[4:]
    frame = encode_payload(0, 5, 0, payload, Coding.RICE, parameter)
    decoder = Decoder()
    batch = decoder.feed(frame)
    try:
        clicks = decode_clicks(5, parameter, payload)
    except ValueError:
        assert decoder.stats.errors == {BadCode: 1}
    else:
        assert not decoder.stats.errors
        assert [Click(int(click["tick"]), int(click["channel"])) for click in batch.clicks] == clicks


@given(st.data())
def test_damage_costs_no_more_than_the_frames_that_are_hit(data: st.DataObject) -> None:
    clicks = [Click(n * 700, n % 8) for n in range(2500)]
    frames = list(encode_clicks(clicks, 8))
    hit = data.draw(st.integers(0, len(frames) - 1))
    place = data.draw(st.integers(0, len(frames[hit]) - 1))
    damaged = bytearray(frames[hit])
    damaged[place] ^= data.draw(st.integers(1, 255))
    decoder = Decoder()
    came = decoder.feed(b"".join([*frames[:hit], bytes(damaged), *frames[hit + 1 :]]))
    rest = decoder.resync()
    lost = len(clicks_of(frames[hit]))
    assert len(came.clicks) + len(rest.clicks) == len(clicks) - lost
    assert decoder.stats.frames == len(frames) - 1


def test_coded_and_plain_frames_follow_each_other() -> None:
    coded = list(encode_clicks([Click(100, 1), Click(130, 2)], 8, sequence=1))
    herald = encode_frame(0, 0, 0, [Herald(120, 0, 0, 0, {1: 0})])
    plain = encode_frame(2, 0, 0, [Click(150, 3)])
    batch = Decoder().feed(herald + coded[0] + plain)
    assert (batch.clicks["tick"].tolist(), len(batch.heralds), len(batch.gaps)) == ([100, 130, 150], 1, 0)


def test_a_gap_behind_a_coded_frame_names_its_last_tick() -> None:
    (coded,) = encode_clicks([Click(100, 1), Click(130, 2)], 8)
    batch = Decoder().feed(coded + b"noise" + encode_frame(1, 0, 0, [Click(150, 3)]))
    assert batch.gaps["after_tick"].tolist() == [130]


def test_the_fullest_frames_there_are_find_room() -> None:
    clicks = [Click(5, 0)] * (3 * MOST_CLICKS)
    frames = list(encode_clicks(clicks, 1, k=0))
    assert max(len(clicks_of(frame)) for frame in frames) > 0.97 * MOST_CLICKS
    assert clicks_of(b"".join(frames)) == clicks


def test_k_stays_within_its_limits() -> None:
    low, high = Rate(0), Rate(RICE_K_MAX)
    for _ in range(100):
        low.follow(0)
        high.follow(4)
    assert (low.k, high.k) == (0, RICE_K_MAX)


@pytest.mark.parametrize(
    ("click", "names"), [(Click(4, 0), "tick 4 is before tick 5"), (Click(5, 8), "channel 8 does not fit in 3 bits")]
)
def test_refuses_what_does_not_fit(click: Click, names: str) -> None:
    frame = CodedFrame(Click(5, 0), 3, channel_bits_of(8))
    with pytest.raises(ValueError, match=names):
        frame.add(click)


@pytest.mark.parametrize("mean", [1e4, 1e3, 1e2], ids=["1e5/s", "1e6/s", "1e7/s"])
def test_a_poisson_stream_at_1_ns_comes_near_its_limit(mean: float) -> None:
    rng, tick, clicks = Random(1), 0, []
    for _ in range(20_000):
        tick += 1 + int(rng.expovariate(1 / mean))
        clicks.append(Click(tick, rng.randrange(8)))
    coded = sum(map(len, encode_clicks(clicks, 8)))
    assert 8 * coded / len(clicks) < POISSON_SHARE * (log2(e * mean) + 3)
