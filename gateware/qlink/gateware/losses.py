"""Loss brackets: how many events of each source were lost between which two ticks."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import Kind

from .layouts import stamped
from .parameters import TICK_BITS

__all__ = ["LossMeter"]

COUNT_BITS = 48
CLOSED = 15  # brackets that may wait: with the one at the end as many as a LUT holds


class LossMeter(wiring.Component):
    """Bracket what is lost, each source for itself.

    A source's bracket is opened by its first loss, and closed when `may_close` and its turn has come: sources take
    turns while there is any open one. An event lost in the clock in which its source closes opens the next bracket.

    Members
    -------
    lost : In(number of sources), an event of this source was lost
    clock : In, clock number of the events in `lost`
    subs : In, their subticks
    may_close : In(number of sources)
    visit : In(1), let sources take turns though none is open
    closing : Out(number of sources), whose turn it is and may close, open or not; at most one
    closed : Out(1), a bracket closes; high for one clock, the one after its `closing`
    brackets : Out(stream of a loss), five clocks after `closed` at the soonest
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
        bracket = self.brackets.payload
        m.submodules.queue = queue = SyncFIFOBuffered(width=bracket.shape().size, depth=CLOSED + 1)
        events = self._settle(m)
        meters, opens, closings = zip(*(self._meter(m, event) for event in events), strict=True)
        losses = [
            Cat(meter.end, meter.begin, meter.count, Const(s, 16))
            for meter, s in zip(meters, self._sources, strict=True)
        ]
        is_open = Cat(opens)
        turn = Signal(len(meters), init=1)
        settling = self.lost.any() | _any(event.lost for event in events)
        room = Signal()
        taken = Signal(bracket.shape())
        coming, taking = Signal(), Signal()

        m.d.comb += [
            self.closing.eq(Mux(room, turn & self.may_close, 0)),
            self.closed.eq(_any(event.closing & is_open for event, is_open in zip(events, opens, strict=True))),
            queue.w_data.eq(taken),
            queue.w_en.eq(taking),
            self.brackets.valid.eq(queue.r_rdy),
            bracket.eq(queue.r_data),
            queue.r_en.eq(self.brackets.ready),
            self.pending.eq(self.closed | coming | taking | (queue.level != 0)),
            self.idle.eq(~is_open.any() & ~self.pending & turn[0] & ~self.visit & ~settling),
        ]
        m.d.sync += [
            room.eq(queue.w_level < CLOSED - 5),
            coming.eq(self.closed),
            taking.eq(coming),
            taken.eq(_any(Mux(closing, loss, 0) for closing, loss in zip(closings, losses, strict=True))),
        ]
        with m.If(
            settling | is_open.any() | self.visit | ~turn[0]
        ):  # comes to rest at the first, whenever it starts again
            m.d.sync += turn.eq(turn.rotate_left(1))
        return m

    def _settle(self, m):
        """Register what the meters see, so that they cost the deciding logic no time."""
        shape = data.StructLayout({"lost": 1, "closing": 1, "tick": TICK_BITS})
        events = [Signal(shape, name=f"event{n}") for n in range(len(self._sources))]
        for n, event in enumerate(events):
            m.d.sync += [
                event.lost.eq(self.lost[n]),
                event.closing.eq(self.closing[n]),
                event.tick.eq(Cat(self.subs[n], self.clock)),
            ]
        return events

    def _meter(self, m, event):
        """Return the bracket, whether it is open, and a clock later whether it is closing: then it still stands.

        What moves the bracket's many bits is known a clock ahead, in registers.
        """
        shape = data.StructLayout({"begin": TICK_BITS, "end": TICK_BITS, "count": COUNT_BITS})
        meter, tick = Signal(shape), Signal(TICK_BITS)
        is_open, begins, lost, closing, counts = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            is_open.eq(event.lost | is_open & ~event.closing),
            begins.eq(event.closing | ~is_open),
            lost.eq(event.lost),
            closing.eq(event.closing),
            counts.eq(event.closing | event.lost),
            tick.eq(event.tick),
        ]
        with m.If(begins):
            m.d.sync += meter.begin.eq(tick)
        with m.If(lost):
            m.d.sync += meter.end.eq(tick)
        with m.If(counts):
            m.d.sync += meter.count.eq(Mux(closing, lost, meter.count + 1))
        return meter, is_open, closing


def _any(values):
    """Return the bitwise or."""
    result = 0
    for value in values:
        result = result | value
    return result
