"""The pins of a simulated board, driven by cocotb: links that speak UART or FT245, and edges on the inputs.

Blocking functions, for scenarios that run in a thread of `cocotb.task.bridge`. Simulated time passes while they wait.
"""

from collections import deque

import cocotb
from cocotb.task import resume
from cocotb.triggers import FallingEdge, RisingEdge, Timer, ValueChange
from cocotb.utils import get_sim_time

from qlink.firmware_bridge.registers import OUTPUTS, TRIGGERS
from qlink.sim.sources import INPUTS

CLOCK_PS = 5000
CLKOUT_PS = 16666
POLL_NS = 200
SETTLE_CLOCKS = 400


class PinLink:
    """A transport: bytes that have come wait in `received`, those in `outgoing` are sent by a task of the link."""

    def __init__(self):
        self.received = bytearray()
        self.outgoing = deque()

    def now_s(self):
        return get_sim_time("ps") * 1e-12

    def read(self, size, timeout_s):
        deadline = self.now_s() + timeout_s
        while not self.received and self.now_s() < deadline:
            resume(_pass)(POLL_NS)
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    def write(self, data):
        self.outgoing.extend(data)
        while self.outgoing:
            resume(_pass)(POLL_NS)

    def close(self):
        """Nothing to give up: the simulation ends."""


class UartPins(PinLink):
    """8N1 at `baud`, as an FTDI chip would drive `rx` and hear `tx`."""

    def __init__(self, dut, baud):
        super().__init__()
        self._dut, self._bit_ps = dut, round(1e12 / baud)
        dut.rx.value = 1
        cocotb.start_soon(self._send())
        cocotb.start_soon(self._receive())

    async def _send(self):
        while True:
            if not self.outgoing:
                await Timer(POLL_NS, "ns")
                continue
            for bit in _frame(self.outgoing[0]):
                self._dut.rx.value = bit
                await Timer(self._bit_ps, "ps")
            self.outgoing.popleft()

    async def _receive(self):
        while True:
            await FallingEdge(self._dut.tx)
            await Timer(self._bit_ps + self._bit_ps // 2, "ps")
            byte = 0
            for place in range(8):
                byte |= int(self._dut.tx.value) << place
                await Timer(self._bit_ps, "ps")
            assert self._dut.tx.value == 1, "a byte without a stop bit"
            self.received.append(byte)


class Ft245Pins(PinLink):
    """An FT232H in synchronous FIFO mode (FTDI AN_130): its CLKOUT, and both directions byte by byte."""

    def __init__(self, dut, busy):
        """`busy(clock)` says when the chip takes no bytes."""
        super().__init__()
        self._dut, self._busy = dut, busy
        dut.txe_n.value = dut.rxf_n.value = 1
        dut.data_i.value = 0
        cocotb.start_soon(self._run())

    async def _run(self):
        dut, clock = self._dut, 0
        while True:
            await RisingEdge(dut.ft245_clk)
            wr_n, rd_n, oe_n = (int(pin.value) for pin in (dut.wr_n, dut.rd_n, dut.oe_n))  # as before the edge
            txe_n, rxf_n = int(dut.txe_n.value), int(dut.rxf_n.value)
            if not wr_n and not txe_n:
                assert oe_n, "both sides drive the bus"
                assert int(dut.data_oe.value), "written without data"
                self.received.append(int(dut.data_o.value))
            if not rd_n and not rxf_n:
                self.outgoing.popleft()
            clock += 1
            dut.txe_n.value = int(self._busy(clock))
            dut.rxf_n.value = int(not self.outgoing)
            dut.data_i.value = self.outgoing[0] if self.outgoing else 0


class PinStimulus:
    """Edges on the input pins, one clock a tick, and a watch on the outputs."""

    def __init__(self, dut):
        self._dut = dut
        self._last, self._pulses = [], []  # times of edges and of herald pulses, ps
        self._changes = {"actions": [], "triggers": []}  # of feed-forward's outputs and triggers: time, number, level
        self._set(())
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._watch_levels("actions", OUTPUTS))
        cocotb.start_soon(self._watch_levels("triggers", TRIGGERS))

    def edges(self, edges):
        resume(self._make)(edges)

    def latencies(self):
        last, pulses = self._last, self._pulses
        self._last, self._pulses = [], []
        return [(pulse - edge) // CLOCK_PS for edge, pulse in zip(last, pulses, strict=True)]

    def actions(self):
        return self._changed("actions")

    def triggers(self):
        return self._changed("triggers")

    def _changed(self, name):
        made = self._made
        changes, self._changes[name] = self._changes[name], []
        return [((time - made) // CLOCK_PS, number, level) for time, number, level in changes if time > made]

    async def _watch_levels(self, name, count):
        port, before = getattr(self._dut, name), 0
        while True:
            await ValueChange(port)
            levels = int(port.value)
            for number in range(count):
                if (levels ^ before) >> number & 1:
                    self._changes[name].append((get_sim_time("ps"), number, levels >> number & 1))
            before = levels

    async def _make(self, edges):
        now = 0
        levels = {}
        for tick, channel in edges:
            levels.setdefault(tick, []).append(channel)
        await RisingEdge(self._dut.clk)
        for tick, channels in levels.items():
            while now < tick:
                await RisingEdge(self._dut.clk)
                self._set(())
                now += 1
            self._set(channels)
            made = get_sim_time("ps")
        self._made = made
        self._last.append(made)
        await RisingEdge(self._dut.clk)
        self._set(())
        await Timer(SETTLE_CLOCKS * CLOCK_PS, "ps")

    def _set(self, channels):
        self._dut.samples.value = sum(1 << channel for channel in channels if channel not in INPUTS)
        for name, channel in zip(("reference", "pps", "ten_mhz"), INPUTS, strict=True):
            getattr(self._dut, name).value = int(channel in channels)

    async def _watch(self):
        while True:
            await ValueChange(self._dut.heralds)
            if int(self._dut.heralds.value):
                self._pulses.append(get_sim_time("ps"))


async def _pass(nanoseconds):
    await Timer(nanoseconds, "ns")


def _frame(byte):
    return (0, *((byte >> place) & 1 for place in range(8)), 1)
