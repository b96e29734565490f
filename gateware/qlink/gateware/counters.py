"""64-bit counters of single events, read all at one instant."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import (
    OUTCOMES,
    ActionCounter,
    CounterGroup,
    GlobalCounter,
    counter_index,
)

from .block_ram import BLOCK_RAM
from .shift_counter import ShiftCounter

__all__ = ["Count", "CounterBank", "counter_indices"]

VALUE_BITS = 64
HALF = VALUE_BITS // 2
DRAIN_CLOCKS = 8  # until what was taken for adding is in memory
GROUP = 16  # copies looked at in a step

CHANNEL_GROUPS = (
    CounterGroup.CLICKS,
    CounterGroup.MERGED,
    CounterGroup.GATED,
    CounterGroup.CLICKS_LOST,
    CounterGroup.CLICKS_FILTERED,
)
PATTERN_GROUPS = (CounterGroup.HERALDS, CounterGroup.VETOED, CounterGroup.HERALDS_LOST, CounterGroup.ACCIDENTALS)

Count = data.StructLayout({"index": 16, "value": VALUE_BITS})
"""One counter of a snapshot; `index` is the wire contract's."""


def counter_indices(parameters):
    """Return the index of every counter that a board of these parameters has, in the order of a snapshot."""
    sizes = dict.fromkeys(CHANNEL_GROUPS, parameters.channels) | dict.fromkeys(PATTERN_GROUPS, parameters.patterns)
    sizes |= {CounterGroup.GLOBAL: len(GlobalCounter)}
    sizes |= {CounterGroup.ACTIONS: len(ActionCounter) * OUTCOMES if parameters.pulses else 0}
    if not parameters.accidentals:
        del sizes[CounterGroup.ACCIDENTALS]
    if not parameters.streams:  # then all clicks are filtered
        del sizes[CounterGroup.CLICKS_LOST], sizes[CounterGroup.CLICKS_FILTERED]
    return [counter_index(group, member) for group in sorted(sizes) for member in range(sizes[group])]


class CounterBank(wiring.Component):
    """Count in small registers, and add these up, one after the other, in a memory of 64-bit words.

    Each small register has a copy, through which it is read: one after the other, and so starts again. A `take` copies
    all in one clock, so that a snapshot holds what was counted before the clock of `take` and nothing else. The copies
    are then added up, and the sums kept in a second memory to be sent while counting goes on.
    No event is missed at any time, however long `snapshot` stalls.

    Members
    -------
    increments : In(number of counters), in the order of `indices`; a 1 counts one event
    take : In(1), only when not `busy`
    busy : Out(1), from the clock after `take` until the last counter was taken from `snapshot`
    snapshot : Out(stream of Count)
    """

    def __init__(self, indices, start=0):
        """Count the counters of `indices`, each from `start` on."""
        self._indices = tuple(indices)
        self._start = start
        super().__init__(
            {
                "increments": In(len(self._indices)),
                "take": In(1),
                "busy": Out(1),
                "snapshot": Out(stream.Signature(Count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = len(self._indices)
        shape = data.StructLayout({"position": range(count), "going": 1, "of_copies": 1})
        turns = [Signal(shape, name=f"turn{clocks}") for clocks in range(7)]  # whose it is, and was `clocks` ago
        for turn, later in pairwise(turns):
            m.d.sync += later.eq(turn)
        one_hot, copying, scanned = Signal(count, init=1), Signal(), Signal()
        self._go_round(m, turns[0], one_hot, copying, scanned)
        counter = ShiftCounter(2 * count + 3 * DRAIN_CLOCKS)  # clocks between two turns, a snapshot in between
        copies = self._accumulate(m, counter, turns[0], one_hot, copying)
        increment = self._select(m, counter, one_hot.rotate_right(1), copies)
        kept = self._add_up(m, turns, increment)
        self._send(m, kept, scanned)
        return m

    def _go_round(self, m, turn, one_hot, copying, scanned):
        """Give each counter its turn, for ever. A snapshot lets what is under way end, and makes a round of its own."""
        pause = Signal(range(DRAIN_CLOCKS))
        at_end = turn.position == len(self._indices) - 1
        m.d.sync += scanned.eq(0)
        with m.If(turn.going):
            m.d.sync += [turn.position.eq(Mux(at_end, 0, turn.position + 1)), one_hot.eq(one_hot.rotate_left(1))]
        with m.FSM():
            with m.State("COUNT"):
                m.d.sync += turn.going.eq(~self.take)
                with m.If(self.take):
                    m.d.sync += [copying.eq(1), pause.eq(DRAIN_CLOCKS - 1)]
                    m.next = "EMPTY"
            with m.State("EMPTY"):
                m.d.sync += [copying.eq(0), turn.position.eq(0), one_hot.eq(1), pause.eq(pause - 1)]
                with m.If(pause == 0):
                    m.d.sync += [turn.of_copies.eq(1), turn.going.eq(1)]
                    m.next = "SCAN"
            with m.State("SCAN"), m.If(at_end):
                m.d.sync += [turn.of_copies.eq(0), turn.going.eq(0), pause.eq(DRAIN_CLOCKS - 1)]
                m.next = "STORE"
            with m.State("STORE"):
                m.d.sync += pause.eq(pause - 1)
                with m.If(pause == 0):
                    m.d.sync += scanned.eq(1)
                    m.next = "COUNT"

    def _accumulate(self, m, counter, turn, one_hot, copying):
        """Return the copies, each of which holds in the clock after its turn what was counted until then."""
        increments = Signal(len(self._indices))
        copies = [Signal(counter.bits, name=f"copy{n}") for n in range(len(increments))]
        m.d.sync += increments.eq(self.increments)
        for n, increment in enumerate(increments):
            small = Signal(counter.bits, name=f"small{n}", init=counter.zero)
            with m.If(copying | (turn.going & ~turn.of_copies & one_hot[n])):
                m.d.sync += [copies[n].eq(small), small.eq(Mux(increment, counter.one, counter.zero))]
            with m.Elif(increment):
                m.d.sync += small.eq(counter.next(small))
        return copies

    def _select(self, m, counter, one_hot, copies):
        """Return how much the copy says of whose turn it was in the clock before; three clocks later."""
        parts = []
        for n in range(0, len(copies), GROUP):
            pairs = zip(one_hot[n:][:GROUP], copies[n:][:GROUP], strict=True)
            parts.append(_registered(m, _any(Mux(bit, copy, 0) for bit, copy in pairs)))
        counts = counter.counts()
        # logic for it would be the slowest of the whole engine
        table = memory.Memory(shape=counter.bits, depth=len(counts), init=counts, attrs=BLOCK_RAM)
        m.submodules.counts = table
        read = table.read_port()
        m.d.comb += read.addr.eq(_registered(m, _any(parts)))
        return read.data

    def _add_up(self, m, turns, increment):
        """Add, the lower half a clock before the upper one. Returns the memory that holds a snapshot."""
        count = len(self._indices)
        m.submodules.totals = totals = memory.Memory(shape=VALUE_BITS, depth=count, init=[self._start] * count)
        m.submodules.kept = kept = memory.Memory(shape=VALUE_BITS, depth=count, init=[])
        read, write, keep = totals.read_port(), totals.write_port(), kept.write_port()
        low, high, total = Signal(HALF + 1), Signal(HALF), Signal(VALUE_BITS)
        m.d.sync += [
            low.eq(read.data[:HALF] + increment),
            high.eq(read.data[HALF:]),
            total.eq(Cat(low[:HALF], (high + low[HALF])[:HALF])),
        ]
        m.d.comb += [
            read.addr.eq(turns[3].position),
            Cat(write.addr, keep.addr).eq(turns[6].position.replicate(2)),
            Cat(write.data, keep.data).eq(total.replicate(2)),
            write.en.eq(turns[6].going),
            keep.en.eq(turns[6].going & turns[6].of_copies),
        ]
        return kept

    def _send(self, m, kept, scanned):
        position = Signal(range(len(self._indices)))
        read = kept.read_port()
        names = Array(self._indices)
        m.d.comb += [read.addr.eq(position), self.snapshot.payload.value.eq(read.data)]
        with m.If(self.take):
            m.d.sync += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"), m.If(scanned):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += self.snapshot.payload.index.eq(names[position])
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.snapshot.valid.eq(1)
                with m.If(self.snapshot.ready):
                    with m.If(position == len(self._indices) - 1):
                        m.d.sync += [position.eq(0), self.busy.eq(0)]
                        m.next = "IDLE"
                    with m.Else():
                        m.d.sync += position.eq(position + 1)
                        m.next = "FETCH"


def _registered(m, value):
    register = Signal(len(value))
    m.d.sync += register.eq(value)
    return register


def _any(values):
    """Return the bitwise or."""
    result = 0
    for value in values:
        result = result | value
    return result
