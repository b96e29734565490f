"""Claims about what passes records on: nothing is lost, doubled, changed or out of order."""

from amaranth.hdl import Cat, Signal

from qlink.gateware.capture import STAMP_BITS, CaptureQueue
from qlink.gateware.losses import LossMeter
from qlink.gateware.parameters import Parameters
from qlink.gateware.record_queue import RecordQueue
from qlink.gateware.records import Merger
from qlink.gateware.spill import Spill

from .bench import Bench
from .claim import Bounded, Claim, Induction, Mutation
from .observers import drive, hold, watch_order, watch_progress
from .sources import Edit

__all__ = ["CLAIMS"]

SOURCES, QUEUED, IN_FLIGHT = 3, 4, 3
RECORDS = 8
SHALLOW = Edit("parameters", "(depth < 8 or", "(depth < 2 or")
NARROW = Edit("layouts", '"word": WORD_BITS, "last": 1, "page": PAGE_BITS', '"word": 3, "last": 1, "page": 1')


def spill():
    b = Bench()
    b.m.submodules.spill = dut = Spill(4)
    drive(b, "i", dut.i)
    b.m.d.comb += dut.o.ready.eq(b.free("ready"))
    taken = hold(b, "o", dut.o)
    inside = watch_order(b, "spill", (dut.i.valid & dut.i.ready, dut.i.payload), (taken, dut.o.payload), 2)
    watch_progress(b, "spill", inside != 0, taken, dut.o.ready, 1)
    b.reach("full", inside == 2)
    return b


def merger():
    """Every word says whose it is, so that it is known again."""
    b = Bench()
    b.m.submodules.merger = dut = Merger(SOURCES)
    b.m.d.comb += dut.records.ready.eq(b.free("ready"))
    taken, word = hold(b, "records", dut.records), dut.records.payload
    total = 0
    for number, source in enumerate(dut.sources):
        drive(b, f"source_{number}", source)
        b.assume(source.payload.word[:2] == number)
        passes = taken & (word.word[:2] == number)
        total += watch_order(
            b,
            f"source_{number}",
            (source.valid & source.ready, source.payload),
            (passes, dut.records.payload),
            2 + QUEUED,
        )
    under_way, owner = Signal(), Signal(2)
    with b.m.If(taken):
        b.m.d.sync += [under_way.eq(~word.last), owner.eq(word.word)]
    b.must("the_words_of_a_record_stay_together", ~(taken & under_way) | (word.word[:2] == owner))
    waiting = Cat(source.valid for source in dut.sources).any() & ~under_way
    watch_progress(b, "merger", waiting | (total != 0), taken, dut.records.ready, 5)
    b.reach("a_record_of_two_words_of_the_last_source", taken & under_way & (owner == SOURCES - 1))
    return b


def record_queue():
    b = Bench()
    b.m.submodules.queue = dut = RecordQueue(RECORDS)
    drive(b, "i", dut.i)
    b.m.d.comb += dut.o.ready.eq(b.free("ready"))
    taken = hold(b, "o", dut.o)
    inside = watch_order(b, "queue", (dut.i.valid & dut.i.ready, dut.i.payload), (taken, dut.o.payload), RECORDS + 5)
    watch_progress(b, "queue", inside != 0, taken, dut.o.ready, 12)
    b.must("idle_only_when_empty", ~dut.idle | (inside == 0))
    b.reach("three_words_with_different_pages", (inside == 3) & dut.o.valid)
    return b


def captures():
    """What is kept is the same that an observer kept; taken as the writer takes, not faster than every third clock."""
    parameters = Parameters(channels=2, patterns=1, samples=2, pattern_depth=4)
    b = Bench()
    b.m.submodules.queue = dut = CaptureQueue(parameters)
    slot = b.free("slot", dut.slot.shape())
    now, sub = b.free("now", len(dut.now)), b.free("sub", len(dut.sub))
    decided, take = b.free("decided"), b.free("take")
    b.m.d.comb += [dut.slot.eq(slot), dut.now.eq(now), dut.sub.eq(sub), dut.decided.eq(decided), dut.take.eq(take)]
    stamps = []
    for channel, click in enumerate(slot.clicks):
        newest = b.signal(f"newest_{channel}", STAMP_BITS)
        with b.m.If(click.valid):
            b.m.d.sync += newest.eq(Cat(click.sub, now))
        stamps.append(b.signal(f"stamp_{channel}", STAMP_BITS))
        b.m.d.comb += stamps[-1].eq(newest)
        with b.m.If(click.valid & (click.sub <= sub)):
            b.m.d.comb += stamps[-1].eq(Cat(click.sub, now))
    item = b.register("item", Cat(sub, now, slot.number, slot.flagged, *stamps))  # decided a clock later
    head = dut.head
    other = Cat(head.tick, head.number, head.flagged, *(head.stamps[c] for c in range(2)))
    keeps = b.show("keeps", decided & ~dut.full)
    inside = watch_order(b, "captures", (keeps, item), (take, other), 4)
    since = [b.register("kept_1", inside != 0), b.register("taken_1", take)]
    since += [b.register("kept_2", since[0]), b.register("taken_2", since[1])]
    b.assume(~take | (inside != 0) & since[0] & since[2] & ~since[1] & ~since[3])
    b.must("finds_room_for_one", ~dut.full | (inside >= 1))
    b.reach("full", dut.full & (inside == 3))
    return b


def losses():
    """What the observer counts between two closings is what a bracket says."""
    parameters = Parameters(channels=2, patterns=1, samples=2)
    b = Bench()
    b.m.submodules.meter = dut = LossMeter(parameters, [3, 5])
    lost, may_close = b.free("lost", 2), b.free("may_close", 2)
    clock, subs = b.free("clock", 2), b.free("subs", 2)
    b.m.d.comb += [
        dut.lost.eq(lost),
        dut.may_close.eq(may_close),
        dut.clock.eq(clock),
        dut.visit.eq(b.free("visit")),
        dut.subs.eq(subs),
        dut.brackets.ready.eq(b.free("ready")),
    ]
    taken, bracket = hold(b, "brackets", dut.brackets), dut.brackets.payload
    closed, inside = 0, 0
    for n, source in enumerate([3, 5]):
        is_open, count, first, last = b.signal(f"open_{n}"), b.signal(f"count_{n}", 4), Signal(3), Signal(3)
        tick = Cat(subs[n], clock)
        with b.m.If(dut.closing[n]):
            b.m.d.sync += [is_open.eq(lost[n]), count.eq(lost[n])]
        with b.m.Elif(lost[n]):
            b.m.d.sync += [is_open.eq(1), count.eq(count + 1)]
        with b.m.If(lost[n]):
            b.m.d.sync += last.eq(tick)
            with b.m.If(~is_open | dut.closing[n]):
                b.m.d.sync += first.eq(tick)
        said = Cat(bracket.tick[:3], bracket.begin[:3], bracket.count[:4])
        closed |= dut.closing[n] & is_open
        inside += watch_order(
            b,
            f"source_{n}",
            (dut.closing[n] & is_open, Cat(last, first, count)),
            (taken & (bracket.source == source), said),
            9,
        )
        watch_progress(b, f"source_{n}", is_open & may_close[n], dut.closing[n], dut.brackets.ready, 14)
    b.must("a_bracket_has_a_source", ~taken | (bracket.source == 3) | (bracket.source == 5))
    b.must("one_closes_at_a_time", ~dut.closing.all())
    b.must("is_told_a_clock_later_that_one_closes", dut.closed == b.register("closed", closed))
    b.must("is_pending_until_taken", dut.pending == (inside != 0))
    b.reach("a_bracket_of_three", taken & (bracket.count == 3))
    return b


CLAIMS = (
    Claim(
        "spill",
        "Spill: what goes in comes out once, unchanged, in order, and without delay.",
        spill,
        Induction(),
        (
            Mutation("a stall keeps an item that never came", Edit("spill", "full.eq(self.i.valid)", "full.eq(1)"), 8),
            Mutation(
                "what waits is forgotten", Edit("spill", "with m.If(full):", "with m.If(full & self.i.valid):"), 8
            ),
        ),
        covers=8,
    ),
    Claim(
        "merger",
        "Merger: each source's words come out once, unchanged and in order; the words of a record stay together.",
        merger,
        Bounded(24),
        (
            Mutation(
                "lets go after the first word", Edit("records", "offered & room & chosen.last", "offered & room"), 10
            ),
            Mutation(
                "a word is kept that was not taken",
                Edit("records", "taking.eq(offered & room)", "taking.eq(offered)"),
                12,
            ),
        ),
        size=f"{SOURCES} sources, words of 3 bits and pages of 1, {QUEUED} words queued, {IN_FLIGHT} kept free",
        reduced=(
            NARROW,
            Edit("records", "QUEUED = 16", f"QUEUED = {QUEUED}"),
            Edit("records", "IN_FLIGHT = 4", f"IN_FLIGHT = {IN_FLIGHT}"),
        ),
        quick=Bounded(12),
        covers=10,
    ),
    Claim(
        "record queue",
        "RecordQueue: words come out once, in order, with the page they came with.",
        record_queue,
        Bounded(20),
        (
            Mutation(
                "half of a page's change is overlooked",
                Edit("record_queue", "with m.If(same.all() | ~holding):", "with m.If(same[0] | ~holding):"),
                14,
            ),
            Mutation(
                "room is seen where there is none",
                Edit("record_queue", "fifo.level < self._depth - IN_FLIGHT", "fifo.level < self._depth + 2"),
                20,
            ),
        ),
        size=f"{RECORDS} entries, words of 3 bits and pages of 4",
        reduced=(
            Edit("layouts", "WORD_BITS = 32", "WORD_BITS = 3"),
            Edit("layouts", '"page": PAGE_BITS', '"page": 4'),
            Edit("record_queue", "from qlink.firmware_bridge.wire import PAGE_BITS", "PAGE_BITS = 4"),
        ),
        quick=Bounded(14),
        covers=14,
    ),
    Claim(
        "captures",
        "CaptureQueue: every kept herald comes out once, in order, with the newest clicks at its subtick.",
        captures,
        Induction(),
        (
            Mutation(
                "a click after the completion contributes",
                Edit("capture", "click.valid & (click.sub <= self.sub)", "click.valid"),
                8,
            ),
            Mutation(
                "a herald without room is kept all the same",
                Edit("capture", "keep = self.decided & ~self.full", "keep = self.decided"),
                12,
            ),
            Mutation("it is full too late", Edit("capture", "level >= depth - 2", "level >= depth"), 16),
        ),
        size="2 channels, 2 samples, 4 places, ticks of 3 bits",
        reduced=(
            SHALLOW,
            Edit("capture", "STAMP_BITS = 16", "STAMP_BITS = 3"),
        ),
        quick=Bounded(14),
        covers=16,
    ),
    Claim(
        "losses",
        "LossMeter: every loss is in one bracket, with its count (modulo 16), first and last tick.",
        losses,
        Bounded(28),
        (
            Mutation(
                "a loss at the closing counts on from those before",
                Edit("recent_losses", "lost & (visited | ~note.some)", "lost & ~note.some"),
                20,
            ),
            Mutation(
                "a closing at rest is a bracket",
                Edit("losses", "(closing & is_open).any()", "closing.any()"),
                20,
            ),
            Mutation(
                "a bracket goes on where the one before ended",
                Edit("bracket_store", "(visited.started | self.some) & ~visited.closes", "visited.started | self.some"),
                26,
            ),
        ),
        size="2 sources, 7 brackets, ticks of 3 bits",
        reduced=(
            Edit("parameters", "TICK_BITS = 64", "TICK_BITS = 3"),
            Edit("bracket_store", "COUNT_BITS = 48", "COUNT_BITS = 4"),
            Edit("bracket_store", "CLOSED = 15", "CLOSED = 7"),
        ),
        quick=Bounded(16),
        covers=24,
    ),
)
