"""What a hardware-in-the-loop scenario works with: a board behind its own link, and edges on its inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.transport import Transport

Edge = tuple[int, int]  # ticks after the first edge's own, channel (`REFERENCE` for the reference input)


class NeedsStimulus(Exception):
    """The scenario wants edges on the inputs, and nothing on this rig can make them."""


class Stimulus(Protocol):
    """Whatever makes edges: a simulator, or a pulse generator wired to a board."""

    def edges(self, edges: Sequence[Edge]) -> None:
        """Make rising edges at these times, sorted, and come back when they are made."""
        ...

    def latencies(self) -> list[int]:
        """Clocks from the last edge of each `edges` since the last call to each herald pulse since then."""
        ...

    def actions(self) -> list[tuple[int, int, int]]:
        """Since the last `edges`: ticks after its last edge, output of feed-forward, its new level."""
        ...

    def triggers(self) -> list[tuple[int, int, int]]:
        """Since the last `edges`: clocks after its last edge, trigger, its new level."""
        ...


@dataclass(frozen=True, slots=True)
class Rig:
    board: Board
    transport: Transport  # the board's own, for bytes that no host of ours would send
    stimulus: Stimulus | None
    pin_delay: int  # clocks that the input pins take to the sampler

    def edges(self, *edges: Edge) -> None:
        if self.stimulus is None:
            raise NeedsStimulus("nothing is wired to the detector inputs")
        self.stimulus.edges(edges)

    def latencies(self) -> list[int]:
        if self.stimulus is None:
            raise NeedsStimulus("nothing watches the herald pins")
        return self.stimulus.latencies()

    def actions(self) -> list[tuple[int, int, int]]:
        if self.stimulus is None:
            raise NeedsStimulus("nothing watches the outputs")
        return self.stimulus.actions()

    def triggers(self) -> list[tuple[int, int, int]]:
        if self.stimulus is None:
            raise NeedsStimulus("nothing watches the triggers")
        return self.stimulus.triggers()
