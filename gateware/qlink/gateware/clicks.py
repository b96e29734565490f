"""Clicks on their way to the stream: filtered, queued, put in order; or lost, and bracketed."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import KIND_BITS, OFFSET_BITS, CounterGroup, Kind, counter_index

from .interface import ClickSlot
from .layouts import RecordWord, head_word, stamped
from .losses import LossMeter
from .parameters import TICK_BITS
from .records import Serialiser

__all__ = ["ClickOrder", "ClickRecorder"]

MARK_BITS = 8  # of the count of brackets by which a queued clock and the brackets before it find their order


class ClickRecorder(wiring.Component):
    """Make records of clicks, in tick order, and of what had to be lost.

    The clicks of a clock are one entry of a queue. When this is nearly full, every channel begins to lose; when it is
    half empty again, one channel after the other ceases to, and its loss bracket takes the place in the stream where
    its clicks are missing. This is the only place where a click can be lost.

    Members
    -------
    clock : In
    clicks : In(array of ClickSlot), of this clock
    streamed : In(channels), whose clicks are wanted
    filtered, lost : Out(channels), what became of the clicks of this clock; the others will be delivered
    records : Out(stream of RecordWord)
    idle : Out(1), nothing is open or waiting
    """

    def __init__(self, parameters):
        self._parameters = parameters
        channels = parameters.channels
        super().__init__(
            {
                "clock": In(parameters.clock_bits),
                "clicks": In(data.ArrayLayout(ClickSlot(parameters), channels)),
                "streamed": In(channels),
                "filtered": Out(channels),
                "lost": Out(channels),
                "records": Out(stream.Signature(RecordWord)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channels = self._parameters.channels
        entry_shape = _entry(self._parameters)
        sources = [counter_index(CounterGroup.CLICKS_LOST, c) for c in range(channels)]
        m.submodules.queue = queue = SyncFIFOBuffered(width=entry_shape.size, depth=self._parameters.click_depth + 1)
        m.submodules.losses = losses = LossMeter(self._parameters, sources)
        m.submodules.order = order = ClickOrder(self._parameters)
        losing = Signal(channels)
        entry = Signal(entry_shape)
        writing = Signal()
        coming = self._judge(m, losses, losing, entry, writing)
        self._watch(m, queue, losses, losing)

        m.d.comb += [
            queue.w_data.eq(entry),
            queue.w_en.eq(writing),
            order.entries.payload.eq(queue.r_data),
            order.entries.valid.eq(queue.r_rdy),
            queue.r_en.eq(order.entries.ready),
            self.idle.eq(~coming & ~losing.any() & order.idle & losses.idle & (queue.level == 0)),
        ]
        # A clock late, and early enough: a bracket shows some clocks after the last click before it was queued.
        m.d.sync += order.drained.eq((queue.level == 0) & ~writing)
        connect(m, losses.brackets, order.brackets)
        connect(m, flipped(self.records), order.records)
        return m

    def _judge(self, m, losses, losing, entry, writing):
        """Let each click go one of three ways. A channel that ceases to lose in this clock takes its click.

        Returns whether clicks are on their way to the queue.
        """
        valid = Cat(slot.valid for slot in self.clicks)
        blocked = losing & ~losses.closing
        accepted = valid & self.streamed & ~blocked
        m.d.comb += [
            self.filtered.eq(valid & ~self.streamed),
            self.lost.eq(valid & self.streamed & blocked),
            losses.lost.eq(self.lost),
            losses.clock.eq(self.clock),
        ]
        judged = Signal.like(entry)  # a clock before it is marked, as its losses settle
        m.d.sync += [judged.clock.eq(self.clock), judged.valid.eq(accepted)]
        for c, slot in enumerate(self.clicks):
            m.d.comb += losses.subs[c].eq(slot.sub)
            m.d.sync += judged.subs[c].eq(slot.sub)
        m.d.sync += [
            entry.clock.eq(judged.clock),
            entry.valid.eq(judged.valid),
            entry.subs.eq(judged.subs),
            writing.eq(judged.valid.any()),
        ]
        with m.If(losses.closed):
            m.d.sync += entry.mark.eq(entry.mark + 1)
        return valid.any() | judged.valid.any() | writing

    def _watch(self, m, queue, losses, losing):
        depth = self._parameters.click_depth
        nearly_full, half_empty = Signal(), Signal()
        m.d.sync += [nearly_full.eq(queue.level > depth - 7), half_empty.eq(queue.level <= depth // 2)]
        m.d.comb += [
            losses.visit.eq(losing.any()),
            losses.may_close.eq(half_empty.replicate(len(losing))),
        ]
        with m.If(nearly_full):
            m.d.sync += losing.eq(-1)
        with m.Else():
            m.d.sync += losing.eq(losing & ~losses.closing)


class ClickOrder(wiring.Component):
    """Put queued clicks and brackets into one order, as records.

    Clicks come by clock, subtick, channel. An entry takes a clock for each click and one for each subtick that has any.
    A bracket comes after the clicks that were queued before it was closed and before those after: each entry says
    (`mark`) how many brackets there were before it.

    Members
    -------
    entries : In(stream of a clock's clicks)
    brackets : In(stream of a loss)
    drained : In(1), no entry is on its way that was queued before a bracket that shows
    records : Out(stream of RecordWord)
    idle : Out(1), nothing is under way or waiting
    """

    def __init__(self, parameters):
        self._parameters = parameters
        super().__init__(
            {
                "entries": In(stream.Signature(_entry(parameters))),
                "brackets": In(stream.Signature(stamped(Kind.LOSS))),
                "drained": In(1),
                "records": Out(stream.Signature(RecordWord)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.serialiser = serialiser = Serialiser(Kind.LOSS)
        entry, holding, split = Signal(_entry(self._parameters)), Signal(), Signal()
        click = stream.Signature(RecordWord).create()
        lanes, pending, clock = self._split(m, entry, split)
        resting = Signal()
        self._pick(m, lanes, pending, clock, click, resting)

        done = Signal(MARK_BITS)
        due = Signal()  # the entry's mark, compared when it came and, as long as it is held, again and again
        m.d.sync += due.eq(Mux(holding, entry.mark == done, self.entries.payload.mark == done))
        turn_of_bracket = self.brackets.valid & Mux(holding, ~due, self.drained & ~self.entries.valid)
        m.d.comb += [
            self.entries.ready.eq(~holding),
            serialiser.events.payload.eq(self.brackets.payload),
            self.idle.eq(resting & ~holding & ~self.entries.valid & ~self.brackets.valid),
        ]
        with m.If(~holding):
            m.d.sync += [entry.eq(self.entries.payload), holding.eq(self.entries.valid)]
        with m.Elif(split):
            m.d.sync += holding.eq(0)
        with m.FSM():
            with m.State("CLICKS"):
                m.d.comb += [
                    split.eq(holding & due & ~pending.any()),
                    self.records.payload.eq(click.payload),
                    self.records.valid.eq(click.valid),
                    click.ready.eq(self.records.ready),
                ]
                with m.If(turn_of_bracket & resting):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [serialiser.events.valid.eq(1), self.brackets.ready.eq(1), self.idle.eq(0)]
                m.next = "BRACKET"
            with m.State("BRACKET"):
                m.d.comb += [
                    self.records.payload.eq(serialiser.records.payload),
                    self.records.valid.eq(serialiser.records.valid),
                    serialiser.records.ready.eq(self.records.ready),
                    self.idle.eq(0),
                ]
                with m.If(self.records.valid & self.records.ready & self.records.payload.last):
                    m.d.sync += done.eq(done + 1)
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.comb += self.idle.eq(0)
                m.next = "CLICKS"
        return m

    def _split(self, m, entry, split):
        """Sort an entry's clicks into lanes, one per subtick; `pending` are those that have any."""
        samples, channels = self._parameters.samples, self._parameters.channels
        lanes = Signal(data.ArrayLayout(channels, samples))
        pending = Signal(samples)
        clock = Signal(self._parameters.clock_bits)
        with m.If(split):
            m.d.sync += clock.eq(entry.clock)
            for s in range(samples):
                lane = Cat(entry.valid[c] & (entry.subs[c] == s) for c in range(channels))
                m.d.sync += [lanes[s].eq(lane), pending[s].eq(lane.any())]
        return lanes, pending, clock

    def _pick(self, m, lanes, pending, clock, click, resting):
        """Make a record of one click after the other. `resting`: none is left."""
        channels, sub_bits = self._parameters.channels, self._parameters.sub_bits
        mask = Signal(channels)  # clicks left of the lane under way
        tick = Signal(TICK_BITS)
        first = _lowest(pending)
        lane = _any(Mux(first[s], lanes[s], 0) for s in range(len(pending)))
        room = ~click.valid | click.ready
        busy = mask.any()
        m.d.comb += resting.eq(~pending.any() & ~busy & ~click.valid)

        with m.If(room):
            m.d.sync += [
                click.valid.eq(busy),
                click.payload.word.eq(head_word(_encode(mask, KIND_BITS), tick)),
                click.payload.page.eq(tick[OFFSET_BITS:]),
                click.payload.last.eq(1),
                mask.eq(mask & (mask - 1)),
            ]
        with m.If(pending.any() & ~busy):
            m.d.sync += [
                mask.eq(lane),
                tick.eq(Cat(_encode(first, sub_bits), clock)),
                pending.eq(pending & ~first),
            ]


def _entry(parameters):
    """Return the shape of the clicks of one clock, as they are queued."""
    return data.StructLayout(
        {
            "clock": parameters.clock_bits,
            "valid": parameters.channels,
            "subs": data.ArrayLayout(parameters.sub_bits, parameters.channels),
            "mark": MARK_BITS,
        }
    )


def _lowest(mask):
    """Return `mask` with its lowest set bit only."""
    return (mask & (~mask + 1))[: len(mask)]


def _encode(mask, width):
    """Return the number of the lowest set bit."""
    one_hot = _lowest(mask)
    numbers = [Mux(one_hot[n], Const(n, width), 0) for n in range(len(mask))]
    return _any(numbers)[:width]


def _any(values):
    """Return the bitwise or."""
    result = Const(0, 0)
    for value in values:
        result = result | value
    return result
