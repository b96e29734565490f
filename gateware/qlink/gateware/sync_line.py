"""Numbered messages on a single wire between two boards."""

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import (
    SYNC_BIT_CLOCKS,
    SYNC_CRC_BITS,
    SYNC_CRC_POLYNOMIAL,
    SYNC_FRAME_BITS,
    SYNC_NUMBER_BITS,
)

__all__ = ["JUDGED", "LineReceiver", "LineSender", "Message"]

SENT = 3  # clocks from `send` to the start bit on the line
JUDGED = SYNC_BIT_CLOCKS * SYNC_FRAME_BITS + SYNC_BIT_CLOCKS // 2 + 4  # from there to `valid`

Message = data.StructLayout({"number": SYNC_NUMBER_BITS, "order": SYNC_NUMBER_BITS})
"""`number` of an attempt, its lowest bits; `order` counts the messages of a line, or is something else."""


def crc(message):
    """Return the CRC-8 of a message, its lowest bit first; of the CRC the highest bit comes first."""
    state = [frozenset()] * SYNC_CRC_BITS  # each bit as the set of those that it is the sum of
    for place in range(len(message)):
        fed_back = state[-1] ^ {place}
        shifted = [frozenset(), *state[:-1]]
        state = [bit ^ fed_back if SYNC_CRC_POLYNOMIAL >> n & 1 else bit for n, bit in enumerate(shifted)]
    return Cat(reduce(xor, (message[place] for place in sorted(places))) for places in reversed(state))


class LineSender(wiring.Component):
    """Send messages, `SYNC_BIT_CLOCKS` a bit: a one to start, number, order, CRC, and low for at least a bit.

    What is to be sent while one is on its way cannot be; its order is used up, so that the other end misses it.

    Members
    -------
    send : In(1)
    number : In(bits), what to send
    other : In(bits), to send in place of the order, if `instead`
    line : Out(1), with the start bit `SENT` clocks after `send`
    busy : Out(1), a message is on its way
    """

    send: In(1)
    number: In(SYNC_NUMBER_BITS)
    other: In(SYNC_NUMBER_BITS)
    instead: In(1)
    line: Out(1)
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        message, shift, loaded = Signal(Message), Signal(SYNC_FRAME_BITS), Signal()
        phase, left = Signal(range(SYNC_BIT_CLOCKS)), Signal(range(SYNC_FRAME_BITS + 2))
        begin, order = self.send & ~self.busy, Signal(SYNC_NUMBER_BITS)
        m.d.comb += self.busy.eq(loaded | (left != 0) | self.line)
        m.d.sync += [loaded.eq(begin), self.line.eq(shift[0] & (left != 0))]
        with m.If(begin):
            m.d.sync += [message.number.eq(self.number), message.order.eq(Mux(self.instead, self.other, order))]
        with m.If(self.send):
            m.d.sync += order.eq(order + 1)

        with m.If(loaded):
            m.d.sync += [shift.eq(Cat(1, message, crc(message.as_value()))), left.eq(SYNC_FRAME_BITS + 1), phase.eq(0)]
        with m.Elif(left != 0):
            m.d.sync += phase.eq(phase + 1)
            with m.If(phase == SYNC_BIT_CLOCKS - 1):
                m.d.sync += [shift.eq(shift >> 1), left.eq(left - 1)]
        return m


class LineReceiver(wiring.Component):
    """Take messages from a line, and see whether all of them have come.

    Members
    -------
    line : In(1), in step with the clock
    clear : In(1), the next message is the first one, whatever its order
    unordered : In(1), each one is the first one
    message : Out(Message), the one that came last
    valid : Out(1), it is intact and new; `JUDGED` clocks after the line shows its start bit
    doubled : Out(1), it has come before
    corrupt : Out(1), there was something on the line, but no message
    missed : Out(bits), when `valid`: so many before it have not come
    busy : Out(1), something is coming
    """

    line: In(1)
    clear: In(1)
    unordered: In(1)
    message: Out(Message)
    valid: Out(1)
    doubled: Out(1)
    corrupt: Out(1)
    missed: Out(SYNC_NUMBER_BITS)
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        shift = Signal(SYNC_FRAME_BITS + 1)  # the frame, and the low bit behind it
        phase, left = Signal(range(SYNC_BIT_CLOCKS)), Signal(range(SYNC_FRAME_BITS + 2))
        last, whole, spike, judging = Signal(init=1), Signal(), Signal(), Signal(2)
        m.d.sync += [last.eq(self.line), whole.eq(0), spike.eq(0)]
        with m.If(left == 0), m.If(self.line & ~last):
            m.d.sync += [left.eq(SYNC_FRAME_BITS + 1), phase.eq(SYNC_BIT_CLOCKS // 2 - 1)]
        with m.Else():
            m.d.sync += phase.eq(Mux(phase == 0, SYNC_BIT_CLOCKS - 1, phase - 1))
            with m.If(phase == 0):
                m.d.sync += [shift.eq(Cat(shift[1:], self.line)), left.eq(left - 1), whole.eq(left == 1)]
                with m.If((left == SYNC_FRAME_BITS + 1) & ~self.line):  # too short for a start bit
                    m.d.sync += [left.eq(0), spike.eq(1)]
        self._judge(m, shift, whole, spike, judging)
        m.d.comb += self.busy.eq((left != 0) | whole | spike | judging.any() | (self.line & ~last))
        return m

    def _judge(self, m, shift, whole, spike, judging):
        """Check the frame in one step, its place among the others in the next."""
        start, message, code, end = shift[0], Signal(Message), Signal(SYNC_CRC_BITS), shift[-1]
        framed, expected, computed = Signal(), Signal(SYNC_NUMBER_BITS), Signal(SYNC_CRC_BITS)
        received = shift[1 : 1 + Message.size]
        m.d.sync += [
            judging.eq(Cat(whole, judging)),
            message.eq(received),
            code.eq(shift[1 + Message.size : -1]),
            computed.eq(crc(received)),
            framed.eq(start & ~end),
        ]
        intact, gap, first = Signal(), Signal(SYNC_NUMBER_BITS), Signal(init=1)
        m.d.sync += [intact.eq(framed & (code == computed)), gap.eq(Mux(first, 0, message.order - expected))]
        behind = gap[-1]
        m.d.sync += [
            self.valid.eq(judging[1] & intact & ~behind),
            self.doubled.eq(judging[1] & intact & behind),
            self.corrupt.eq(judging[1] & ~intact | spike),
            self.missed.eq(gap),
        ]
        with m.If(judging[1] & intact & ~behind):
            m.d.sync += [self.message.eq(message), expected.eq(message.order + 1), first.eq(0)]
        with m.If(self.clear | self.unordered):
            m.d.sync += first.eq(1)
