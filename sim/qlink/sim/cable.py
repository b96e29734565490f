"""The lines between two twins: what one says, the other hears in the clock after, unless it is told to spoil it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

from qlink.firmware_bridge.registers import SYNC_BIT_CLOCKS, SYNC_FRAME_BITS, SyncLine

from .errors import TwinError
from .twin import Twin, ffi

MESSAGE_CLOCKS = SYNC_FRAME_BITS * SYNC_BIT_CLOCKS
BETWEEN = 8  # clocks from a message to itself again


class End(IntEnum):
    """One of the two twins."""

    LEFT = 0
    RIGHT = 1


class Damage(Enum):
    """What happens to a message."""

    DROPPED = "dropped"
    DOUBLED = "doubled"  # it comes again `BETWEEN` clocks after its end, on top of what else comes then
    CORRUPT = "corrupt"  # some of its bits are inverted


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to one message on its way to `end`, `after` so many others that begin before it."""

    end: End
    line: SyncLine
    damage: Damage
    after: int = 0
    bit: int = 1  # the first one that is inverted; 0 is the start bit
    bits: int = 1

    @property
    def clocks(self) -> tuple[int, int]:
        """The clocks of the message that are not what they were."""
        if self.damage is not Damage.CORRUPT:
            return 0, MESSAGE_CLOCKS
        return self.bit * SYNC_BIT_CLOCKS, (self.bit + self.bits) * SYNC_BIT_CLOCKS


class Cable:
    """Joins two twins for good. From now on, time that passes for one passes for the other.

    Whichever of them works, both do, clock by clock and in one call; what comes up from the other one waits until it is
    asked. Either can be reset. Both have to be of the same gateware.
    """

    def __init__(self, left: Twin, right: Twin, faults: Iterable[Fault] = ()) -> None:
        if left.library is not right.library:
            raise TwinError("twins of two kinds of gateware cannot be joined")
        self._twins, self._lib = (left, right), left.library
        self._cable = ffi().gc(self._lib.cable_new(MESSAGE_CLOCKS, BETWEEN), self._lib.cable_delete)
        for twin in self._twins:
            twin.join(self._work)
        for fault in faults:
            self.spoil(fault)

    def carried(self, end: End, line: SyncLine) -> int:
        """How many messages to `end` have begun on a line."""
        return int(self._lib.cable_heard(self._cable, end, line))

    def spoil(self, fault: Fault) -> None:
        """Let this happen; `TwinError` if a message has no such bits."""
        kinds = {
            Damage.DROPPED: self._lib.TWIN_LOW,
            Damage.DOUBLED: self._lib.TWIN_AGAIN,
            Damage.CORRUPT: self._lib.TWIN_INVERTED,
        }
        begin, end = fault.clocks
        if fault.after < 0 or not 0 <= begin < end <= MESSAGE_CLOCKS:
            raise TwinError(f"no message can be spoilt so: {fault}")
        message = self.carried(fault.end, fault.line) + fault.after
        values = (message, fault.end, fault.line, kinds[fault.damage], 0, begin, end)
        self._lib.cable_add_fault(self._cable, ffi().new("twin_fault *", values))

    def _work(self, asked: Twin, wanted: Any) -> int:
        """Work on what is asked of one, `wanted`, and let the other keep pace."""
        works = ffi().new("twin_work[2]")
        place = self._twins.index(asked)
        other = self._twins[1 - place]
        works[place] = wanted[0]
        held = other.arrange(works[1 - place])
        works[1 - place].until = other.now + wanted.until - asked.now
        handles = [twin.handle for twin in self._twins]
        end = int(self._lib.cable_run(self._cable, *handles, works, place))
        wanted[0] = works[place]
        other.conclude(works[1 - place])
        del held
        return end
