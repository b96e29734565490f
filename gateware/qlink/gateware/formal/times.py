"""Claims about time: it never goes back."""

from amaranth.hdl import Mux

from qlink.gateware.parameters import Parameters
from qlink.gateware.timebase import Timebase

from .bench import Bench
from .claim import Claim, Induction, Mutation
from .sources import Edit

__all__ = ["CLAIMS"]


def timebase():
    b = Bench()
    latency = 5
    dut = Timebase(Parameters(), latency)
    inner = b.place("timebase", dut)
    skip = b.free("skip", 32)
    b.m.d.comb += dut.skip.eq(skip)
    age = b.signal("age", range(latency + 2))
    b.m.d.sync += age.eq(Mux(age > latency, age, age + 1))
    before, skipped = b.register("before", dut.clock), b.register("skipped", skip)
    started = b.register("started", age >= latency)
    b.must("clock_0_is_what_was_at_the_pins_at_first", (age > latency) | (dut.clock == 0))
    b.must(
        "each_clock_adds_one_and_what_is_skipped", ~started | (dut.clock == (before + skipped + 1)[: len(dut.clock)])
    )
    b.know("start", inner["filling"] == Mux(age > latency, 0, latency - age))
    b.reach("a_clock_after_a_skip", started & (skipped == 3) & (dut.clock == 5))
    b.must("never_goes_back", ~(age > 0) | (dut.clock >= before) | (before >> 61).any())
    return b


CLAIMS = (
    Claim(
        "timebase",
        "Timebase: each clock's number is that of the one before, one more, and what was skipped.",
        timebase,
        Induction(2),
        (
            Mutation(
                "a skip is counted a clock short", Edit("timebase", "self.skip + 1", "self.skip + (self.skip == 0)"), 12
            ),
            Mutation(
                "the clock ends at 32 bits",
                Edit("timebase", "self.clock + self.skip + 1", "(self.clock + self.skip + 1)[:32]"),
                12,
            ),
        ),
        covers=12,
        invariants="the start is as far as the observer says",
    ),
)
