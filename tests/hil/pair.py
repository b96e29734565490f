"""What a scenario of two boards in step works with: a board for each end, edges on both, and a cable to be spoilt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.hil.rig import Edge, NeedsStimulus

from qlink.firmware_bridge.board import Board
from qlink.gateware.parameters import Parameters
from qlink.sim.cable import Damage

SMALL = Parameters(channels=2, patterns=2, samples=1, record_depth=256, herald_depth=16)
"""Of the twins: a small board is quicker, and its lines are those of any."""


class NeedsBadCable(Exception):
    """The scenario wants messages spoilt, and nothing on this rig can do that."""


@dataclass(frozen=True, slots=True)
class PairRig:
    leader: Board
    follower: Board
    make_edges: Callable[[Sequence[Edge]], None] | None = None  # on both boards in the same clock
    spoil_trigger: Callable[[Damage, int], None] | None = None
    reset_follower: Callable[[], None] | None = None

    def edges(self, edges: Sequence[Edge]) -> None:
        if self.make_edges is None:
            raise NeedsStimulus("nothing is wired to the detector inputs")
        self.make_edges(edges)

    def spoil(self, damage: Damage, after: int) -> None:
        """Let a trigger message be spoilt, after so many that are not."""
        if self.spoil_trigger is None:
            raise NeedsBadCable("nothing can spoil what the boards tell each other")
        self.spoil_trigger(damage, after)
