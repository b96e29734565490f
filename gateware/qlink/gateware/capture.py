"""What is kept of a herald from its decision until its record is made."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .interface import Slot

STAMP_BITS = 16  # of a tick: no age is longer, as no window is


class Capture(data.StructLayout):
    """One herald; ticks are those of the pattern's delayed clicks, modulo 2**16."""

    def __init__(self, parameters):
        super().__init__(
            {
                "tick": STAMP_BITS,
                "stamps": data.ArrayLayout(STAMP_BITS, parameters.channels),
                "delay": parameters.veto_depth.bit_length(),  # clocks from completion to decision
                "channels": parameters.channels,
                "outcome": 2,
                "gated": 1,
                "number": 1,
                "flagged": 1,
            }
        )


class CaptureQueue(wiring.Component):
    """Keep the heralds of one pattern, with the ticks of the clicks that made them.

    Members
    -------
    slot : In(Slot), of one clock before the decision
    now : In, low bits of a clock number for it
    sub : In, the subtick of its completion
    constant : In(Capture), what is the same for all: `delay`, `channels`, `outcome`, `gated`
    decided : In(1), there is a herald
    full : Out(1), it finds no room
    head : Out(Capture), the oldest one kept; two clocks after `take`, the next one
    take : In(1), drop it
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "slot": In(Slot(parameters)),
                "now": In(STAMP_BITS - parameters.sub_bits),
                "sub": In(parameters.sub_bits),
                "constant": In(Capture(parameters)),
                "decided": In(1),
                "full": Out(1),
                "head": Out(Capture(parameters)),
                "take": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        captured = Signal(Capture(self.parameters))
        m.d.comb += [
            captured.eq(self.constant),
            captured.tick.eq(Cat(self.sub, self.now)),
            captured.number.eq(self.slot.number),
            captured.flagged.eq(self.slot.flagged),
        ]
        newest = Signal(data.ArrayLayout(STAMP_BITS, self.parameters.channels))
        for channel, click in enumerate(self.slot.clicks):
            stamp = Cat(click.sub, self.now)
            contributes = click.valid & (click.sub <= self.sub)
            m.d.comb += captured.stamps[channel].eq(Mux(contributes, stamp, newest[channel]))
            with m.If(click.valid):
                m.d.sync += newest[channel].eq(stamp)

        self._keep(m, captured)
        return m

    def _keep(self, m, captured):
        """Write every clock's capture, and let the next one overwrite it unless it is decided to be a herald."""
        depth = self.parameters.pattern_depth
        m.submodules.memory = memory = Memory(shape=captured.shape(), depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        waiting = Signal.like(captured)  # that of the clock that is decided on
        written = Signal.like(write.addr)
        level = Signal(range(depth + 1))
        keep = self.decided & ~self.full
        m.d.comb += [write.en.eq(1), write.addr.eq(written), write.data.eq(waiting)]
        m.d.sync += [
            waiting.eq(captured),
            written.eq(written + keep),
            self.head.eq(read.data),
            read.addr.eq(read.addr + self.take),
            level.eq(level + keep - self.take),
            self.full.eq(level >= depth - 2),  # two spare: one is being written, and the level is seen a clock late
        ]
