"""Prove what docs/formal.md claims of the gateware: `formal.py [--quick] [--jobs N] [--keep FOLDER] [CLAIM...]`.

Every claim has to hold, to be about something, and to break by every bug that is planted. Prints a counterexample clock
by clock. Ends with 1 if anything is not as it should be.
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qlink.gateware.formal.claims import CLAIMS, Task, tasks
from qlink.gateware.formal.trace import spelled

TIMEOUT_S = 3600


def main() -> int:
    options = _options()
    known = {claim.name: claim for claim in CLAIMS}
    if unknown := [name for name in options.claims if name not in known]:
        print(f"no claim {', '.join(map(repr, unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = tasks([known[name] for name in options.claims] or CLAIMS, options.quick)
    if options.proofs_only:
        wanted = [task for task in wanted if task.name == task.claim.name]
    place = Path(options.keep or tempfile.mkdtemp(prefix="formal_"))
    with ThreadPoolExecutor(options.jobs) as pool:
        right = list(pool.map(lambda task: _run(task, place), wanted))
    print(f"{sum(right)} of {len(right)} as they should be; files in {place}")
    return not all(right)


def _run(task: Task, place: Path) -> bool:
    began = time.monotonic()
    verdict = task.run(place, TIMEOUT_S)
    right = bool(verdict.status == task.expected)
    took = f"{time.monotonic() - began:.0f} s"
    what = {"PASS": "holds", "FAIL": "breaks"}.get(verdict.status, verdict.status)
    if right and task.breaks:
        what += f": {'; '.join(spelled(must) for must in task.breaks)}"
    print(f"{'ok ' if right else 'NOT'} {task.name}: {what} ({task.method}, {took})", flush=True)
    if not right and verdict.words:
        print(verdict.words, flush=True)
    return right


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="as at every change: bounded where a proof takes long")
    parser.add_argument("--proofs-only", action="store_true", help="no planted bugs, no covers")
    parser.add_argument("--jobs", type=int, default=2, help="proofs at a time")
    parser.add_argument("--keep", metavar="FOLDER", help="where the files go (default: a new folder in /tmp)")
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="names of claims (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
