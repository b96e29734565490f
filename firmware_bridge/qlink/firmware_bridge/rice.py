"""The coding RICE in plain Python: clicks in a few bits each, near the entropy of a Poisson stream. The authority.

A frame's first word is a click's head word. Each click after it is a symbol, lowest bit first:

    q ones, a zero | channel | lowest k bits of `ticks`           q = ticks >> k, less than RICE_QUOTIENTS
    RICE_QUOTIENTS ones | channel | OFFSET_BITS bits of `ticks`   otherwise

with `ticks` since the click before. k follows the stream: half of all quotients are 0 where it is right, so it moves
down by a step behind a quotient 0, and up behind others. Both ends move it alike, from what was coded. A frame begins
with the k that the one before ended with, and tells it: each frame is read by itself. Ones fill the last word.
"""

from collections.abc import Iterable, Iterator

from .encoding import Click, encode_payload, encode_record
from .wire import (
    MAX_FRAME_WORDS,
    OFFSET_BITS,
    RICE_CHANNEL_BITS_MAX,
    RICE_GAINS,
    RICE_K_BITS,
    RICE_K_MAX,
    RICE_K_RESET,
    RICE_QUOTIENTS,
    RICE_STEP_BITS,
    Coding,
)

WORD_BITS = 32
FRAME_BITS = WORD_BITS * (MAX_FRAME_WORDS - 1)  # behind the first word
OFFSET_MASK = (1 << OFFSET_BITS) - 1


class Rate:
    """What both ends know of the stream: k, with a fraction of RICE_STEP_BITS bits."""

    def __init__(self, k: int) -> None:
        self._steps = (2 * k + 1) << (RICE_STEP_BITS - 1)

    @property
    def k(self) -> int:
        return self._steps >> RICE_STEP_BITS

    def follow(self, width: int) -> None:
        """Learn that a symbol's quotient has `width` bits; from RICE_QUOTIENTS on they count as 5."""
        gain = RICE_GAINS[width]
        if (gain > 0 and self.k < RICE_K_MAX) or (gain < 0 and self._steps > 0):
            self._steps += gain


def width_of(ticks: int, k: int) -> int:
    """Bits of the quotient, as far as they matter."""
    return min((ticks >> k).bit_length(), len(RICE_GAINS) - 1)


def longest_symbol(channel_bits: int) -> int:
    """Bits of the longest symbol."""
    return RICE_QUOTIENTS + channel_bits + OFFSET_BITS


def charge(width: int, k: int, channel_bits: int) -> int:
    """Bits that a symbol is reckoned with: never less than it has, and known before the quotient is."""
    raw = width == len(RICE_GAINS) - 1
    return (RICE_QUOTIENTS + OFFSET_BITS if raw else 1 << width) + channel_bits + k


class CodedFrame:
    """The clicks of one frame, one after the other."""

    def __init__(self, first: Click, k: int, channel_bits: int) -> None:
        self._rate = Rate(k)
        self._channel_bits = channel_bits
        self._tick = first.tick
        self._bits = int.from_bytes(encode_record(first), "little")
        self._length = WORD_BITS
        self._room = FRAME_BITS
        self.page = first.tick >> OFFSET_BITS
        self.parameter = channel_bits << RICE_K_BITS | k

    @property
    def k(self) -> int:
        """What the next frame begins with."""
        return self._rate.k

    def takes(self, click: Click) -> bool:
        """Whether `click`, the next in the stream, has to be in this frame; else it begins another."""
        return click.tick >> OFFSET_BITS == self.page and self._room >= longest_symbol(self._channel_bits)

    def add(self, click: Click) -> None:
        """Append one click. Raises ValueError for one that is not behind the last, or of too high a channel."""
        ticks, k = click.tick - self._tick, self._rate.k
        if ticks < 0:
            raise ValueError(f"tick {click.tick} is before tick {self._tick}")
        if click.channel >> self._channel_bits:
            raise ValueError(f"channel {click.channel} does not fit in {self._channel_bits} bits")
        width = width_of(ticks, k)
        quotient = ticks >> k
        if quotient < RICE_QUOTIENTS:
            self._put((1 << quotient) - 1, quotient + 1)
            self._put(click.channel, self._channel_bits)
            self._put(ticks & (1 << k) - 1, k)
        else:
            self._put((1 << RICE_QUOTIENTS) - 1, RICE_QUOTIENTS)
            self._put(click.channel, self._channel_bits)
            self._put(ticks, OFFSET_BITS)
        self._room -= charge(width, k, self._channel_bits)
        self._rate.follow(width)
        self._tick = click.tick

    def payload(self) -> bytes:
        """Return the whole words so far; ones fill the last."""
        padding = -self._length % WORD_BITS
        filled = self._bits | ((1 << padding) - 1) << self._length
        return filled.to_bytes((self._length + padding) // 8, "little")

    def frame(self, sequence: int, epoch: int = 0) -> bytes:
        """Return the frame as it is sent."""
        return encode_payload(sequence, self.page, epoch, self.payload(), Coding.RICE, self.parameter)

    def _put(self, value: int, width: int) -> None:
        self._bits |= value << self._length
        self._length += width


def channel_bits_of(channels: int) -> int:
    """Bits of a channel on a board that has so many."""
    return (channels - 1).bit_length()


def encode_clicks(clicks: Iterable[Click], channels: int, sequence: int = 0, k: int = RICE_K_RESET) -> Iterator[bytes]:
    """Frames, each as full as it gets, of clicks in order of their ticks: what a board of `channels` would send."""
    frame: CodedFrame | None = None
    for click in clicks:
        if frame is not None and frame.takes(click):
            frame.add(click)
            continue
        if frame is not None:
            yield frame.frame(sequence)
            sequence, k = (sequence + 1) % 2**32, frame.k
        frame = CodedFrame(click, k, channel_bits_of(channels))
    if frame is not None:
        yield frame.frame(sequence)


def decode_clicks(page: int, parameter: int, payload: bytes) -> list[Click]:
    """The clicks of one frame. Raises ValueError for what no encoder writes."""
    k, channel_bits = parameter & (1 << RICE_K_BITS) - 1, parameter >> RICE_K_BITS
    if k > RICE_K_MAX or channel_bits > RICE_CHANNEL_BITS_MAX:
        raise ValueError(f"k {k} or {channel_bits} channel bits do not exist")
    rate, bits, left = Rate(k), int.from_bytes(payload, "little"), 8 * len(payload) - WORD_BITS
    offset, channel = bits & OFFSET_MASK, bits >> OFFSET_BITS & 31
    if channel >> RICE_CHANNEL_BITS_MAX:
        raise ValueError("the first word is no click")
    bits >>= WORD_BITS
    clicks = [Click(page << OFFSET_BITS | offset, channel)]
    while True:
        quotient = (~bits & bits + 1).bit_length() - 1  # ones at the lower end
        raw = quotient >= RICE_QUOTIENTS
        k, head = rate.k, RICE_QUOTIENTS if raw else quotient + 1
        low = OFFSET_BITS if raw else k
        length = head + channel_bits + low
        if length > left:
            break
        channel = bits >> head & (1 << channel_bits) - 1
        ticks = bits >> head + channel_bits & (1 << low) - 1 | (0 if raw else quotient << k)
        offset += ticks
        if offset > OFFSET_MASK:
            raise ValueError(f"offset {offset} is past the page")
        clicks.append(Click(page << OFFSET_BITS | offset, channel))
        rate.follow(len(RICE_GAINS) - 1 if raw else quotient.bit_length())
        bits >>= length
        left -= length
    if left >= WORD_BITS or bits != (1 << left) - 1:
        raise ValueError(f"the last {left} bits are no filling")
    return clicks
