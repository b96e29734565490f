# amaranth: UnusedElaboratable=no
"""The engine's and the tops' outsides; `test_equivalence.py` has what they do."""

import random

import pytest
from amaranth.hdl import Fragment, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.decoder import Decoder
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.registers import BY_NAME, MAGIC
from qlink.firmware_bridge.wire import Operation
from qlink.gateware.engine import TimingEngine, source_hash
from qlink.gateware.ft245 import Ft245
from qlink.gateware.parameters import Parameters
from qlink.gateware.top import Top, ft245_top, uart_top
from qlink.gateware.uart import Uart
from qlink.sim.bench import receiver, sender, simulate

BAUD = 50_000_000
RAW = Parameters(
    channels=2, patterns=1, samples=1, click_depth=16, record_depth=64, frame_depth=512, veto_depth=8, herald_depth=8
)


def ports(component):
    Fragment.get(component, None)  # that it elaborates is part of the question
    return set(component.signature.members)


def test_the_engine_has_the_ports_that_twin_and_boards_drive():
    inputs = {"samples", "reference", "pps", "ten_mhz", "sync_in", "skip", "downstream"}
    outputs = {"heralds", "triggers", "actions", "sync_out", "idle", "deadline", "upstream"}
    assert ports(TimingEngine(RAW)) == inputs | outputs


def test_a_top_has_pins_only():
    engine = {"samples", "reference", "pps", "ten_mhz", "sync_in", "skip"}
    engine |= {"heralds", "triggers", "actions", "sync_out"}
    assert ports(uart_top(RAW, BAUD)) == engine | {"rx", "tx"}
    bus = {"data_i", "data_o", "data_oe", "txe_n", "rxf_n", "wr_n", "rd_n", "oe_n", "siwu_n"}
    assert ports(ft245_top(RAW)) == engine | bus


def test_raw_pins_have_one_sample_a_clock():
    with pytest.raises(ValueError, match="one sample"):
        Top(TimingEngine(Parameters(samples=4)), Ft245(), raw=True)


def test_the_build_is_the_same_for_the_same_source():
    assert source_hash() == source_hash()
    assert 0 < source_hash() < 2**32


class WithHost(wiring.Component):
    """A top, and a UART of the host at the other end of its wires."""

    samples: In(RAW.channels)
    heralds: Out(4)
    sent: In(stream.Signature(8))
    received: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = uart_top(RAW, BAUD, raw=True)
        m.submodules.host = host = Uart(RAW.clock_hz, BAUD)
        connect(m, flipped(self.sent), host.upstream)
        connect(m, host.downstream, flipped(self.received))
        m.d.comb += [
            top.samples.eq(self.samples),
            self.heralds.eq(top.heralds),
            top.rx.eq(host.tx),
            host.rx.eq(top.tx),
        ]
        return m


def test_a_pair_of_edges_on_raw_pins_is_heralded_over_the_uart():
    dut, rng, received, pulses = WithHost(), random.Random(0), [], []
    settings = {"stream_channels": 3, "pattern_channels": 3, "pattern_decision": 10 | 2 << 16, "control": 1}
    requests = [encode_request(Operation.READ, 99, BY_NAME["magic"].address)]
    requests += [encode_request(Operation.WRITE, n, BY_NAME[k].address, v) for n, (k, v) in enumerate(settings.items())]

    async def run(ctx):
        await sender(dut.sent, b"".join(requests), rng, pause=0)(ctx)
        await ctx.tick().repeat(1000)
        for level in (1, 1, 3, 3, 0, 0):
            ctx.set(dut.samples, level)
            await ctx.tick()
        await ctx.tick().repeat(9000)

    async def watch_pins(ctx):
        while True:
            _, _, pins = await ctx.tick().sample(dut.heralds)
            if pins:
                pulses.append(pins)

    simulate(dut, run, background=[receiver(dut.received, received, rng, stall=0), watch_pins], limit=40_000)
    batch = Decoder().feed(bytes(received))
    assert batch.replies["value"][0] == MAGIC
    assert [(h["channels"], h["outcome"], list(h["ages"][:2])) for h in batch.heralds] == [(3, 2, [2, 0])]
    assert pulses == [1 << 2]
