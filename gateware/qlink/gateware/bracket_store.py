"""Memory for loss brackets: each source's open one, and closed ones until they are taken."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import Kind

from .block_ram import BLOCK_RAM
from .layouts import stamped
from .parameters import TICK_BITS

__all__ = ["BracketStore"]

COUNT_BITS = 48
CLOSED = 15  # brackets that may wait, all ones: a source has one place more, for its open one
NUMBER_BITS = CLOSED.bit_length()
UNSEEN = 3  # that close before `room` knows


class BracketStore(wiring.Component):
    """Merge what a source has lost lately into its bracket; show closed brackets in the order of their closing.

    A source's brackets take its places by turns. All but its open one are waiting, so it finds a free one.
    What a visit writes is read at the same source's next one, three turns later at the soonest.

    Members
    -------
    second, position, some, count, tick : In, as in `RecentLosses`
    closes : In(1), the bracket of whose turn it is closes; in the second clock of the turn
    room : Out(1), a bracket may close in the coming turn
    brackets : Out(stream of a loss), eight clocks after `closes` at the soonest
    pending : Out(1), a closed bracket has not been taken yet; from `closes` on. Meanwhile there have to be turns
    """

    def __init__(self, sources, turns, count_bits):
        self._sources = tuple(sources)
        self._turns = turns
        super().__init__(
            {
                "second": In(1),
                "position": In(range(turns)),
                "some": In(1),
                "count": In(count_bits),
                "tick": In(TICK_BITS),
                "closes": In(1),
                "room": Out(1),
                "brackets": Out(stream.Signature(stamped(Kind.LOSS))),
                "pending": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place = data.StructLayout({"number": NUMBER_BITS, "source": range(self._turns)})
        m.submodules.queue = queue = SyncFIFO(width=place.size, depth=CLOSED + 1)
        state, written = self._follow(m, place, queue)
        head = Signal(place)
        m.d.comb += [
            queue.w_data.eq(written.place),
            queue.w_en.eq(written.closes & self.second),
            head.eq(queue.r_data),
        ]
        m.d.sync += self.room.eq(queue.level < CLOSED - UNSEEN)
        ticks = self._keep_ticks(m, written)
        counts = self._add_up(m, written, state, head)
        self._show(m, queue, head, ticks, counts)
        return m

    def _follow(self, m, place, queue):
        """Return the state of the bracket of whose turn it is, and what to write of the turn before the last one."""
        shape = data.StructLayout({"started": 1, "number": NUMBER_BITS})
        states = [Signal(shape, name=f"state{n}") for n in range(self._turns - 1)]
        state = states[-1]
        visited = Signal(data.StructLayout({"place": place, "started": 1, "closes": 1}))
        written = Signal(data.StructLayout({"place": place, "begins": 1, "ends": 1, "closes": 1}))
        with m.If(self.second):
            m.d.sync += [
                visited.eq(Cat(state.number, self.position, state.started, self.closes)),
                states[0].started.eq((visited.started | self.some) & ~visited.closes),
                states[0].number.eq(visited.place.number + visited.closes),
                *(later.eq(earlier) for earlier, later in pairwise(states)),
                written.eq(Cat(visited.place, self.some & ~visited.started, self.some, visited.closes)),
            ]
        m.d.comb += self.pending.eq(self.closes | visited.closes | written.closes | (queue.level != 0))
        return state, written

    def _keep_ticks(self, m, written):
        """Write a begin in the first clock of a turn, an end in the second one. Return the port to read them."""
        m.submodules.ticks = ticks = Memory(
            shape=TICK_BITS, depth=2 * self._turns << NUMBER_BITS, init=[], attrs=BLOCK_RAM
        )
        write = ticks.write_port()
        m.d.comb += [
            write.addr.eq(Cat(self.second, written.place)),
            write.data.eq(self.tick),
            write.en.eq(Mux(self.second, written.ends, written.begins)),
        ]
        return ticks.read_port()

    def _add_up(self, m, written, state, head):
        """Add to the count. Return the port that in the second clock of a turn reads that of the bracket at `head`."""
        m.submodules.counts = counts = Memory(
            shape=COUNT_BITS, depth=self._turns << NUMBER_BITS, init=[], attrs=BLOCK_RAM
        )
        write, read = counts.write_port(), counts.read_port()
        kept, total = Signal(COUNT_BITS), Signal(COUNT_BITS)
        with m.If(self.second):
            m.d.sync += [kept.eq(read.data), total.eq(kept + self.count)]
        with m.If(self.second & ~state.started):
            m.d.sync += kept.eq(0)
        m.d.comb += [
            read.addr.eq(Mux(self.second, head, Cat(state.number, self.position))),
            write.addr.eq(written.place),
            write.data.eq(total),
            write.en.eq(written.ends),
        ]
        return read

    def _show(self, m, queue, head, ticks, counts):
        """Fetch the bracket at `head` and show it: its end from the memory, where it stays."""
        bracket = self.brackets.payload
        at_end = Signal()
        m.d.comb += [
            ticks.addr.eq(Cat(at_end, head)),
            bracket.tick.eq(ticks.data),
            bracket.source.eq(Array(self._sources)[head.source]),
        ]
        with m.FSM():
            with m.State("BEGIN"), m.If(queue.r_rdy & ~self.second):
                m.next = "END"
            with m.State("END"):
                m.d.comb += at_end.eq(1)
                m.d.sync += bracket.begin.eq(ticks.data)
                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += at_end.eq(1)
                m.d.sync += bracket.count.eq(counts.data)
                m.next = "SHOWN"
            with m.State("SHOWN"):
                m.d.comb += [at_end.eq(1), self.brackets.valid.eq(1), queue.r_en.eq(self.brackets.ready)]
                with m.If(self.brackets.ready):
                    m.next = "BEGIN"
