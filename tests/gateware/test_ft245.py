"""The FT245 link against a model of the chip that obeys, and checks, the rules of the bus."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

from qlink.gateware.ft245 import Ft245
from qlink.sim.bench import receiver, sender

SYNC_PERIOD = 5e-9
CLKOUT_PERIOD = 1 / 60e6


class Chip:
    """An FT232H in synchronous FIFO mode: what the host sends comes out, what it is given goes to the host."""

    def __init__(self, to_board, rng, blocked=lambda clock: False, busy=0.2):
        self.to_board = deque(to_board)
        self.to_host = []
        self.sent_immediately = 0
        self._rng = rng
        self._blocked = blocked
        self._busy = busy

    async def __call__(self, ctx, dut):
        clock, opened, was_siwu = 0, 0, 1
        rxf_n = txe_n = 1
        while True:
            ctx.set(dut.rxf_n, rxf_n)
            ctx.set(dut.txe_n, txe_n)
            pins = (dut.wr_n, dut.rd_n, dut.oe_n, dut.data_oe, dut.data_o, dut.siwu_n)
            ctx.set(dut.data_i, self.to_board[0] if self.to_board and not rxf_n else 0xEE)
            _, _, wr_n, rd_n, oe_n, data_oe, data_o, siwu_n = await ctx.tick("ft245").sample(*pins)
            assert oe_n or not data_oe, "both drive the bus"
            assert oe_n or wr_n, "written while the chip drives the bus"
            if not rd_n:
                assert opened, "RD# without a clock of OE# before"
                if not rxf_n:
                    self.to_board.popleft()
            if not wr_n and not txe_n:
                assert data_oe, "written without data"
                self.to_host.append(data_o)
            self.sent_immediately += was_siwu and not siwu_n
            opened, was_siwu, clock = not oe_n, siwu_n, clock + 1
            rxf_n = int(not self.to_board or self._rng.random() < self._busy)
            txe_n = int(self._blocked(clock) or self._rng.random() < self._busy)


def exchange(to_board, to_host, chip, clocks=4000, stall=0.3):
    """Let both sides talk; return what the board received."""
    dut, rng, received = Ft245(depth=64), random.Random(2), []
    sim = Simulator(dut)
    sim.add_clock(SYNC_PERIOD, domain="sync")
    sim.add_clock(CLKOUT_PERIOD, domain="ft245")

    async def run(ctx):
        await ctx.tick("ft245").repeat(clocks)

    async def drive(ctx):
        await chip(ctx, dut)

    sim.add_testbench(run)
    for bench in (drive, receiver(dut.downstream, received, rng, stall), sender(dut.upstream, to_host, rng)):
        sim.add_testbench(bench, background=True)
    sim.run()
    return received


@pytest.mark.parametrize("seed", range(3))
def test_bytes_pass_both_ways_whole_and_in_order(seed):
    rng = random.Random(seed)
    to_board, to_host = rng.randbytes(500), rng.randbytes(500)
    chip = Chip(to_board, rng)
    assert bytes(exchange(to_board, to_host, chip)) == to_board
    assert bytes(chip.to_host) == to_host


def test_a_chip_that_takes_nothing_still_gets_its_requests_through():
    to_board = bytes(range(100))
    chip = Chip(to_board, random.Random(0), blocked=lambda clock: clock < 1500)
    assert bytes(exchange(to_board, bytes(80), chip)) == to_board
    assert bytes(chip.to_host) == bytes(80)


def test_a_board_that_takes_nothing_stops_the_chip_without_loss():
    to_board = random.Random(4).randbytes(300)
    chip = Chip(to_board, random.Random(0), busy=0)
    received = bytes(exchange(to_board, b"", chip, stall=0.95))
    assert received == to_board[: len(received)]
    assert len(received) + len(chip.to_board) >= len(to_board) - 64 - 1  # the queue, and the byte on offer


def test_writes_a_byte_a_clock_when_nothing_hinders():
    sent = random.Random(5).randbytes(400)
    chip = Chip(b"", random.Random(0), busy=0)
    clocks = 480  # of 60 MHz; the sender pauses, but is three times as fast
    exchange(b"", sent, chip, clocks)
    assert bytes(chip.to_host) == sent


def test_sends_immediately_when_there_is_no_more():
    chip = Chip(b"", random.Random(0), busy=0)
    exchange(b"", b"herald", chip, clocks=100)
    assert bytes(chip.to_host) == b"herald"
    assert chip.sent_immediately >= 1
