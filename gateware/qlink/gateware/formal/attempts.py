"""Claims about attempts and gates: a click counts in its gate of the running attempt, and nowhere else."""

from amaranth.hdl import Const, Mux

from qlink.gateware.attempt import AttemptTracker
from qlink.gateware.gate import Gate
from qlink.gateware.parameters import Parameters

from .bench import Bench
from .claim import Bounded, Claim, Induction, Mutation
from .sources import Edit

__all__ = ["CLAIMS", "follow", "later"]

PARAMETERS = Parameters(channels=1, patterns=1, samples=2)


def later(b, name, value, clocks):
    """Return `value` so many clocks later."""
    for clock in range(clocks):
        value = b.register(f"{name}_{clock + 1}", value)
    return value


def follow(b, reference, clocks, forget):
    """Follow attempts as docs/coincidence.md says. Returns whether one starts in this clock, is running in it, its age
    in clocks and the subtick of its reference.

    `forget` ends what runs, from the next clock on.
    """
    m = b.m
    running, age, sub = b.signal("running"), b.signal("age", clocks.shape()), b.signal("at", reference.sub.shape())
    starts = b.show("starts", reference.valid & ~running)
    now = b.show("age_now", Mux(starts, 0, age))
    sub_now = b.show("reference_at", Mux(starts, reference.sub, sub))
    inside = b.show("inside", starts | running)
    m.d.sync += [
        age.eq(now + 1),
        sub.eq(sub_now),
        running.eq(inside & (now + 1 < clocks) & ~forget),
    ]
    return starts, inside, now, sub_now


def gate():
    """References, clicks and `clear` come as they like; all settings have any value."""
    b = Bench()
    b.m.submodules.tracker = tracker = AttemptTracker(PARAMETERS)
    b.m.submodules.gate = dut = Gate(PARAMETERS)
    clocks = b.constant("attempt_clocks", len(tracker.attempt_clocks))
    start, stop = b.constant("gate_start", len(dut.start)), b.constant("gate_stop", len(dut.stop))
    always, clear, hide = b.constant("always"), b.free("clear"), b.free("hide")
    reference, click = b.free("reference", tracker.reference.shape()), b.free("click", dut.click.shape())
    merged = b.free("merged")
    settled = b.register("settled", Const(1))
    b.assume(~reference.valid | ~clear & settled)
    b.assume(~merged | reference.valid)
    b.m.d.comb += [
        tracker.reference.eq(reference),
        tracker.merged.eq(merged),
        tracker.enable.eq(1),
        tracker.clear.eq(clear),
        tracker.attempt_clocks.eq(clocks),
        dut.click.eq(later(b, "click_then", click, 1)),
        dut.start.eq(start),
        dut.stop.eq(stop),
        dut.always.eq(always),
        dut.begin.eq(tracker.start),
        dut.inside.eq(tracker.inside),
        dut.sub.eq(tracker.sub),
        dut.ahead.eq(tracker.ahead),
        dut.clear.eq(hide),
    ]
    starts, inside, age, at = follow(b, reference, clocks, clear)
    since = b.show("ticks_since_reference", age * PARAMETERS.samples + click.sub - at)
    counts = b.show("counts", click.valid & inside & (since >= start) & (since < stop))
    came, counted = later(b, "click", click.valid, 2), later(b, "counts", counts, 2)
    shown = dut.counts & ~b.register("hidden", hide)
    ticks = Mux(dut.gated.valid, 1 << dut.gated.sub, 0)
    b.must("no_click_counts_outside_its_gate", ~dut.counts | always | counted)
    b.must("no_click_counts_that_did_not_come", ~dut.counts | came)
    b.must("every_click_in_its_gate_counts", dut.counts | ~counted)
    b.must("every_click_counts_when_gates_are_off", dut.counts | ~(always & came))
    b.must("what_counts_is_shown", (dut.gated.valid == shown) & (dut.ticks == ticks))
    b.must("the_subtick_stays", ~dut.gated.valid | (dut.gated.sub == later(b, "sub", click.sub, 2)))
    b.must("an_attempt_starts_with_a_reference", tracker.start == b.register("started", starts))
    b.must("a_second_reference_is_told", tracker.doubled == b.register("second", reference.valid & ~starts | merged))
    b.reach("a_click_counts_late_in_the_second_attempt", counted & ~always & (age == 4) & (start == 3) & tracker.number)
    return b


SHORT = 5
REDUCED = (
    Edit("attempt", '"attempt_clocks": In(32)', f'"attempt_clocks": In({SHORT})'),
    Edit("attempt", '"count": Out(32)', f'"count": Out({SHORT})'),
    Edit("attempt", '"ahead": Out(32)', f'"ahead": Out({SHORT})'),
    Edit("attempt", "Signal(signed(33), init=-1)", f"Signal(signed({SHORT + 1}), init=-1)"),
    Edit("gate", '"ahead": In(32)', f'"ahead": In({SHORT})'),
    Edit("gate", '"start": In(32)', f'"start": In({SHORT})'),
    Edit("gate", '"stop": In(32)', f'"stop": In({SHORT})'),
)

CLAIMS = (
    Claim(
        "gate",
        "AttemptTracker and Gate: a click counts exactly when it lies in its gate of the running attempt; without a "
        "reference there is no attempt, and nothing counts.",
        gate,
        Induction(),
        (
            Mutation(
                "the gate of the attempt before stays open",
                Edit("gate", "inside.replicate(len(self.ticks)) & opens.passed", "opens.passed"),
                12,
            ),
            Mutation(
                "a reference within an attempt starts another",
                Edit("attempt", "accept.eq(reference & (left < 0))", "accept.eq(reference)"),
                8,
            ),
            Mutation(
                "the carry into the next clock is forgotten",
                Edit("gate", "Mux(late, equal_before & ~self.begin, self.equal)", "self.equal"),
                10,
            ),
            Mutation(
                "what the attempt before has passed is passed",
                Edit("gate", "past.eq(past & ~self.begin | reached)", "past.eq(past | reached)"),
                14,
            ),
        ),
        size=f"2 samples, {SHORT} bits for ticks and clocks instead of 32",
        reduced=REDUCED,
        quick=Bounded(10),
        covers=14,
    ),
)
