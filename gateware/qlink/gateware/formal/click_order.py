"""Claims about the order of clicks and brackets in the stream: each has its place."""

from amaranth.hdl import Cat, Const, Mux

from qlink.firmware_bridge.wire import KIND_BITS, Kind
from qlink.gateware.clicks import ClickOrder
from qlink.gateware.parameters import Parameters

from .bench import Bench
from .claim import Claim, Induction, Mutation
from .observers import drive, hold
from .sources import Edit

__all__ = ["CLAIMS"]

PARAMETERS = Parameters(channels=3, patterns=1, samples=2)
CHANNELS, SAMPLES, SUB_BITS = PARAMETERS.channels, PARAMETERS.samples, PARAMETERS.sub_bits
CLOCK_BITS = MARK_BITS = 2
TICK_BITS = CLOCK_BITS + SUB_BITS
BEFORE, WATCHED, BEHIND = range(3)  # what a clock's number says: when it came

ONCE, CLOCKS = "clicks_of_a_clock_come_once_and_in_order", "clocks_come_in_order"
MARKED, TURNS = "clicks_come_behind_as_many_brackets_as_they_should", "no_bracket_passes_clicks_whose_turn_it_is"
HOLDS, WHOLE = "records_holds_what_it_offers", "a_record_is_a_click_or_a_whole_bracket"
BRACKET, IDLE = "a_bracket_comes_once_and_unchanged", "idle_only_when_all_has_gone"


def order():
    """Clocks with any clicks come as they like, so do brackets; the way out stalls as it likes.

    The clicks of one clock, whichever, are watched: what is said of them is true of all.
    """
    b = Bench()
    m, dut = b.m, ClickOrder(PARAMETERS)
    m.submodules.order = dut
    drive(b, "entries", dut.entries)
    drive(b, "brackets", dut.brackets)
    m.d.comb += [dut.drained.eq(b.free("drained")), dut.records.ready.eq(b.free("ready"))]
    entry, comes = dut.entries.payload, b.show("comes", dut.entries.valid & dut.entries.ready)
    picked, picks = b.signal("picked"), b.show("picks", comes & (entry.clock == WATCHED))
    m.d.sync += picked.eq(picked | picks)
    b.assume(Mux(picked, entry.clock == BEHIND, entry.clock < BEHIND))

    taken, word = hold(b, "records", dut.records), dut.records.payload
    under_way = b.signal("under_way")
    with m.If(taken):
        m.d.sync += under_way.eq(~word.last)
    begins, kind = taken & ~under_way, word.word[TICK_BITS:][:KIND_BITS]
    click, bracket = b.show("click", begins & (kind < CHANNELS)), b.show("bracket", begins & (kind == Kind.LOSS))
    b.must(WHOLE, ~begins | click & word.last | bracket & ~word.last)
    number = word.word[SUB_BITS:][:CLOCK_BITS]
    mine = b.show("mine", click & (number == WATCHED))

    places = Cat(entry.valid[c] & (entry.subs[c] == s) for s in range(SAMPLES) for c in range(CHANNELS))
    left, first = b.signal("left", len(places)), b.signal("first", len(places))
    m.d.comb += first.eq(left & (~left + 1))
    with m.If(picks):
        m.d.sync += left.eq(places)
    with m.Elif(mine):
        m.d.sync += left.eq(left & ~first)
    some, passed = b.signal("some_before"), b.signal("passed")
    m.d.sync += [some.eq(some | comes & ~picks & ~picked), passed.eq(passed | click & (number != BEFORE))]
    place = Const(1, len(places)) << (word.word[:SUB_BITS] * CHANNELS + kind)
    b.must(ONCE, ~mine | (place == first))
    b.must(CLOCKS, ~click | (number == WATCHED) | Mux(number == BEHIND, picked & (left == 0), some & ~passed))

    count, mark = b.signal("brackets_gone", MARK_BITS), b.signal("mark", MARK_BITS)
    m.d.sync += count.eq(count + (taken & under_way & word.last))
    with m.If(picks):
        m.d.sync += mark.eq(entry.mark)
    takes = b.show("takes", dut.brackets.valid & dut.brackets.ready)
    b.must(MARKED, ~mine | (count == mark))
    b.must(TURNS, ~takes | (left == 0) | (count != mark))
    owed, kept = b.signal("bracket_owed"), b.signal("bracket_kept", TICK_BITS)
    with m.If(takes):
        m.d.sync += [owed.eq(1), kept.eq(dut.brackets.payload.tick)]
    with m.Elif(bracket):
        m.d.sync += owed.eq(0)
    b.must(BRACKET, Mux(bracket, owed & (word.word[:TICK_BITS] == kept), ~takes | ~owed))
    b.must(IDLE, ~dut.idle | (left == 0) & ~owed)
    b.reach("all_clicks_of_a_clock_behind_a_bracket", mine & passed & (mark == 1) & (left == 1 << (len(places) - 1)))
    return b


CLAIMS = (
    Claim(
        "click order",
        "ClickOrder: the clicks of a clock come once each, by subtick and channel, behind those of the clocks before "
        "and when as many brackets have come as the clock's mark says; a bracket comes once, whole and unchanged.",
        order,
        Induction(),
        (
            Mutation(
                "a stall drops a click",
                Edit("clicks", "room = ~click.valid | click.ready", "room = Const(1)"),
                14,
                (HOLDS, ONCE, CLOCKS),
            ),
            Mutation(
                "clicks do not wait for brackets",
                Edit("clicks", "split.eq(holding & due & ~pending.any())", "split.eq(holding & ~pending.any())"),
                12,
                (MARKED,),
            ),
            Mutation(
                "a bracket does not wait for clicks",
                Edit("clicks", "Mux(holding, ~due, ", "Mux(holding, 1, "),
                12,
                (TURNS,),
            ),
            Mutation(
                "a bracket ends with its first word",
                Edit("clicks", "self.records.ready & self.records.payload.last", "self.records.ready"),
                16,
                (WHOLE, BRACKET),
            ),
            Mutation(
                "idle while there are clicks left",
                Edit("clicks", "resting & ~holding & ~self.entries.valid", "~holding & ~self.entries.valid"),
                10,
                (IDLE,),
            ),
        ),
        size=f"{CHANNELS} channels, {SAMPLES} samples, marks of {MARK_BITS} bits, brackets of two words",
        reduced=(
            Edit("parameters", "TICK_BITS = 64", f"TICK_BITS = {TICK_BITS}"),
            Edit("clicks", "MARK_BITS = 8", f"MARK_BITS = {MARK_BITS}"),
            Edit("layouts", "WORD_BITS = 32", f"WORD_BITS = {TICK_BITS + KIND_BITS}"),
            Edit("layouts", "return 1 + BODIES[kind].bytes * 8 // WORD_BITS", "return 2"),
        ),
        covers=24,
    ),
)
