"""A stand-in for the meter of losses."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assume, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import Kind
from qlink.gateware.layouts import stamped
from qlink.gateware.pipeline import delayed

__all__ = ["WAITING", "AnyMeter"]

WAITING = 2  # brackets that may wait
SHOWN = 1  # clocks from `closed` to the bracket, at the soonest: sooner than `LossMeter` shows it


class AnyMeter(wiring.Component):
    """Close brackets and show them whenever it likes, as far as `LossMeter` promises. They say nothing.

    Members
    -------
    as of `LossMeter`, and:
    closes : Out(1), `closing` closes a bracket
    """

    def __init__(self, parameters, sources):
        count = len(sources)
        super().__init__(
            {
                "lost": In(count),
                "clock": In(parameters.clock_bits),
                "subs": In(data.ArrayLayout(parameters.sub_bits, count)),
                "may_close": In(count),
                "visit": In(1),
                "closing": Out(count),
                "closes": Out(1),
                "closed": Out(1),
                "brackets": Out(stream.Signature(stamped(Kind.LOSS))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        turn, shows = Signal.like(self.closing), Signal()
        m.d.comb += [turn.eq(AnySeq(len(turn))), shows.eq(AnySeq(1))]
        is_open, stalled = Signal.like(self.closing), Signal()
        inside, ripe = Signal(range(WAITING + 1)), Signal(range(WAITING + 1))
        taken = self.brackets.valid & self.brackets.ready
        m.d.comb += [
            Assume((turn & (turn - 1)) == 0),
            self.closing.eq(Mux(inside < WAITING, turn & self.may_close, 0)),
            self.closes.eq((self.closing & is_open).any()),
            self.idle.eq(~(is_open | self.lost).any() & ~self.visit & (inside == 0)),
            self.brackets.valid.eq((ripe != 0) & (shows | stalled)),
        ]
        m.d.sync += [
            is_open.eq(self.lost | is_open & ~self.closing),
            self.closed.eq(self.closes),
            inside.eq(inside + self.closes - taken),
            ripe.eq(ripe + delayed(m, self.closed, SHOWN - 1) - taken),
            stalled.eq(self.brackets.valid & ~self.brackets.ready),
        ]
        return m
