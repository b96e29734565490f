"""Accidental coincidences: what a pattern would find if one side of it were late by a set time."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import ACCIDENTAL_CLOCKS

from .completion import COMPLETED, CompletionFinder
from .interface import COUNT_BITS, ClickSlot
from .pipeline import delayed

FOUND = 3 + COMPLETED  # clocks from a click at the line to the completion that it makes


class ShiftLine(wiring.Component):
    """Show clicks as they come, and once more so many clocks later.

    Members
    -------
    clicks : In(array of ClickSlot)
    clear : In(1), nothing of what has come so far will show
    clocks : In, 0 to `ACCIDENTAL_CLOCKS`, 0: none shows again; may change only while `clear`
    direct, late : Out(array of ClickSlot), two clocks after `clicks`, and `clocks` more
    idle : Out(1), there is no click inside
    """

    def __init__(self, parameters):
        self.clicks_shape = data.ArrayLayout(ClickSlot(parameters), parameters.channels)
        super().__init__(
            {
                "clicks": In(self.clicks_shape),
                "clear": In(1),
                "clocks": In(range(ACCIDENTAL_CLOCKS + 1)),
                "direct": Out(self.clicks_shape),
                "late": Out(self.clicks_shape),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.clicks_shape, depth=ACCIDENTAL_CLOCKS + 1, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.en.eq(1), write.data.eq(self.clicks), self.direct.eq(delayed(m, self.clicks, 2))]
        m.d.sync += [
            write.addr.eq(Mux(self.clear, 0, write.addr + 1)),
            read.addr.eq(Mux(self.clear, -self.clocks, read.addr + 1)),
        ]

        stale = self._within(m, self.clear | (self.clocks == 0))
        for shown, kept in zip(self.late, read.data, strict=True):
            m.d.sync += [shown.valid.eq(kept.valid & ~stale), shown.sub.eq(kept.sub)]

        filled = Signal(init=1)
        m.d.sync += filled.eq(Cat(click.valid for click in self.clicks).any() | self.clear)
        m.d.comb += self.idle.eq(~filled & ~self._within(m, filled))
        return m

    def _within(self, m, event):
        """Return whether `event` was at most `clocks` clocks ago, give or take two: it is long before what matters."""
        left, within = Signal.like(self.clocks), Signal(init=1)
        m.d.sync += within.eq(event | (left != 0))
        with m.If(event):
            m.d.sync += left.eq(self.clocks)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return within


class AccidentalFinder(wiring.Component):
    """Find the completions of one pattern with its shifted channels late. Attempts play no part.

    Members
    -------
    direct, late : In(array of ClickSlot), as `ShiftLine` shows them
    required, shifted : In(channels)
    minimum : In(5), so many of the required channels are enough; 0: all
    window : In(16), ticks
    enable : In(1), 0: nothing is found
    clear : In(1), forget all clicks; the other settings may change only while it is high
    found : Out(1), `COMPLETED` clocks and one more after `direct` and `late`
    active : Out(1), there is a click that may yet matter
    """

    def __init__(self, parameters):
        self.parameters = parameters
        clicks = data.ArrayLayout(ClickSlot(parameters), parameters.channels)
        super().__init__(
            {
                "direct": In(clicks),
                "late": In(clicks),
                "required": In(parameters.channels),
                "shifted": In(parameters.channels),
                "minimum": In(COUNT_BITS),
                "window": In(16),
                "enable": In(1),
                "clear": In(1),
                "found": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        required, shifted = Signal(self.parameters.channels), Signal(self.parameters.channels)  # copies, near
        minimum, window, enable = Signal(COUNT_BITS), Signal(16), Signal()
        m.d.sync += [
            required.eq(self.required),
            shifted.eq(self.shifted),
            minimum.eq(self.minimum),
            window.eq(self.window),
            enable.eq(self.enable & self.shifted.any()),
        ]

        m.submodules.finder = finder = CompletionFinder(self.parameters)
        for click, direct, late, needs, is_late in zip(
            finder.slot.clicks, self.direct, self.late, required, shifted, strict=True
        ):
            m.d.sync += [
                click.valid.eq(Mux(is_late, late.valid, direct.valid) & needs),
                click.sub.eq(Mux(is_late, late.sub, direct.sub)),
            ]
        m.d.comb += [
            finder.required.eq(required),
            finder.minimum.eq(minimum),
            finder.window.eq(window),
            finder.enable.eq(enable),
            finder.clear.eq(self.clear),
            self.found.eq(finder.completed),
            self.active.eq(finder.active),
        ]
        return m
