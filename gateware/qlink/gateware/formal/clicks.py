"""Claims about what becomes of clicks: each is filtered, lost or queued, and no bracket passes it there."""

from amaranth.hdl import Cat

from qlink.gateware.clicks import ClickRecorder
from qlink.gateware.parameters import Parameters

from .any_meter import WAITING
from .attempts import later
from .bench import Bench
from .claim import Bounded, Claim, Induction, Mutation
from .sources import Edit

__all__ = ["CLAIMS"]

DEPTH = 8
ENTRIES = 3  # in a small queue
NEARLY_FULL = DEPTH - 7  # entries: with more than these, channels begin to lose
COUNT_BITS = 8  # of brackets that have closed, as in an entry
MARK_BITS = 2  # of them in a small entry

FILTERED, LOST, TOLD = "what_is_not_wanted_is_filtered", "what_is_wanted_is_lost_if_need_be", "what_is_lost_is_told"
QUEUED, ROOM = "all_else_is_queued_and_marked", "there_is_room_for_what_is_queued"
PASSED = "no_bracket_passes_clicks_that_are_queued"


def fates():
    """Clicks come as they like, wanted or not; brackets close and the way out stalls as they like."""
    b = Bench()
    dut = ClickRecorder(Parameters(click_depth=DEPTH))
    losses, queue, clicks = _record(b, dut)
    clock, streamed = b.free("clock", len(dut.clock)), b.free("streamed", len(dut.streamed))
    b.m.d.comb += [dut.clock.eq(clock), dut.streamed.eq(streamed)]
    came, subs = Cat(click.valid for click in clicks), Cat(click.sub for click in clicks)
    loses = b.signal("loses", len(streamed))
    with b.m.If(b.register("nearly_full", queue.level > NEARLY_FULL)):
        b.m.d.sync += loses.eq(-1)
    with b.m.Else():
        b.m.d.sync += loses.eq(loses & ~losses.closing)
    b.must(FILTERED, dut.filtered == came & ~streamed)
    b.must(LOST, dut.lost == came & streamed & loses & ~losses.closing)
    b.must(TOLD, losses.lost == dut.lost)

    accepted, closed = b.show("accepted", came & streamed & ~dut.lost), b.signal("brackets_closed", COUNT_BITS)
    mark = b.show("mark", (closed + losses.closes)[:COUNT_BITS])
    b.m.d.sync += closed.eq(mark)
    comes, entry = later(b, "comes", accepted.any(), 2), later(b, "entry", Cat(clock, accepted, subs, mark), 2)
    b.must(QUEUED, (queue.w_en == comes) & (~comes | (queue.w_data == entry)))
    b.must(ROOM, ~queue.w_en | queue.w_rdy)
    b.reach("one_channel_loses_and_the_other_does_not", dut.lost[1] & accepted[0])
    return b


def places():
    """Clicks come as they like, but no more than a small queue has room for; brackets close, and the way out stalls."""
    b = Bench()
    dut = ClickRecorder(Parameters(channels=2, patterns=1, samples=1, click_depth=DEPTH))
    losses, queue, _ = _record(b, dut)
    b.m.d.comb += dut.streamed.eq(-1)
    b.assume(~queue.w_en | queue.w_rdy)
    takes, taken = losses.brackets.valid & losses.brackets.ready, b.signal("brackets_taken", MARK_BITS)
    now = b.show("brackets_taken_now", (taken + takes)[:MARK_BITS])
    b.m.d.sync += taken.eq(now)
    due = b.show("brackets_due_before_the_oldest", (queue.r_data[-MARK_BITS:] - now)[:MARK_BITS])
    b.must(PASSED, ~queue.r_rdy | (due <= WAITING))
    b.reach("clicks_between_two_brackets", queue.r_rdy & (due == 1) & (taken == 1))
    return b


def _record(b, dut):
    """Let clicks and stalls come as they like. Returns the meter of losses, the queue and the clicks."""
    inner = b.place("recorder", dut)
    clicks = [b.free(f"click_{c}", click.shape()) for c, click in enumerate(dut.clicks)]
    b.m.d.comb += [dut.clicks.eq(Cat(clicks)), dut.records.ready.eq(b.free("ready"))]
    return inner["losses"], inner["queue"], clicks


ANY_METER = Edit("clicks", "from .losses import LossMeter", "from .formal.any_meter import AnyMeter as LossMeter")
STAND_IN = f"a stand-in for the meter of losses, in which {WAITING} brackets may wait"

CLAIMS = (
    Claim(
        "click fates",
        "ClickRecorder: a click that is not wanted is filtered; any other is lost and told to be so, if the queue has "
        "been nearly full and the channel's bracket not closed since, or else queued, whole and behind the brackets "
        "that have closed; there is always room for it.",
        fates,
        Induction(),
        (
            Mutation(
                "a channel that loses filters nothing",
                Edit(
                    "clicks",
                    "(valid & ~self.streamed),\n            self.lost.eq(valid & self.streamed & blocked)",
                    "(valid & ~self.streamed & ~blocked),\n            self.lost.eq(valid & blocked)",
                ),
                10,
                (FILTERED, LOST),
            ),
            Mutation(
                "the meter is told of clicks that are filtered",
                Edit("clicks", "losses.lost.eq(self.lost)", "losses.lost.eq(valid & blocked)"),
                10,
                (TOLD,),
            ),
            Mutation(
                "what is lost is queued all the same",
                Edit("clicks", "accepted = valid & self.streamed & ~blocked", "accepted = valid & self.streamed"),
                16,
                (QUEUED, ROOM),
            ),
            Mutation(
                "the queue is nearly full too late",
                Edit("clicks", "queue.level > depth - 7", "queue.level > depth - 3"),
                18,
                (ROOM,),
            ),
        ),
        size=f"as built, but {DEPTH} entries queued instead of 512; {STAND_IN}",
        reduced=(ANY_METER,),
        covers=12,
    ),
    Claim(
        "click places",
        "ClickRecorder: no bracket passes the clicks that were queued before it closed, so the turn of each comes.",
        places,
        Induction(),
        (
            Mutation(
                "a bracket does not wait for clicks on their way",
                Edit("clicks", "self.drained & ~self.entries.valid", "~self.entries.valid"),
                18,
                (PASSED,),
            ),
            Mutation(
                "a click may come to the queue when it is said to be empty",
                Edit("clicks", "order.drained.eq((queue.level == 0) & ~writing)", "order.drained.eq(queue.level == 0)"),
                18,
                (PASSED,),
            ),
        ),
        size=f"2 channels, 1 sample, {ENTRIES} entries queued, and no more come; brackets of two words; {STAND_IN} "
        "and show sooner",
        reduced=(
            ANY_METER,
            Edit("clicks", "depth=self._parameters.click_depth + 1", f"depth={ENTRIES}"),
            Edit("clicks", "MARK_BITS = 8", f"MARK_BITS = {MARK_BITS}"),
            Edit("parameters", "TICK_BITS = 64", "TICK_BITS = 2"),
            Edit("layouts", "return 1 + BODIES[kind].bytes * 8 // WORD_BITS", "return 2"),
        ),
        quick=Bounded(20),
        covers=30,
    ),
)
