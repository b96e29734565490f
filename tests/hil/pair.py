"""What a scenario of two boards in step works with: a board for each end, edges on both, and a cable to be spoilt."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.hil.rig import Edge, NeedsStimulus
from tests.hil.twin_port import TwinPort

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.registers import SyncLine
from qlink.gateware.parameters import Parameters
from qlink.sim.cable import Cable, Damage, End, Fault
from qlink.sim.twin import open_twin

SMALL = Parameters(channels=2, patterns=2, samples=1, record_depth=256, herald_depth=16)
"""Of the twins: a small board is quicker, and its lines are those of any."""


class NeedsFaults(Exception):
    """The scenario wants messages spoilt, or a board reset, and nothing on this rig can do that."""


@dataclass(frozen=True, slots=True)
class PairRig:
    leader: Board
    follower: Board
    make_edges: Callable[[Sequence[Edge]], None] | None = None  # on both boards in the same clock
    spoil_trigger: Callable[[Damage, int], None] | None = None
    reset_board: Callable[[], None] | None = None

    def edges(self, edges: Sequence[Edge]) -> None:
        if self.make_edges is None:
            raise NeedsStimulus("nothing is wired to the detector inputs")
        self.make_edges(edges)

    def spoil(self, damage: Damage, after: int) -> None:
        """Let a trigger message be spoilt, after so many that are not."""
        if self.spoil_trigger is None:
            raise NeedsFaults("nothing can spoil what the boards tell each other")
        self.spoil_trigger(damage, after)

    def reset_follower(self) -> None:
        """Let the follower start anew, as after power-on."""
        if self.reset_board is None:
            raise NeedsFaults("nothing can reset a board")
        self.reset_board()


@contextmanager
def joined_twins() -> Iterator[tuple[PairRig, Cable]]:
    twins = open_twin(SMALL), open_twin(SMALL)
    cable = Cable(*twins)
    left, right = (TwinPort(twin) for twin in twins)

    def edges(edges: Sequence[Edge]) -> None:
        right.feed(edges)
        left.edges(edges)

    def spoil(damage: Damage, after: int) -> None:
        cable.spoil(Fault(End.RIGHT, SyncLine.TRIGGER, damage, after))

    with Board(left) as leader, Board(right) as follower:
        yield PairRig(leader, follower, edges, spoil, twins[End.RIGHT].reset), cable
