"""What the host sends: find intact requests in the byte stream."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import crc, stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import REQUEST, REQUEST_SYNC, SYNC_BYTES

from .layouts import shape_of
from .register_file import Command
from .serial_crc import SerialCrc32

__all__ = ["RequestParser", "SerialRequestParser"]

BYTE_BITS = 8
SYNC_BITS = BYTE_BITS * SYNC_BYTES
COVERED_BYTES = REQUEST.offsets["crc"] - SYNC_BYTES


class RequestParser(wiring.Component):
    """Find requests in a stream of bytes that may hold anything.

    Looks at the last 16 bytes: wherever they begin with the sync mark they are taken as a request if their CRC is
    right, and counted as a bad one if not. So every intact request is found that does not share bytes with another.
    Takes no byte while it checks (12 clocks), and while a request waits.

    Members
    -------
    bytes : In(stream of 8)
    commands : Out(stream of Command)
    bad : Out(1), a wrong CRC; high for one clock
    idle : Out(1), nothing is being checked or waiting
    """

    bytes: In(stream.Signature(8))
    commands: Out(stream.Signature(Command))
    bad: Out(1)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = checker = crc.catalog.CRC32_ISO_HDLC(8).create()
        window = Signal(shape_of(REQUEST))
        raw = window.as_value()
        covered = Signal(8 * COVERED_BYTES)
        left = Signal(range(COVERED_BYTES + 1))
        right = Signal()
        command = self.commands.payload

        m.d.comb += [
            command.operation.eq(window.operation),
            command.id.eq(window.id),
            command.address.eq(window.address),
            command.value.eq(window.value),
            checker.data.eq(covered),
        ]
        m.d.sync += right.eq(checker.crc == window.crc)
        with m.FSM():
            with m.State("HUNT"):
                m.d.comb += [self.bytes.ready.eq(1), self.idle.eq(~self.bytes.valid)]
                with m.If(self.bytes.valid):
                    m.d.sync += raw.eq(raw[8:] | self.bytes.payload << (len(raw) - 8))
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += checker.start.eq(1)
                m.d.sync += [covered.eq(raw[8 * SYNC_BYTES :]), left.eq(COVERED_BYTES)]
                with m.If(window.sync == REQUEST_SYNC):
                    m.next = "CHECK"
                with m.Else():
                    m.next = "HUNT"
            with m.State("CHECK"):
                m.d.comb += checker.valid.eq(left != 0)
                m.d.sync += [covered.eq(covered >> 8), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.comb += self.bad.eq(~right)
                with m.If(right):
                    m.next = "TAKE"
                with m.Else():
                    m.next = "HUNT"
            with m.State("TAKE"):
                m.d.comb += self.commands.valid.eq(1)
                with m.If(self.commands.ready):
                    m.d.sync += raw.eq(0)
                    m.next = "HUNT"
        return m


class SerialRequestParser(wiring.Component):
    """Do what a `RequestParser` does, with few cells: a byte takes ten clocks, and 130 more where a request may begin.

    Members
    -------
    as of `RequestParser`
    """

    bytes: In(stream.Signature(8))
    commands: Out(stream.Signature(Command))
    bad: Out(1)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = checker = SerialCrc32()
        window = Signal(shape_of(REQUEST))
        raw = window.as_value()
        left = Signal(range(len(raw)))
        coming = Signal()
        m.d.comb += [
            *(self.commands.payload[name].eq(window[name]) for name in ("operation", "id", "address", "value")),
            checker.bit.eq(raw[0]),
        ]
        with m.FSM() as state:
            with m.State("HUNT"):
                m.d.comb += self.idle.eq(~self.bytes.valid)
                m.d.sync += left.eq(BYTE_BITS - 1)
                with m.If(self.bytes.valid):
                    m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.comb += [
                    coming.eq(self.bytes.payload.bit_select(~left[:3], 1)),
                    self.bytes.ready.eq(left == 0),
                ]
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += checker.start.eq(1)
                m.d.sync += left.eq(len(raw) - 1)
                with m.If(window.sync == REQUEST_SYNC):
                    m.next = "CHECK"
                with m.Else():
                    m.next = "HUNT"
            with m.State("CHECK"):  # what goes out in front comes in again behind
                m.d.comb += [coming.eq(raw[0]), checker.valid.eq(left < len(raw) - SYNC_BITS)]
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.comb += self.bad.eq(~checker.right)
                with m.If(checker.right):
                    m.next = "TAKE"
                with m.Else():
                    m.next = "HUNT"
            with m.State("TAKE"):
                m.d.comb += self.commands.valid.eq(1)
                with m.If(self.commands.ready):
                    m.next = "HUNT"
        with m.If(state.ongoing("SHIFT") | state.ongoing("CHECK")):
            m.d.sync += raw.eq(Cat(raw[1:], coming))
        with m.If(self.commands.valid & self.commands.ready):
            m.d.sync += raw.eq(0)
        return m
