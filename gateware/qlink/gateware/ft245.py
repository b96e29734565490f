"""The byte pipes over the synchronous FIFO of an FT232H or FT2232H (FTDI's FT245 style, 60 MHz).

As the chip's data sheet and FTDI's AN_130 have it: everything happens at the rising edge of CLKOUT. A byte on the bus
is taken from us at an edge at which WR# and TXE# are both low, and given to us at one at which RD# and RXF# are both
low. OE# has to be low for a clock before RD# is, and must not be while we drive the bus. SIWU# low sends what the chip
holds without waiting for a full packet or for its latency timer.
"""

from amaranth.hdl import DomainRenamer, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

__all__ = ["Ft245", "Ft245Bus"]

BURST = 512  # bytes one way while the other way waits: a packet of high-speed USB
SIWU_CLOCKS = 16  # 267 ns
DOWN_DEPTH = 64  # bytes from the host that may wait
SPARE = 8  # of them, for bytes that come while the level is on its way to RD#
INPUT_PINS = ("data_i", "txe_n", "rxf_n")
PINS = (*INPUT_PINS, "data_o", "data_oe", "wr_n", "rd_n", "oe_n", "siwu_n")


class Ft245Bus(wiring.Component):
    """The bus itself, all in the domain of CLKOUT. Outputs are registers; inputs are read at the edge.

    Members
    -------
    data_i, data_o : In and Out(8); data_oe : Out(1), drive the pins with `data_o`
    txe_n, rxf_n : In(1); wr_n, rd_n, oe_n, siwu_n : Out(1)
    outgoing : In(stream of 8)
    incoming : Out(stream of 8), shown for one clock whether ready or not
    room : In(1), a few more bytes may come
    """

    data_i: In(8)
    data_o: Out(8)
    data_oe: Out(1)
    txe_n: In(1, init=1)
    rxf_n: In(1, init=1)
    wr_n: Out(1, init=1)
    rd_n: Out(1, init=1)
    oe_n: Out(1, init=1)
    siwu_n: Out(1, init=1)
    outgoing: In(stream.Signature(8))
    incoming: Out(stream.Signature(8, always_ready=True))
    room: In(1)

    def elaborate(self, platform):
        m = Module()
        self._send_immediately(m)
        holding = Signal()  # `data_o` is a byte that the chip has not taken
        sent = ~self.wr_n & ~self.txe_n  # at the coming edge
        burst = Signal(range(BURST + 1))
        reading_next = Signal()  # when both ways wait
        readable = ~self.rxf_n & self.room
        writable = ~self.txe_n & (holding | self.outgoing.valid)
        m.d.comb += [
            self.incoming.payload.eq(self.data_i),
            self.incoming.valid.eq(~self.rd_n & ~self.rxf_n),
        ]
        with m.If(self.outgoing.ready):
            m.d.sync += [self.data_o.eq(self.outgoing.payload), holding.eq(self.outgoing.valid)]
        with m.If(burst != 0):
            m.d.sync += burst.eq(burst - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += burst.eq(BURST)
                with m.If(readable & (reading_next | ~writable)):
                    m.d.sync += [self.oe_n.eq(0), reading_next.eq(0)]
                    m.next = "OPEN"
                with m.Elif(writable):
                    m.d.comb += self.outgoing.ready.eq(~holding)
                    m.d.sync += [self.data_oe.eq(1), self.wr_n.eq(0), reading_next.eq(1)]
                    m.next = "WRITE"
            with m.State("WRITE"):
                wanted = self.outgoing.valid & ~(readable & (burst == 0))
                m.d.comb += self.outgoing.ready.eq(sent & wanted)
                with m.If(sent & ~wanted):
                    m.d.sync += holding.eq(0)
                with m.If(Mux(sent, ~wanted, readable)):  # a byte that is not taken does not keep the host from sending
                    m.d.sync += [self.wr_n.eq(1), self.data_oe.eq(0)]
                    m.next = "RELEASE"
            with m.State("OPEN"):
                m.d.sync += self.rd_n.eq(0)
                m.next = "READ"
            with m.State("READ"), m.If(~readable | (burst == 0)):
                m.d.sync += [self.rd_n.eq(1), self.oe_n.eq(1)]
                m.next = "RELEASE"
            with m.State("RELEASE"):  # a clock in which nobody drives
                m.next = "IDLE"
        return m

    def _send_immediately(self, m):
        """Strobe SIWU# when there is no more to send."""
        unsent = Signal()  # the chip holds bytes of ours
        left = Signal(range(SIWU_CLOCKS + 1))
        m.d.sync += self.siwu_n.eq(left == 0)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.Elif(unsent & self.wr_n & ~self.outgoing.valid):
            m.d.sync += [left.eq(SIWU_CLOCKS), unsent.eq(0)]
        with m.If(~self.wr_n & ~self.txe_n):
            m.d.sync += unsent.eq(1)


class Ft245(wiring.Component):
    """The engine's byte pipes on the pins of the chip, by queues between the domain `sync` and that of CLKOUT.

    CLKOUT has to be the clock of the domain `ft245`. Bytes to the host: up to `depth` wait.

    Members
    -------
    data_i, data_o, data_oe, txe_n, rxf_n, wr_n, rd_n, oe_n, siwu_n : the pins, see `Ft245Bus`
    upstream : In(stream of 8), bytes to the host
    downstream : Out(stream of 8), bytes from the host
    """

    data_i: In(8)
    data_o: Out(8)
    data_oe: Out(1)
    txe_n: In(1, init=1)
    rxf_n: In(1, init=1)
    wr_n: Out(1, init=1)
    rd_n: Out(1, init=1)
    oe_n: Out(1, init=1)
    siwu_n: Out(1, init=1)
    upstream: In(stream.Signature(8))
    downstream: Out(stream.Signature(8))

    def __init__(self, depth=512):
        self._depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        bus = Ft245Bus()
        m.submodules.bus = DomainRenamer("ft245")(bus)
        m.submodules.up = up = AsyncFIFO(width=8, depth=self._depth, w_domain="sync", r_domain="ft245")
        m.submodules.down = down = AsyncFIFO(width=8, depth=DOWN_DEPTH, w_domain="ft245", r_domain="sync")
        for name in PINS:
            inner, outer = getattr(bus, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if name in INPUT_PINS else outer.eq(inner)
        connect(m, flipped(self.upstream), up.w_stream)
        connect(m, down.r_stream, flipped(self.downstream))
        m.d.ft245 += bus.room.eq(down.w_level < DOWN_DEPTH - SPARE)
        m.d.comb += [
            bus.outgoing.payload.eq(up.r_data),
            bus.outgoing.valid.eq(up.r_rdy),
            up.r_en.eq(bus.outgoing.ready),
            down.w_data.eq(bus.incoming.payload),
            down.w_en.eq(bus.incoming.valid),
        ]
        return m
