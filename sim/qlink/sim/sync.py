"""What two boards tell each other over their lines, in plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from qlink.firmware_bridge.registers import SYNC_BIT_CLOCKS, SYNC_CRC_BITS, SYNC_FRAME_BITS, SYNC_NUMBER_BITS

POLYNOMIAL = 0x07
NUMBERS = 1 << SYNC_NUMBER_BITS


@dataclass(slots=True)
class Received:
    """Messages by (clock of the start bit, number, how many before it are missing), and what was none."""

    valid: list[tuple[int, int, int]] = field(default_factory=list)
    doubled: int = 0
    corrupt: int = 0


def frame(number: int, order: int) -> list[int]:
    """The bits of a message: a one, then number, order and CRC, the lowest bits first."""
    body = _bits(number, SYNC_NUMBER_BITS) + _bits(order, SYNC_NUMBER_BITS)
    return [1, *body, *_bits(crc(body), SYNC_CRC_BITS)]


def crc(bits: Sequence[int]) -> int:
    """CRC-8 of bits, in the order in which they are sent."""
    state = 0
    for bit in bits:
        feedback = (state >> SYNC_CRC_BITS - 1) ^ bit
        state = (state << 1) % NUMBERS ^ (POLYNOMIAL if feedback else 0)
    return state


def receive(line: Sequence[int]) -> Received:
    """Take the messages from a line's level in each clock, bits sampled in their middle."""
    found, expected, clock = Received(), -1, 1
    while clock < len(line):
        if not line[clock] or line[clock - 1]:
            clock += 1
            continue
        start, middle = clock, clock + SYNC_BIT_CLOCKS // 2
        clock = middle + SYNC_FRAME_BITS * SYNC_BIT_CLOCKS + 1
        bits = list(line[middle:clock:SYNC_BIT_CLOCKS])
        if not bits or not bits[0]:
            found.corrupt += 1
            clock = middle + 1
            continue
        if len(bits) <= SYNC_FRAME_BITS:
            break
        number, order = (_value(bits[first : first + SYNC_NUMBER_BITS]) for first in (1, 1 + SYNC_NUMBER_BITS))
        gap = 0 if expected < 0 else (order - expected) % NUMBERS
        if bits != [*frame(number, order), 0]:
            found.corrupt += 1
        elif gap >= NUMBERS // 2:
            found.doubled += 1
        else:
            found.valid.append((start, number, gap))
            expected = order + 1
    return found


def _bits(value: int, count: int) -> list[int]:
    return [value >> place & 1 for place in range(count)]


def _value(bits: Sequence[int]) -> int:
    return sum(bit << place for place, bit in enumerate(bits))
