"""Claims about outputs: what must not be on together is not, and what goes on goes off."""

from amaranth.hdl import Mux

from qlink.gateware.sequencer import Sequencer

from .attempts import later
from .bench import Bench
from .claim import Bounded, Claim, Induction, Mutation
from .matching import settling
from .sources import Edit
from .stand_ins import LONGEST, OF_BRANCHES, OF_PROGRAM

__all__ = ["CLAIMS"]

STOPPED = 4  # clocks from a command to stop until the triggers are idle
COMMANDED = 2  # from a command to start until the sequence begins, if nothing is in its way

APART = "triggers_never_overlap_that_must_not"
ENDS = "an_off_edge_comes_in_time"
RESTS = "no_sequence_no_trigger"
HALTS = "a_halt_takes_all_off"
PROGRAM = "no_level_of_the_program_in_a_branch"
BRANCH = "no_level_of_a_branch_without_one"
ONCE = "a_branch_only_after_its_herald_and_once"


def triggers():
    """Any program and branches that promise what their stand-ins do, any settings; commands, heralds and references as
    they like."""
    b = Bench()
    dut = Sequencer()
    inner = b.place("sequencer", dut)
    settings = dut.settings
    constants = {name: b.constant(name, len(settings[name])) for name in ("external", "stop_on", "idle")}
    start, stop, changed = b.free("start"), b.free("stop"), b.free("changed")
    clear, begin, heralds = b.free("clear"), b.free("begin"), b.free("heralds", 4)
    herald = b.free("herald_with_a_branch")
    young = settling(b, 3)
    b.assume(~young | ~(start | begin))
    b.m.d.comb += [
        *(settings[name].eq(value) for name, value in constants.items()),
        settings.segments.eq(3),
        settings.attempts.eq(b.constant("attempts", 2)),
        settings.start.eq(start),
        settings.stop.eq(stop),
        settings.changed.eq(changed),
        dut.able.eq(1),
        dut.clear.eq(clear),
        dut.begin.eq(begin),
        dut.heralds.eq(heralds),
        dut.branch.valid.eq(herald),
        dut.branch.outcome.eq(b.free("outcome_of_the_branch", 2)),
    ]
    on = b.show("on", Mux(young, 0, dut.triggers ^ constants["idle"]))
    b.must(APART, ~(on[0] & on[1]))

    lasts = b.signal("trigger_0_lasts", range(LONGEST + 2))
    b.m.d.sync += lasts.eq(Mux(on[0], Mux(lasts > LONGEST, lasts, lasts + 1), 0))
    b.must(ENDS, lasts <= LONGEST)

    rests = b.show("rests", ~dut.status.running)
    b.must(RESTS, (on == 0) | ~rests | ~later(b, "rests", rests, 2))
    halts = b.show("halts", stop | changed | clear)
    halted = later(b, "halts", halts, STOPPED)
    started = b.signal("clocks_since_start", range(STOPPED + 2))
    b.m.d.sync += started.eq(Mux(start, 0, Mux(started > STOPPED, started, started + 1)))
    b.must(HALTS, (on == 0) | ~halted | (started <= STOPPED))
    b.reach("trigger_0_for_its_longest_time", lasts == LONGEST)
    _follow_branches(b, dut, inner, on, start, herald)
    return b


def _follow_branches(b, dut, inner, on, start, herald):
    """Say which attempts play a branch, and how many heralds that have one have not been followed by theirs."""
    begins, branched = b.show("an_attempt_begins", inner["begun"]), b.show("with_a_branch", inner["branched"])
    of_branch, owed = b.signal("attempt_of_a_branch"), b.signal("branches_owed", 2)
    with b.m.If(begins):
        b.m.d.sync += of_branch.eq(branched)
    begun_anew = b.show("begun_anew", later(b, "start", start, COMMANDED))
    spent = begins & branched
    with b.m.If(~dut.status.running | begun_anew):
        b.m.d.sync += owed.eq(0)
    with b.m.Else():
        b.m.d.sync += owed.eq(Mux(owed == 3, 3, owed + herald) - (spent & (owed != 0)))
    b.must(PROGRAM, ~(on[OF_PROGRAM] & of_branch))
    b.must(BRANCH, ~(on[OF_BRANCHES] & ~of_branch))
    b.must(ONCE, ~spent | (owed != 0) | b.register("anew_before", begun_anew))
    b.reach("a_branch_and_the_program_after_it", on[OF_PROGRAM] & b.register("a_branch_was_on", on[OF_BRANCHES]))


CLAIMS = (
    Claim(
        "triggers",
        "Sequencer: outputs that no segment has on together are never on together; an output goes off when its segment "
        "ends, and with the end of the sequence, whatever ends it. A branch is played after its herald alone, in one "
        "attempt, and no level of it in another, nor of the program in it; a new start forgets it.",
        triggers,
        Induction(),
        (
            Mutation(
                "the last level stays when the sequence ends",
                Edit("sequencer", "(on & playing.replicate(TRIGGERS))", "on"),
                24,
                (ENDS, RESTS, HALTS),
            ),
            Mutation(
                "a segment lasts a clock too long",
                Edit("sequencer", "over.eq(left < 0)", "over.eq(left < -1)"),
                24,
                (ENDS,),
            ),
            Mutation(
                "a segment keeps what was on",
                Edit("sequencer", "on.eq(coming.on)", "on.eq(on | coming.on)"),
                24,
                (APART, ENDS),
            ),
            Mutation(
                "the branch's last level stays",
                Edit("sequencer", "on.eq(coming.on)", "on.eq(coming.on | Mux(branched & coming.first, on, 0))"),
                32,
                (BRANCH,),
            ),
            Mutation(
                "a branch begins in the midst of an attempt",
                Edit("sequencer", "chosen.eq(branches.ready & player.segment.first)", "chosen.eq(branches.ready)"),
                32,
                (BRANCH,),
            ),
            Mutation(
                "the program goes on in the midst of a branch",
                Edit("branches", "(self.ready | filled) & ~ends", "(self.ready & ~self.advance | filled) & ~ends"),
                32,
                (PROGRAM,),
            ),
            Mutation(
                "a branch is played again and again",
                Edit("branches", "(self.ready | filled) & ~ends", "(self.ready | filled)"),
                32,
                (ONCE,),
            ),
            Mutation(
                "a new start remembers the branch that waits",
                Edit("branches", "self.enable & (self.ready | filled)", "(self.ready | filled)"),
                32,
                (ONCE,),
            ),
        ),
        size=f"any program and any branches of segments of 1 to {LONGEST} clocks",
        reduced=(
            Edit(
                "sequencer",
                "from .program import FILLING, Player, Segment",
                "from .formal.stand_ins import AnyProgram as Player\nfrom .program import FILLING, Segment",
            ),
            Edit(
                "branches",
                "from .program import FILLING, BranchPlayer, Segment",
                "from .formal.stand_ins import AnyBranch as BranchPlayer\nfrom .program import FILLING, Segment",
            ),
        ),
        quick=Bounded(20),
        covers=24,
    ),
)
