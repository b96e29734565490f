"""Claims about outputs: what must not be on together is not, and what goes on goes off."""

from amaranth.hdl import Mux

from qlink.gateware.sequencer import Sequencer

from .attempts import later
from .bench import Bench
from .claim import Bounded, Claim, Induction, Mutation
from .matching import settling
from .sources import Edit
from .stand_ins import LONGEST

__all__ = ["CLAIMS"]

STOPPED = 4  # clocks from a command to stop until the triggers are idle


def triggers():
    """Any program that promises what `AnyProgram` does, any settings; commands, heralds and references as they like."""
    b = Bench()
    b.m.submodules.sequencer = dut = Sequencer()
    settings = dut.settings
    constants = {name: b.constant(name, len(settings[name])) for name in ("external", "stop_on", "idle")}
    start, stop, changed = b.free("start"), b.free("stop"), b.free("changed")
    clear, begin, heralds = b.free("clear"), b.free("begin"), b.free("heralds", 4)
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
    ]
    on = b.show("on", Mux(young, 0, dut.triggers ^ constants["idle"]))
    b.must("triggers_never_overlap_that_must_not", ~(on[0] & on[1]))

    lasts = b.signal("trigger_0_lasts", range(LONGEST + 2))
    b.m.d.sync += lasts.eq(Mux(on[0], Mux(lasts > LONGEST, lasts, lasts + 1), 0))
    b.must("an_off_edge_comes_in_time", lasts <= LONGEST)

    rests = b.show("rests", ~dut.status.running)
    b.must("no_sequence_no_trigger", (on == 0) | ~rests | ~later(b, "rests", rests, 2))
    halts = b.show("halts", stop | changed | clear)
    halted = later(b, "halts", halts, STOPPED)
    started = b.signal("clocks_since_start", range(STOPPED + 2))
    b.m.d.sync += started.eq(Mux(start, 0, Mux(started > STOPPED, started, started + 1)))
    b.must("a_halt_takes_all_off", (on == 0) | ~halted | (started <= STOPPED))
    b.reach("trigger_0_for_its_longest_time", lasts == LONGEST)
    return b


CLAIMS = (
    Claim(
        "triggers",
        "Sequencer: outputs that no segment of the program has on together are never on together; an output goes off "
        "when its segment ends, and with the end of the sequence, whatever ends it.",
        triggers,
        Induction(),
        (
            Mutation(
                "the last level stays when the sequence ends",
                Edit("sequencer", "(on & playing.replicate(TRIGGERS))", "on"),
                24,
            ),
            Mutation(
                "a segment lasts a clock too long",
                Edit("sequencer", "over.eq(left < 0)", "over.eq(left < -1)"),
                24,
            ),
            Mutation("a segment keeps what was on", Edit("sequencer", "on.eq(coming.on)", "on.eq(on | coming.on)"), 24),
        ),
        size=f"any program of segments of 1 to {LONGEST} clocks",
        reduced=(
            Edit(
                "sequencer",
                "from .program import FILLING, Player",
                "from .formal.stand_ins import AnyProgram as Player\nfrom .program import FILLING",
            ),
        ),
        quick=Bounded(20),
        covers=24,
    ),
)
