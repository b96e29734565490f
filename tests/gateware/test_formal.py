"""The proofs as they run at every change; `make formal` runs them at full strength."""

import runpy
import sys
from pathlib import Path

import pytest

from qlink.gateware.formal import queues
from qlink.gateware.formal.claim import Bounded, Broken, Claim, Induction, Mutation
from qlink.gateware.formal.claims import CLAIMS, Task, tasks
from qlink.gateware.formal.sources import Edit, bench_of

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 800


@pytest.mark.parametrize("task", tasks(quick=True), ids=lambda task: task.name)
def test_claims_hold_and_break_with_planted_bugs(task, tmp_path):
    verdict = task.run(tmp_path, TIMEOUT_S)
    assert verdict.status == task.expected, f"{task.name} ({task.method})\n{verdict.words}"


def test_every_claim_breaks_with_a_bug_and_has_been_reached():
    for claim in CLAIMS:
        assert claim.mutations, claim.name
        assert claim.covers, claim.name


@pytest.mark.parametrize("method", [Broken(8), Bounded(8), Induction()], ids=str)
def test_tells_a_counterexample_clock_by_clock(tmp_path, method):
    edit = Edit("spill", "full.eq(self.i.valid)", "full.eq(1)")
    bug = Claim("broken", "", queues.spill, Bounded(8), (Mutation("", edit, 8),))
    verdict = Task(bug, "broken", method, (edit,), "PASS").run(tmp_path, TIMEOUT_S)
    first, *clocks, waves = verdict.words.splitlines()
    assert first == f"broken in clock {len(clocks) - 1}: spill gives nothing it did not get"
    assert [line.split(":")[0].strip() for line in clocks] == [f"clock {n}" for n in range(len(clocks))]
    assert "i_valid = 1" in verdict.words
    assert Path(waves.removeprefix("waves: ")).exists()


@pytest.mark.parametrize(
    ("breaks", "status"),
    [
        (("spill_gives_nothing_it_did_not_get",), "FAIL"),
        (("spill_gives_nothing_it_did_not_get", "spill_comes_to_an_end"), "FAIL"),
        (("o_holds_what_it_offers",), "PASS"),
        (("spill_gives_nothing_it_did_not_get", "o_holds_what_it_offers"), "PASS"),
    ],
)
def test_a_bug_has_to_break_the_musts_that_it_names_and_no_others(tmp_path, breaks, status):
    claim = next(claim for claim in CLAIMS if claim.name == "spill")
    edit = claim.mutations[0].edit
    assert Task(claim, "spill", Bounded(8), (edit,), "FAIL", breaks).run(tmp_path, TIMEOUT_S).status == status


def test_a_bug_cannot_break_a_must_that_there_is_not():
    bench = queues.spill()
    with pytest.raises(ValueError, match="there is no must nothing"):
        bench.break_only(["nothing"])
    bench.rtlil()  # Amaranth warns of what is made and never used


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (Edit("spill", "no such text", ""), "spill has 0 times, not once: 'no such text'"),
        (Edit("spill", "self", ""), r"spill has \d+ times, not once: 'self'"),
        (Edit("uart", "self", ""), "spill has no use for uart"),
    ],
    ids=["absent", "ambiguous", "elsewhere"],
)
def test_an_edit_that_changes_nothing_is_refused(edit, why):
    claim = next(claim for claim in CLAIMS if claim.name == "spill")
    with pytest.raises(ValueError, match=why):
        bench_of(claim, [edit])
    assert queues.spill is claim.build
    assert "qlink.gateware.formal.queues" in sys.modules


def test_the_page_shows_the_claims_as_they_are():
    page = runpy.run_path(str(ROOT / "tools/make_formal_doc.py"))["page"]
    text = (ROOT / "docs/formal.md").read_text()
    assert page(text) == text, "run tools/make_formal_doc.py"
