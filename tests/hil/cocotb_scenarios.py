"""Run by cocotb inside the simulator: every scenario, on a board whose link is pins. `QLINK_HIL_LINK` says which."""

import os

import cocotb
from cocotb.clock import Clock
from cocotb.task import bridge
from cocotb.triggers import Timer
from tests.hil.pins import CLKOUT_PS, CLOCK_PS, Ft245Pins, PinStimulus, UartPins
from tests.hil.rig import Rig
from tests.hil.scenarios import SCENARIOS

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.link import Patience

SYNCHRONISER_CLOCKS = 2
PATIENCE = Patience(reply_s=0.002, attempts=3)


def open_link(dut):
    """The link of this build; an FT245 chip that is busy for a third of the time, in stretches."""
    if os.environ["QLINK_HIL_LINK"] == "uart":
        return UartPins(dut, int(os.environ["QLINK_HIL_BAUD"]))
    cocotb.start_soon(Clock(dut.ft245_clk, CLKOUT_PS, "ps").start())
    return Ft245Pins(dut, busy=lambda clock: clock % 97 < 32)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(scenario=SCENARIOS)
async def on_pins(dut, scenario):
    cocotb.start_soon(Clock(dut.clk, CLOCK_PS, "ps").start())
    dut.skip.value = 0
    dut.sync_in.value = 0
    link, stimulus = open_link(dut), PinStimulus(dut)
    dut.rst.value = 1
    await Timer(20 * CLOCK_PS, "ps")
    dut.rst.value = 0

    def run():
        with Board(link, PATIENCE) as board:
            scenario(Rig(board, link, stimulus, SYNCHRONISER_CLOCKS))

    await bridge(run)()
