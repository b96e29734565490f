"""What two boards tell each other over their lines, in plain Python."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qlink.firmware_bridge.registers import (
    SYNC_BIT_CLOCKS,
    SYNC_CRC_BITS,
    SYNC_CRC_POLYNOMIAL,
    SYNC_FRAME_BITS,
    SYNC_NUMBER_BITS,
    SYNC_TOLD_BYTES,
)

NUMBERS = 1 << SYNC_NUMBER_BITS
FAR = NUMBERS // 2


@dataclass(frozen=True, slots=True)
class Heard:
    """A message: the clock of its start bit, and how many before it are missing."""

    clock: int
    number: int
    order: int
    missed: int


@dataclass(slots=True)
class Received:
    """What was on a line; what was none, and what had come before, by the clock in which it began."""

    valid: list[Heard] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    corrupt: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Follower:
    """A board that begins its attempts when another one says so. `number` is that of the newest one.

    `begun` has clock and number of each, `errors` the clocks of the messages with which something was wrong.
    """

    number: int
    agreed: bool = True  # after power-on it is not, until it is given a number
    missed: int = 0
    doubled: int = 0
    corrupt: int = 0
    disagreed: int = 0
    begun: list[tuple[int, int]] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)

    def hear(self, clock: int, low: int, other: int) -> None:
        """Take what is said of an attempt for what it is."""
        ahead = (low - self.number - 1) % NUMBERS
        following = ahead == 0
        if ahead == NUMBERS - 1:
            self.doubled += 1
        elif not self.agreed or ahead >= FAR:
            self.disagreed += 1
        elif following and other != told(self.number + 1)[1]:
            self.disagreed += 1
            self.agreed = False
        else:
            self.missed += ahead
            self.number += 1 + ahead
            self.begun.append((clock, self.number))
            if following:
                return
        self.errors.append(clock)

    def hear_success(self, clock: int, low: int) -> None:
        """The leader has a herald. Its newest attempt may be one that is not begun here yet, but no later one."""
        if (self.number + 1 - low) % NUMBERS >= FAR:
            self.disagreed += 1
            self.errors.append(clock)


def told(number: int) -> tuple[int, int]:
    """What a leader says of an attempt: its lowest byte, and one of the upper bytes of the number before."""
    before = number - 1
    return number % NUMBERS, (before >> SYNC_NUMBER_BITS * SYNC_TOLD_BYTES[before % len(SYNC_TOLD_BYTES)]) % NUMBERS


def follow(line: Sequence[int], number: int, successes: Iterable[tuple[int, int]] = ()) -> Follower:
    """What a follower makes of its trigger line, given the number of the attempt before the first one.

    `successes` are clocks and numbers of the messages about heralds, between which nothing goes wrong.
    """
    follower, heard = Follower(number), receive(line, ordered=False)
    attempts = {message.clock: message for message in heard.valid}
    heralds = dict(successes)
    for clock in sorted({*attempts, *heralds}):
        if clock in heralds:
            follower.hear_success(clock, heralds[clock])
        if clock in attempts:
            follower.hear(clock, attempts[clock].number, attempts[clock].order)
    follower.corrupt = len(heard.corrupt)
    follower.errors = sorted(follower.errors + heard.corrupt)
    return follower


def frame(number: int, order: int) -> list[int]:
    """The bits of a message: a one, then number, order (or what is told instead) and CRC.

    Lowest bits come first, but of the CRC the highest: so it finds all errors within eight bits in a row.
    """
    body = _bits(number, SYNC_NUMBER_BITS) + _bits(order, SYNC_NUMBER_BITS)
    return [1, *body, *reversed(_bits(crc(body), SYNC_CRC_BITS))]


def crc(bits: Sequence[int]) -> int:
    """CRC-8 of bits, in the order in which they are sent."""
    state = 0
    for bit in bits:
        feedback = (state >> SYNC_CRC_BITS - 1) ^ bit
        state = (state << 1) % NUMBERS ^ (SYNC_CRC_POLYNOMIAL if feedback else 0)
    return state


def receive(line: Sequence[int], *, ordered: bool = True) -> Received:
    """Take the messages from a line's level in each clock, bits sampled in their middle; `ordered` ones are counted."""
    found, expected, clock = Received(), -1, 1
    while clock < len(line):
        if not line[clock] or line[clock - 1]:
            clock += 1
            continue
        start, middle = clock, clock + SYNC_BIT_CLOCKS // 2
        clock = middle + SYNC_FRAME_BITS * SYNC_BIT_CLOCKS + 1
        bits = list(line[middle:clock:SYNC_BIT_CLOCKS])
        if not bits or not bits[0]:
            found.corrupt.append(start)
            clock = middle + 1
            continue
        if len(bits) <= SYNC_FRAME_BITS:
            break
        number, order = (_value(bits[first : first + SYNC_NUMBER_BITS]) for first in (1, 1 + SYNC_NUMBER_BITS))
        gap = 0 if expected < 0 or not ordered else (order - expected) % NUMBERS
        if bits != [*frame(number, order), 0]:
            found.corrupt.append(start)
        elif gap >= FAR:
            found.doubled.append(start)
        else:
            found.valid.append(Heard(start, number, order, gap))
            expected = order + 1
    return found


def _bits(value: int, count: int) -> list[int]:
    return [value >> place & 1 for place in range(count)]


def _value(bits: Sequence[int]) -> int:
    return sum(bit << place for place, bit in enumerate(bits))
