"""The byte pipes over an asynchronous serial line: 8 data bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

__all__ = ["BitClock", "Uart", "UartReceiver", "UartTransmitter"]

PHASE_BITS = 24
ERROR_MAX = 0.01  # of a bit rate that is no fraction of the clock's; half of what a frame of ten bits stands
BYTE_BITS = 8


class BitClock(wiring.Component):
    """Strobe at `baud`, a fraction of the clock: the carries of a phase that is added up, so no error adds up.

    `restart` begins a bit anew, or in its middle when `halfway`.
    """

    restart: In(1)
    halfway: In(1)
    strobe: Out(1)

    def __init__(self, clock_hz, baud):
        if not 0 < baud <= clock_hz // 4:
            raise ValueError(f"baud must be 1 to a quarter of the clock, {clock_hz // 4}, not {baud}")
        self._step = round(baud / clock_hz * 2**PHASE_BITS)
        if not self._step or abs(self._step / 2**PHASE_BITS * clock_hz / baud - 1) > ERROR_MAX:
            raise ValueError(f"baud {baud} is too slow to be made of a clock of {clock_hz} Hz")
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        phase = Signal(PHASE_BITS)
        m.d.sync += Cat(phase, self.strobe).eq(phase + Const(self._step, PHASE_BITS))
        with m.If(self.restart):
            m.d.sync += [phase.eq(self.halfway << (PHASE_BITS - 1)), self.strobe.eq(0)]
        return m


class UartTransmitter(wiring.Component):
    """Send bytes. A byte takes ten bits, and none passes idle while another waits."""

    bytes: In(stream.Signature(BYTE_BITS))
    tx: Out(1, init=1)

    def __init__(self, clock_hz, baud):
        self._rate = clock_hz, baud
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bit = bit = BitClock(*self._rate)
        shift = Signal(BYTE_BITS + 1, init=-1)  # the stop bit comes in from above
        left = Signal(range(BYTE_BITS + 3))  # bits not yet at their end
        m.d.comb += [self.bytes.ready.eq(left == 0), bit.restart.eq(left == 0)]
        m.d.sync += self.tx.eq(shift[0])
        with m.If((left == 0) & self.bytes.valid):
            m.d.sync += [shift.eq(Cat(Const(0, 1), self.bytes.payload)), left.eq(BYTE_BITS + 2)]
        with m.Elif(bit.strobe):
            m.d.sync += [shift.eq(Cat(shift[1:], Const(1, 1))), left.eq(left - 1)]
        return m


class UartReceiver(wiring.Component):
    """Receive bytes from a synchronised line, each bit sampled in its middle.

    A byte without a stop bit is dropped, and so is one that finds `bytes` not ready: the CRC of what it belongs to will
    tell. A start bit that does not last half of its time is noise.
    """

    rx: In(1, init=1)
    bytes: Out(stream.Signature(BYTE_BITS))

    def __init__(self, clock_hz, baud):
        self._rate = clock_hz, baud
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bit = bit = BitClock(*self._rate)
        left = Signal(range(BYTE_BITS + 1))
        shift = Signal(BYTE_BITS)
        m.d.comb += bit.halfway.eq(1)
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += bit.restart.eq(1)
                m.d.sync += left.eq(BYTE_BITS)
                with m.If(~self.rx):
                    m.next = "START"
            with m.State("START"), m.If(bit.strobe):
                with m.If(self.rx):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "DATA"
            with m.State("DATA"), m.If(bit.strobe):
                m.d.sync += [left.eq(left - 1), shift.eq(Cat(shift[1:], self.rx))]
                with m.If(left == 1):
                    m.next = "STOP"
            with m.State("STOP"), m.If(bit.strobe):
                with m.If(self.rx):
                    with m.If(~self.bytes.valid | self.bytes.ready):
                        m.d.sync += [self.bytes.payload.eq(shift), self.bytes.valid.eq(1)]
                    m.next = "IDLE"
                with m.Else():
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(self.rx):
                m.next = "IDLE"
        return m


class Uart(wiring.Component):
    """The engine's byte pipes on two wires. `rx` may come straight from the pin.

    Members
    -------
    rx : In(1), tx : Out(1)
    upstream : In(stream of 8), bytes to the host
    downstream : Out(stream of 8), bytes from the host; a short queue stands before it
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    upstream: In(stream.Signature(BYTE_BITS))
    downstream: Out(stream.Signature(BYTE_BITS))

    def __init__(self, clock_hz, baud, depth=64):
        self._rate = clock_hz, baud
        self._depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter(*self._rate)
        m.submodules.receiver = receiver = UartReceiver(*self._rate)
        m.submodules.queue = queue = SyncFIFOBuffered(width=BYTE_BITS, depth=self._depth)
        m.submodules.rx_settled = FFSynchronizer(self.rx, receiver.rx, init=1)
        m.d.comb += self.tx.eq(transmitter.tx)
        connect(m, flipped(self.upstream), transmitter.bytes)
        connect(m, receiver.bytes, queue.w_stream)
        connect(m, queue.r_stream, flipped(self.downstream))
        return m
