"""Claims about heralds: each has the next number, none is lost without being told."""

from amaranth.hdl import Cat, Mux

from qlink.firmware_bridge.wire import HeraldFlag
from qlink.gateware.herald import HeraldWriter
from qlink.gateware.order import DecisionQueue
from qlink.gateware.parameters import Parameters

from .bench import Bench
from .claim import Bounded, Claim, Mutation
from .observers import hold, watch_order, watch_progress
from .queues import SHALLOW
from .sources import Edit

__all__ = ["CLAIMS"]

DEPTH = 2


def numbers():
    """Two patterns decide as they like; each keeps no more heralds than it has places."""
    parameters = Parameters(channels=1, patterns=2, samples=1, pattern_depth=DEPTH, herald_depth=DEPTH)
    b = Bench()
    b.m.submodules.queue = queue = DecisionQueue(parameters)
    b.m.submodules.writer = writer = HeraldWriter(parameters)
    decided, kept = b.free("decided", 2), b.free("kept", 2)
    b.assume((kept & ~decided) == 0)
    b.m.d.comb += [
        queue.decided.eq(decided),
        queue.kept.eq(kept),
        writer.queue.payload.eq(queue.queue.payload),
        writer.queue.valid.eq(queue.queue.valid),
        queue.queue.ready.eq(writer.queue.ready),
        writer.heralds.ready.eq(b.free("ready")),
        *(head.gated.eq(1) for head in writer.heads),
    ]
    taken, herald = hold(b, "heralds", writer.heralds), writer.heralds.payload

    count = b.signal("count", 4)
    lost_before = b.signal("lost_before")
    b.m.d.sync += [
        count.eq(count + decided[0] + decided[1]),
        lost_before.eq((lost_before & ~kept.any()) | (decided & ~kept).any()),
    ]
    lost = [lost_before, Mux(kept[0], 0, lost_before | decided[0])]
    said = Cat(herald.sequence[:4], (herald.flags & HeraldFlag.HERALDS_LOST).any())
    inside = 0
    for p in range(2):
        item = Cat((count + (decided[0] if p else 0))[:4], lost[p])
        mine = taken & (herald.pattern == p)
        inside += watch_order(b, f"pattern_{p}", (kept[p], item), (mine, said), 2 * DEPTH + 3)
        places = b.signal(f"places_{p}", range(DEPTH + 1), init=DEPTH)
        b.m.d.sync += places.eq(places - kept[p] + writer.take[p])
        b.assume(~kept[p] | (places != 0))
    watch_progress(b, "writer", inside != 0, taken, writer.heralds.ready, 20)
    following = b.signal("following", 4)
    with b.m.If(taken):
        b.m.d.sync += following.eq(herald.sequence + 1)
    b.must("numbers_have_no_gap_that_is_not_told", ~taken | said[-1] | (herald.sequence[:4] == following))
    b.reach("one_after_lost_ones", taken & said[-1] & (herald.sequence == 4))
    return b


NUMBERS_REDUCED = (
    SHALLOW,
    Edit("order", '"sequence": 32,', '"sequence": 4,'),
    Edit("order", "sequence = Signal(32)", "sequence = Signal(4)"),
    Edit("herald", '"sequence": 32,', '"sequence": 4,'),
)

CLAIMS = (
    Claim(
        "herald numbers",
        "DecisionQueue and HeraldWriter: heralds are numbered in order of decision without gap or repeat; a lost one "
        "has its number, and the next record says so.",
        numbers,
        Bounded(36),
        (
            Mutation(
                "a lost one's number is used again",
                Edit("herald", '[sequence.eq(sequence + 1), go(at, "choose")]', '[go(at, "choose")]'),
                20,
            ),
            Mutation(
                "lost ones have no number",
                Edit("order", "number.eq(sum(noted.decided))", "number.eq(sum(noted.kept))"),
                20,
            ),
            Mutation("losses are not told", Edit("herald", "lost.eq(lost | entry.lost)", "lost.eq(lost)"), 24),
        ),
        size="2 patterns, 2 places each, numbers of 4 bits",
        reduced=NUMBERS_REDUCED,
        quick=Bounded(16),
        covers=24,
    ),
)
