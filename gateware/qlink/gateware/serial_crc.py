"""CRC-32 a bit a clock, with a cell a bit."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SerialCrc32"]

CRC_BITS = 32
POLYNOMIAL = 0xEDB88320  # of CRC-32/ISO-HDLC, reflected: bits come lowest first
RESIDUE = 0xDEBB20E3  # what is left when a CRC has gone in behind what it is of


class SerialCrc32(wiring.Component):
    """Compute the CRC of the wire contract.

    Members
    -------
    start : In(1), begin anew
    valid : In(1), bit : In(1), one more, the lowest of a byte first
    crc : Out(32), of the bits so far
    right : Out(1), the last 32 of them are the CRC of those before
    """

    start: In(1)
    valid: In(1)
    bit: In(1)
    crc: Out(CRC_BITS)
    right: Out(1)

    def elaborate(self, platform):
        m = Module()
        rest = Signal(CRC_BITS, init=-1)
        odd = rest[0] ^ self.bit
        with m.If(self.start):
            m.d.sync += rest.eq(-1)
        with m.Elif(self.valid):
            m.d.sync += rest.eq(rest >> 1 ^ Mux(odd, POLYNOMIAL, 0))
        m.d.comb += [self.crc.eq(~rest), self.right.eq(rest == RESIDUE)]
        return m
