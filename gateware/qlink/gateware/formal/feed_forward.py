"""Claims about feed-forward: a pulse lies where it was set, ends, and is not played when it cannot be."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Mux

from qlink.gateware.actions import ACTION_CLOCKS, Actions, ActionTable
from qlink.gateware.completion import FIRED
from qlink.gateware.parameters import Parameters
from qlink.gateware.pattern import DECISION

from .attempts import later
from .bench import Bench
from .claim import Bounded, Claim, Induction, Mutation
from .matching import settling
from .sources import Edit

__all__ = ["CLAIMS"]

START_BITS, WIDTH_BITS = 4, 3
PULSES = 2
SAMPLES = 2
OUTCOMES = OUTPUTS = 2
OUTPUTS_RIGHT = "outputs_are_the_pulses_of_what_is_heralded"
LONGEST = 2 ** (WIDTH_BITS - 1)  # clocks that a pulse is high in, the first and the last in part
LATE = 3  # clocks from a table's end to when another can begin
LATENCY = 2  # clocks from a click to its verdict
QUIET = 6  # clocks without a clear in which a herald becomes a pulse
FROM_CLICK = 6  # bits of a start counted from there


def play(b, name, starts, at, sub, pulses, clear):
    """Follow a table from the clock in which it `starts`, `at` clocks after its click. Returns the levels of each
    pulse's subticks, whether any is high or will be, and whether that was so a clock before.
    """
    m = b.m
    bits = len(at) + 1
    playing, age, place = b.signal(f"{name}_plays"), b.signal(f"{name}_age", bits), b.signal(f"{name}_sub", 1)
    now = b.show(f"{name}_age_now", Mux(starts, at, age)[:bits])
    here = b.show(f"{name}_sub_now", Mux(starts, sub, place))
    levels, ahead = [], []
    for start, width in pulses:
        ticks = [now * SAMPLES + s - here for s in range(SAMPLES)]
        high = Cat((tick >= start) & (tick < start + width) for tick in ticks)
        levels.append(Mux(starts | playing, high, 0))
        ahead.append((width != 0) & (ticks[0] < start + width))
    left = b.show(f"{name}_left", (starts | playing) & Cat(ahead).any())
    m.d.sync += [age.eq(now + 1), place.eq(here), playing.eq(left & ~clear)]
    return levels, left, playing


def table():
    """Announcements and `clear` come as they like; the table and how soon a pulse may begin are any."""
    b = Bench()
    parameters = Parameters(channels=1, patterns=1, samples=SAMPLES, veto_depth=8, pulses=PULSES)
    b.m.submodules.table = dut = ActionTable(parameters)
    pulses = [(b.constant(f"start_{p}", START_BITS), b.constant(f"width_{p}", WIDTH_BITS)) for p in range(PULSES)]
    announced, sub, earliest = b.free("announced"), b.free("sub"), b.free("earliest", START_BITS)
    clear = b.show("clears", b.free("clear") | settling(b, 3))
    b.m.d.comb += [
        dut.announcement.valid.eq(announced),
        dut.announcement.sub.eq(sub),
        dut.announcement.earliest.eq(earliest),
        dut.clear.eq(clear),
    ]
    for action, (start, width) in zip(dut.actions, pulses, strict=True):
        b.m.d.comb += [action.start.eq(start), action.width.eq(width)]

    asked = announced & ~clear & Cat(width != 0 for _, width in pulses).any()
    soon = Cat((width != 0) & (start[1:] < earliest) for start, width in pulses).any()
    asked, soon, at, then = (
        later(b, name, value, 2)
        for name, value in [
            ("asked", b.show("asks", asked)),
            ("soon", b.show("is_soon", soon)),
            ("at", earliest),
            ("then", sub),
        ]
    )
    cleared = b.register("cleared", clear)
    levels, left, plays = play(b, "table", dut.started, at, then, pulses, clear)
    lately = Cat(later(b, f"left_{n}", left, n) for n in range(1, LATE + 1)).any()

    shown = b.show("levels", Cat(dut.levels[p] for p in range(PULSES)))
    wanted = later(b, "wanted", b.show("wants", Mux(clear, 0, Cat(levels))), 2)
    b.must("pulses_lie_where_they_were_set", shown == wanted)
    for p in range(PULSES):
        lasts = b.signal(f"pulse_{p}_lasts", range(LONGEST + 2))
        b.m.d.sync += lasts.eq(Mux(dut.levels[p].any(), Mux(lasts > LONGEST, lasts, lasts + 1), 0))
        b.must(f"pulse_{p}_ends_in_time", lasts <= LONGEST)
    b.must("a_pulse_too_soon_is_refused", dut.refused == (asked & soon))
    b.must("what_is_refused_is_not_played", ~dut.started | asked & ~soon)
    b.must("what_is_safe_is_played", (dut.started | dut.dropped) == (asked & ~soon & ~(cleared & ~dut.dropped)))
    b.must("never_twice_at_a_time", ~dut.started | ~plays & ~dut.dropped)
    b.must("dropped_only_while_one_plays", ~dut.dropped | lately)
    b.must("clear_ends_all", (shown == 0) | ~later(b, "cleared_before", clear, 2))
    b.must("busy_as_long_as_there_is_more", dut.busy | ~left)
    b.reach("the_second_pulse_after_the_first", (wanted[:2] == 0) & (wanted[2:] == 2) & (pulses[0][1] > 4))
    return b


def outputs():
    """Two patterns of any outcomes decide as they like, with and without vetoes; a pulse an outcome, set as one likes.

    Once high, `clear` stays so for three clocks.
    """
    b = Bench()
    parameters = Parameters(channels=1, patterns=2, samples=SAMPLES, veto_depth=8, pulses=1)
    b.m.submodules.actions = dut = Actions(parameters, LATENCY)
    begun, free = b.signal("clear_begun", 2), b.free("clear")
    clear = b.show("clears", free | (begun != 0) | settling(b, 4))
    b.m.d.sync += begun.eq(Mux(begun != 0, begun - 1, Mux(free, 2, 0)))
    b.m.d.comb += dut.clear.eq(clear)

    heralds, subs, ages, outcomes = [], [], [], []
    for p, verdict in enumerate(dut.verdicts):
        plain, late = b.constant(f"plain_{p}"), b.constant(f"delay_{p}", 2)
        outcomes.append(b.constant(f"outcome_{p}", 2))
        fired, fired_sub = b.free(f"fired_{p}"), b.free(f"fired_sub_{p}")
        decided, decided_sub = b.free(f"decided_{p}"), b.free(f"decided_sub_{p}")
        b.m.d.comb += [
            verdict.plain.eq(plain),
            verdict.fired.eq(fired),
            verdict.fired_sub.eq(fired_sub),
            verdict.decided.eq(decided),
            verdict.decided_sub.eq(decided_sub),
            verdict.delay.eq(late),
            dut.settings.outcome[p].eq(outcomes[p]),
        ]
        heralds.append(Mux(plain, fired, decided))
        subs.append(Mux(plain, fired_sub, decided_sub))
        ages.append(LATENCY + ACTION_CLOCKS + Mux(plain, 0, late + DECISION - FIRED))

    now_clear = b.register("cleared", clear)
    quiet = b.signal("clear_is_so_long_ago", range(QUIET + 1))
    b.m.d.sync += quiet.eq(Mux(clear, 0, Mux(quiet == QUIET, QUIET, quiet + 1)))
    levels, rests = [], []
    for o in range(OUTCOMES):
        start, width = b.constant(f"start_{o}", FROM_CLICK), b.constant(f"width_{o}", WIDTH_BITS)
        output = b.constant(f"output_{o}", 2)
        action = dut.settings.actions[o]
        b.m.d.comb += [action.start.eq(start), action.width.eq(width), action.output.eq(output)]
        mine = [herald & (outcome == o) for herald, outcome in zip(heralds, outcomes, strict=True)]
        heralded = b.show(f"heralded_{o}", Cat(mine).any())
        asked = later(b, f"asked_{o}", heralded, ACTION_CLOCKS - 3)
        at = later(b, f"at_{o}", Mux(mine[0], ages[0], ages[1])[:FROM_CLICK], ACTION_CLOCKS - 3)
        sub = later(b, f"then_{o}", Mux(mine[0], subs[0], subs[1]), ACTION_CLOCKS - 3)
        started, dropped, refused = (getattr(dut.counts, name)[o] for name in ("started", "dropped", "refused"))
        [level], left, _ = play(b, f"outcome_{o}", started, at, sub, [(start, width)], now_clear)
        level = Mux(now_clear, 0, level)
        levels.append([Mux(output == out, level, 0)[:SAMPLES] for out in range(OUTPUTS)])
        rests.append(~left)
        unsafe, told = start[1:] < at, started + dropped + refused
        b.must(f"only_a_herald_plays_outcome_{o}", (told == 0) | asked & (width != 0))
        b.must(f"each_herald_of_outcome_{o}_is_told_of", (told == 1) | ~(asked & (width != 0) & (quiet == QUIET)))
        b.must(f"outcome_{o}_is_inert_if_unsafe", ~(started & unsafe) & ~(refused & ~unsafe))
    wanted = later(b, "wanted", b.show("wants", Cat(reduce(or_, column) for column in zip(*levels, strict=True))), 3)
    b.must(OUTPUTS_RIGHT, dut.outputs == wanted)
    b.must("clear_ends_all", (dut.outputs == 0) | ~later(b, "clear_before", clear, 4))
    b.must("idle_only_when_nothing_plays", ~dut.idle | Cat(rests).all() & (dut.outputs == 0))
    b.reach("pulses_of_two_outcomes_by_two_patterns", dut.outputs[0] & dut.outputs[2] & (outcomes[0] != outcomes[1]))
    return b


CLAIMS = (
    Claim(
        "action table",
        "ActionTable: each pulse is high exactly at the ticks that were set, counted from the click, and so ends; a "
        "table with a pulse too soon is inert; nothing plays after a clear.",
        table,
        Induction(),
        (
            Mutation(
                "a pulse does not end",
                Edit("actions", "rises.passed & ~falls.passed", "rises.passed"),
                16,
                ("pulses_lie_where_they_were_set", "pulse_0_ends_in_time", "pulse_1_ends_in_time"),
            ),
            Mutation(
                "a pulse that can begin a clock later only is safe",
                Edit("actions", "start[sub_bits:] < self.announcement", "start[sub_bits:] + 1 < self.announcement"),
                8,
                ("a_pulse_too_soon_is_refused", "what_is_refused_is_not_played"),
            ),
            Mutation(
                "a table begins while it is played",
                Edit("actions", "~unsafe.any() & ~playing & ~self.clear", "~unsafe.any() & ~self.clear"),
                12,
                ("never_twice_at_a_time",),
            ),
            Mutation(
                "a table plays to the end of the count",
                Edit("actions", "self.clear | ~begin & done | count[-1]", "self.clear | count[-1]"),
                24,
                ("dropped_only_while_one_plays",),
            ),
            Mutation(
                "a drop at the table's end is not told",
                Edit("actions", "asked & ~unsafe.any() & playing)", "asked & ~unsafe.any() & playing & ~done)"),
                16,
                ("what_is_safe_is_played",),
            ),
            Mutation(
                "clear does not end what plays",
                Edit("actions", "self.clear | ~begin & done", "~begin & done"),
                12,
                ("clear_ends_all",),
            ),
            Mutation(
                "busy only until it plays",
                Edit("actions", "judged.valid | playing", "judged.valid"),
                10,
                ("busy_as_long_as_there_is_more",),
            ),
        ),
        size=f"{PULSES} pulses, 2 samples, starts of {START_BITS} and widths of {WIDTH_BITS} bits instead of 24",
        reduced=(
            Edit("interface", '{"start": 24, "output": 2, "width": 24}', '{"start": 4, "output": 2, "width": 3}'),
            Edit("actions", "COUNT_BITS = 26", "COUNT_BITS = 5"),
        ),
        quick=Bounded(14),
        covers=20,
    ),
    Claim(
        "feed-forward",
        "Actions: the outputs are the pulses of the outcomes that were heralded, each counted from its click, of the "
        "lowest pattern if there are two; a table with a pulse too soon is inert; no herald, no pulse; nothing plays "
        "after a clear.",
        outputs,
        Bounded(28),
        (
            Mutation(
                "a completion plays before it may be vetoed",
                Edit("actions", "(Mux(vetoing, verdict.decided, verdict.fired))", "verdict.fired"),
                14,
                tuple(f"only_a_herald_plays_outcome_{o}" for o in range(OUTCOMES)),
            ),
            Mutation(
                "a late decision is taken for an early one",
                Edit("actions", "verdict.delay + (DECISION - FIRED)", "verdict.delay"),
                20,
                (*(f"outcome_{o}_is_inert_if_unsafe" for o in range(OUTCOMES)), OUTPUTS_RIGHT),
            ),
            Mutation(
                "two patterns' clicks are taken for one",
                Edit("actions", "chosen.eq(wanted & (~wanted + 1))", "chosen.eq(wanted)"),
                18,
                (OUTPUTS_RIGHT,),
            ),
            Mutation(
                "of two heralds in a row one is played",
                Edit("actions", "chosen.any() & ~clear", "chosen.any() & ~announcement.valid & ~clear"),
                14,
                tuple(f"each_herald_of_outcome_{o}_is_told_of" for o in range(OUTCOMES)),
            ),
            Mutation(
                "a clear does not reach the tables",
                Edit("actions", "table.clear.eq(clear)", "table.clear.eq(0)"),
                20,
                ("clear_ends_all",),
            ),
            Mutation(
                "idle before a pulse begins",
                Edit("actions", "under_way.append(table.busy)", "under_way.append(table.started)"),
                18,
                ("idle_only_when_nothing_plays",),
            ),
        ),
        size=f"2 patterns, {OUTCOMES} outcomes of 1 pulse, {OUTPUTS} outputs, 2 samples, starts of {FROM_CLICK} and "
        f"widths of {WIDTH_BITS} bits",
        reduced=(
            Edit("interface", '{"start": 24, "output": 2, "width": 24}', '{"start": 6, "output": 2, "width": 3}'),
            Edit("actions", "COUNT_BITS = 26", "COUNT_BITS = 7"),
            Edit("actions", "from qlink.firmware_bridge.registers import OUTPUTS", f"OUTPUTS = {OUTPUTS}"),
            Edit("actions", "from qlink.firmware_bridge.wire import OUTCOMES", f"OUTCOMES = {OUTCOMES}"),
        ),
        quick=Bounded(17),
        covers=24,
    ),
)
