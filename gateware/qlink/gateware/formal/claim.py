"""What is claimed of the gateware, by what it is proven, and what shows that the proof is not empty."""

from collections.abc import Callable
from dataclasses import dataclass

from .bench import Bench
from .sources import Edit

__all__ = ["Bounded", "Broken", "Claim", "Induction", "Mutation", "Reachable"]


@dataclass(frozen=True, slots=True)
class Bounded:
    """Nothing goes wrong in the first `depth` clocks."""

    depth: int

    def __str__(self):
        return f"bounded, {self.depth} clocks"


@dataclass(frozen=True, slots=True)
class Broken:
    """Something goes wrong in the first `depth` clocks."""

    depth: int

    def __str__(self):
        return f"within {self.depth} clocks"


@dataclass(frozen=True, slots=True)
class Induction:
    """For ever: by induction over `depth` clocks; 0: by an invariant that property-directed reachability finds."""

    depth: int = 0

    def __str__(self):
        return f"unbounded, {self.depth}-induction" if self.depth else "unbounded, PDR"


@dataclass(frozen=True, slots=True)
class Reachable:
    """What the bench says to be reachable is so, within `depth` clocks."""

    depth: int

    def __str__(self):
        return f"reached in {self.depth} clocks"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug, in words and as it would be written. Within `depth` clocks it breaks the musts `breaks`, all of them."""

    words: str
    edit: Edit
    depth: int
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. `build` makes its bench.

    `method` proves it; `quick`, a weaker method, is what there is time for at every change (None: `method`, too).
    `reduced` are edits that make it small enough, and `size` says so in words. Each of `mutations` must break
    the musts that it names, and each must has to be named by one of them.
    `covers` is the depth at which everything the bench names reachable has been reached.
    """

    name: str
    words: str
    build: Callable[[], Bench]
    method: Bounded | Induction
    mutations: tuple[Mutation, ...]
    size: str = "as built"
    invariants: str = ""
    reduced: tuple[Edit, ...] = ()
    quick: Bounded | Induction | None = None
    covers: int = 0
