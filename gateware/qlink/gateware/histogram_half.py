"""One half of a histogram: the clicks of one channel, by how long ago the other clicked."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import HISTOGRAM_WIDTH_MAX

from .interface import ClickSlot
from .neighbour import Neighbour
from .tally import COUNT_BITS, Tally

__all__ = ["HistogramHalf"]


class HistogramHalf(wiring.Component):
    """Count each click in the bin of its distance to the last click of the other channel, or as outside.

    Members
    -------
    click, other, enable, skip : In, as in `Neighbour`
    width : In(4), a bin is 2**width ticks wide
    zero : In(1), set the bin at `look` to 0; only when there are no clicks
    look : In, the bin that `value` shows
    value : Out(32), full : Out(1), as in `Tally`
    outside : Out(1), a click had no bin
    """

    def __init__(self, parameters, later):
        """`later` as in `Neighbour`."""
        self._parameters = parameters
        self._later = later
        self._places = parameters.histogram_bins // 2
        slot = ClickSlot(parameters)
        super().__init__(
            {
                "click": In(slot),
                "other": In(slot),
                "enable": In(1),
                "skip": In(32),
                "width": In(4),
                "zero": In(1),
                "look": In(range(self._places)),
                "value": Out(COUNT_BITS),
                "full": Out(1),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place_bits = (self._places - 1).bit_length()
        bits = place_bits + HISTOGRAM_WIDTH_MAX + 1  # what is too far for it is outside at any width
        m.submodules.neighbour = neighbour = Neighbour(self._parameters, bits, self._later)
        m.submodules.tally = tally = Tally(self._places)
        m.d.comb += [
            neighbour.click.eq(self.click),
            neighbour.other.eq(self.other),
            neighbour.enable.eq(self.enable),
            neighbour.skip.eq(self.skip),
        ]

        fine, coarse = Signal(bits), Signal(bits)  # shifted by 0 to 3, then by 0, 4, 8 or 12
        valid, far = Signal(3), Signal(3)
        inside = ~far[1] & ~coarse[place_bits:].any()
        place, hit = Signal(range(self._places)), Signal()
        m.d.sync += [
            fine.eq(neighbour.distance >> self.width[:2]),
            coarse.eq(fine >> (self.width[2:] << 2)),
            valid.eq(Cat(neighbour.valid, valid)),
            far.eq(Cat(neighbour.far, far)),
            place.eq(coarse),
            hit.eq(valid[1] & inside),
            self.outside.eq(valid[1] & ~inside),
        ]
        m.d.comb += [
            tally.hit.eq(hit),
            tally.zero.eq(self.zero),
            tally.index.eq(Mux(self.zero, self.look, place)),
            tally.look.eq(self.look),
            self.value.eq(tally.value),
            self.full.eq(tally.full),
        ]
        return m
