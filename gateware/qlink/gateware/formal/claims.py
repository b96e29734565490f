"""All claims, and the tasks that they make."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from . import (
    attempts,
    click_order,
    clicks,
    composed,
    feed_forward,
    frames,
    heralds,
    matching,
    outputs,
    queues,
    times,
    vetoes,
)
from .claim import Bounded, Claim, Induction, Reachable
from .sby import Verdict, run_sby
from .sources import Edit, bench_of

__all__ = ["CLAIMS", "Task", "tasks"]

MODULES = (
    composed,
    attempts,
    matching,
    vetoes,
    heralds,
    outputs,
    feed_forward,
    frames,
    queues,
    clicks,
    click_order,
    times,
)
CLAIMS = tuple(claim for module in MODULES for claim in module.CLAIMS)

_building = Lock()  # modules are imported anew, which two cannot do at once


@dataclass(frozen=True, slots=True)
class Task:
    """One run of sby, of which `expected` is the outcome; if there are any in `breaks`, about these musts alone."""

    claim: Claim
    name: str
    method: Bounded | Induction | Reachable
    edits: tuple[Edit, ...]
    expected: str
    breaks: tuple[str, ...] = ()

    def run(self, root: Path, timeout: float) -> Verdict:
        """Return the verdict. Its files are in a folder of `root`."""
        with _building:
            bench = bench_of(self.claim, self.edits)
        bench.break_only(self.breaks)
        return run_sby(bench, self.method, root / re.sub(r"\W+", "-", self.name), timeout, self.expected == "PASS")


def tasks(claims: Sequence[Claim] = CLAIMS, quick: bool = False) -> list["Task"]:
    """Return what has to be run: that each claim holds, that it is not empty, and that each planted bug breaks it.

    `quick`: by weaker methods where the strong ones take long.
    """
    found = []
    for claim in claims:
        method = (quick and claim.quick) or claim.method
        found.append(Task(claim, claim.name, method, claim.reduced, "PASS"))
        if claim.covers:
            found.append(Task(claim, f"{claim.name} reaches", Reachable(claim.covers), claim.reduced, "PASS"))
        for mutation in claim.mutations:
            edits = (*claim.reduced, mutation.edit)
            name = f"{claim.name} with {mutation.words}"
            found.append(Task(claim, name, Bounded(mutation.depth), edits, "FAIL", mutation.breaks))
    return found
