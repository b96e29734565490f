"""Claims about vetoes: a completion near a forbidden click is no herald, and every other one is."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Mux

from qlink.gateware.delay import DelayLine
from qlink.gateware.parameters import Parameters
from qlink.gateware.pattern import DECISION, Pattern

from .attempts import later
from .bench import Bench
from .claim import Bounded, Claim, Mutation
from .matching import complete, settling
from .sources import Edit

__all__ = ["CLAIMS"]

WINDOW_BITS = 3
WINDOW = 4  # ticks, the longest
PARAMETERS = Parameters(channels=4, patterns=1, samples=2, window_bits=WINDOW_BITS, veto_depth=8, pattern_depth=8)
SAMPLES = PARAMETERS.samples
LATE = WINDOW // SAMPLES  # clocks, the longest delay
BEFORE = 2 * WINDOW // SAMPLES  # clocks from a click that vetoes to the completion, at most
QUIET = 6  # clocks until the settings have come through
NUMBER_BITS = 3  # of attempts: no two in sight have the same number

HERALDED, ALONE = "what_is_not_vetoed_is_a_herald", "nothing_else_is_a_herald"
TOLD, DELAYED = "every_veto_is_told", "the_delay_is_as_long_as_it_takes"


def vetoes():
    """Clicks come as they like, and so do attempts that are not shorter than the window; settings have any value."""
    b = Bench()
    b.m.submodules.line = line = DelayLine(PARAMETERS)
    b.m.submodules.pattern = dut = Pattern(PARAMETERS)
    clear = settling(b, QUIET)
    required, forbidden = (b.constant(name, PARAMETERS.channels) for name in ("required", "forbidden"))
    window = b.constant("window", WINDOW_BITS)
    delay = b.show("delay", Mux(forbidden.any(), (window + SAMPLES - 1) >> PARAMETERS.sub_bits, 0)[:2])
    clicks = [b.free(f"click_{c}", click.shape()) for c, click in enumerate(dut.slot.clicks)]
    start, number = _attempts(b, delay)
    b.assume(((required & forbidden) == 0) & (window <= WINDOW))
    b.assume(~clear | ~start & ~Cat(click.valid for click in clicks).any())
    b.m.d.comb += [
        line.slot.eq(Cat(*clicks, start, number[0])),
        line.clear.eq(clear),
        line.clocks[0].eq(dut.delay),
        line.channels[0].eq(dut.channels),
        dut.settings.required.eq(required),
        dut.settings.forbidden.eq(forbidden),
        dut.settings.window.eq(window),
        dut.clear.eq(clear),
        dut.now.clicks.eq(Cat(Mux(click.valid, 1 << click.sub, 0)[:SAMPLES] for click in clicks)),
        dut.now.start.eq(start),
        dut.now.number.eq(number[0]),
        dut.slot.eq(line.slots[0]),
    ]

    completes, firsts = _completions(b, clicks, start, dut.settings)
    near = _look_around(b, clicks, forbidden, number)
    vetoed = completes & Cat(b.show(f"is_near_{s}", _is_near(near, window, s, first)) for s, first in enumerate(firsts))
    heralds = later(b, "heralds", completes & ~vetoed, DECISION + 1)
    vetoed = later(b, "vetoes", vetoed.any(), DECISION + 1)
    decided = _as_late(b, "decided", Mux(dut.decided, 1 << dut.verdict.decided_sub, 0)[:SAMPLES], delay)
    told = _as_late(b, "told", dut.vetoed, delay)
    b.must(HERALDED, (heralds & ~decided) == 0)
    b.must(ALONE, (decided & ~heralds) == 0)
    b.must(TOLD, told == vetoed)
    b.must(DELAYED, clear | (dut.delay == delay))
    early = later(b, "early", Cat(near(tick) for tick in range(-2 * WINDOW, SAMPLES)).any(), DECISION + 1)
    b.reach("a_veto_by_a_click_after_the_completion", told & ~early & (required == 3) & (window == WINDOW))
    return b


def _attempts(b, shortest):
    """Let attempts start as they like, `shortest` clocks apart at least. Returns whether one does, and the number of
    the one that runs.
    """
    start, before = b.free("start"), b.signal("number_before", NUMBER_BITS)
    since = b.signal("clocks_since_start", range(LATE + 1), init=LATE)
    number = b.show("number", (before + start)[:NUMBER_BITS])
    b.m.d.sync += [before.eq(number), since.eq(Mux(start, 1, Mux(since == LATE, LATE, since + 1)))]
    b.assume(~start | (since >= shortest))
    return start, number


def _completions(b, clicks, start, settings):
    """Find completions, `LATE` clocks late. Returns at which subticks, and how old the first click would be at each."""
    wanted = [
        later(b, f"click_{c}", Cat(click.valid & needed, click.sub), LATE)
        for (c, click), needed in zip(enumerate(clicks), settings.required, strict=True)
    ]
    slots = [click.shape()(slot) for click, slot in zip(clicks, wanted, strict=True)]
    completes, ages = complete(b, slots, settings.required, settings.window, later(b, "start", start, LATE))
    firsts = []
    for s, of in enumerate(ages):
        contributing = [Mux(needed, age, 0) for age, needed in zip(of, settings.required, strict=True)]
        firsts.append(b.show(f"first_{s}", reduce(lambda one, other: Mux(one > other, one, other), contributing)))
    return Cat(completes), firsts


def _look_around(b, clicks, forbidden, number):
    """Return a function that tells whether there is a forbidden click so many ticks after the first one of the clock
    `LATE` clocks ago, in the attempt of that clock.
    """
    ticks = [
        Cat(click.valid & (click.sub == s) & forbids for click, forbids in zip(clicks, forbidden, strict=True)).any()
        for s in range(SAMPLES)
    ]
    around = [b.show("around", Cat(*ticks, number))]
    for clocks in range(1, LATE + BEFORE + 1):
        around.append(b.register(f"around_{clocks}", around[-1]))

    def near(tick):
        clock = around[LATE - tick // SAMPLES]
        return clock[tick % SAMPLES] & (clock[SAMPLES:] == around[LATE][SAMPLES:])

    return near


def _is_near(near, window, s, age):
    """Return whether a forbidden click is at most a window away from a click that at subtick `s` is so old."""
    found = [
        near(s - ticks + distance) & (abs(distance) <= window) & (age == ticks)
        for ticks in range(WINDOW + 1)
        for distance in range(-WINDOW, WINDOW + 1)
    ]
    return reduce(or_, found)


def _as_late(b, name, value, delay):
    """Return `value`, which is `delay` clocks late, as late as if the delay were the longest."""
    values = [value]
    for clocks in range(1, LATE + 1):
        values.append(b.register(f"{name}_{clocks}", values[-1]))
    return Array(reversed(values))[delay]


CLAIMS = (
    Claim(
        "vetoes",
        "DelayLine and Pattern: a completion is a herald, a constant time later, exactly if its attempt has no "
        "forbidden click at most a window before or after the completion's first click; else it is told to be vetoed.",
        vetoes,
        Bounded(36),
        (
            Mutation(
                "a click of the attempt before vetoes",
                Edit("veto", "Mux(number4, near4[1], near4[0])", "near4[0] | near4[1]"),
                22,
                (HERALDED,),
            ),
            Mutation(
                "the last click decides, not the first",
                Edit("veto", "(last_near7 ^ (other_near7 & ~other_region7))", "last_near7"),
                22,
                (HERALDED, ALONE, TOLD),
            ),
            Mutation(
                "two times near forbidden clicks are taken for one",
                Edit("veto", "other_near7 & ~other_region7", "other_near7"),
                22,
                (ALONE,),
            ),
            Mutation(
                "decided before the window is over",
                Edit(
                    "pattern", "(reach + parameters.samples - 1) >> parameters.sub_bits", "reach >> parameters.sub_bits"
                ),
                10,
                (DELAYED,),
            ),
        ),
        size=f"{PARAMETERS.channels} channels, {SAMPLES} samples, windows of up to {WINDOW} ticks",
        reduced=(Edit("veto", "WINDOW_BITS = 17", f"WINDOW_BITS = {WINDOW_BITS + 1}"),),
        quick=Bounded(20),
        covers=22,
    ),
)
