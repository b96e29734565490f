"""Loss brackets: how many events of each source were lost between which two ticks."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.wire import Kind

from .bracket_store import BracketStore
from .layouts import stamped
from .recent_losses import RecentLosses

__all__ = ["LossMeter"]

TURNS = 3  # at least: a source's next turn reads what the last one wrote


class LossMeter(wiring.Component):
    """Bracket what is lost, each source for itself.

    A source's bracket is opened by its first loss, and closed when `may_close` and its turn has come: sources take
    turns of two clocks while there is any open one. An event lost in the clock in which its source closes opens the
    next bracket.

    Members
    -------
    lost : In(number of sources), an event of this source was lost
    clock : In, clock number of the events in `lost`
    subs : In, their subticks
    may_close : In(number of sources)
    visit : In(1), let sources take turns though none is open
    closing : Out(number of sources), whose turn it is and may close, open or not; at most one
    closed : Out(1), a bracket closes; high for one clock, the one after its `closing`
    brackets : Out(stream of a loss), eight clocks after `closed` at the soonest
    pending : Out(1), a closed bracket has not been taken yet; from `closed` on
    idle : Out(1), nothing is open or waiting
    """

    def __init__(self, parameters, sources):
        self._parameters = parameters
        self._sources = tuple(sources)
        count = len(self._sources)
        super().__init__(
            {
                "lost": In(count),
                "clock": In(parameters.clock_bits),
                "subs": In(data.ArrayLayout(parameters.sub_bits, count)),
                "may_close": In(count),
                "visit": In(1),
                "closing": Out(count),
                "closed": Out(1),
                "brackets": Out(stream.Signature(stamped(Kind.LOSS))),
                "pending": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = len(self._sources)
        turns = max(count, TURNS)
        m.submodules.recent = recent = RecentLosses(self._parameters, count, turns)
        m.submodules.store = store = BracketStore(self._sources, turns, len(recent.count))
        turn = Signal(2 * turns, init=1)  # first clock of the first source, second clock of it, and so on
        first, second = turn[: 2 * count : 2], turn[1 : 2 * count : 2]
        lost, closing, is_open = Signal(count), Signal(count), Signal(count)
        subs = Signal.like(self.subs)
        in_second, position = Signal(), Signal(range(turns))

        m.d.comb += [
            self.closing.eq(Mux(store.room, first & self.may_close, 0)),
            self.closed.eq((closing & is_open).any()),
            self.pending.eq(store.pending),
            recent.lost.eq(lost),
            recent.subs.eq(subs),
            recent.clock.eq(self.clock),
            recent.second.eq(in_second),
            recent.visited.eq(second),
            store.second.eq(in_second),
            store.position.eq(position),
            store.closes.eq(self.closed),
            store.some.eq(recent.some),
            store.count.eq(recent.count),
            store.tick.eq(recent.tick),
        ]
        m.d.sync += [
            lost.eq(self.lost),
            subs.eq(self.subs),
            closing.eq(self.closing),
            is_open.eq(lost | is_open & ~closing),
        ]
        connect(m, store.brackets, flipped(self.brackets))

        # The turns come to rest at the first one, whenever they start again.
        m.d.comb += self.idle.eq(~(self.lost | lost | is_open).any() & ~self.visit & ~self.pending & turn[0])
        with m.If(~self.idle):
            m.d.sync += [turn.eq(turn.rotate_left(1)), in_second.eq(~in_second)]
        with m.If(in_second):
            m.d.sync += position.eq(Mux(turn[-1], 0, position + 1))
        return m
