from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import SYNC_BIT_CLOCKS, SYNC_FRAME_BITS, SYNC_MESSAGE_CLOCKS
from qlink.gateware.sync_line import JUDGED, SENT, LineReceiver, LineSender
from qlink.sim.bench import simulate
from qlink.sim.sync import frame, receive


class Wire(wiring.Component):
    """A sender and a receiver; `noise` is added to the line between them."""

    send: In(1)
    number: In(8)
    noise: In(1)
    line: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = self.sender = LineSender()
        m.submodules.receiver = self.receiver = LineReceiver()
        m.d.comb += [
            self.sender.send.eq(self.send),
            self.sender.number.eq(self.number),
            self.line.eq(self.sender.line ^ self.noise),
            self.receiver.line.eq(self.line),
        ]
        return m


def carried(sends, clocks, noise=()):
    """What is received when numbers are sent in some clocks: lists of (clock, number, missed), and of other clocks."""
    dut = Wire()
    seen = {"line": [], "valid": [], "doubled": [], "corrupt": []}

    async def bench(ctx):
        for clock in range(clocks):
            ctx.set(dut.send, clock in sends)
            ctx.set(dut.number, sends.get(clock, 0))
            ctx.set(dut.noise, clock in noise)
            seen["line"].append(ctx.get(dut.line))
            receiver = dut.receiver
            if ctx.get(receiver.valid):
                seen["valid"].append((clock, ctx.get(receiver.message.number), ctx.get(receiver.missed)))
            for name in ("doubled", "corrupt"):
                if ctx.get(getattr(receiver, name)):
                    seen[name].append(clock)
            await ctx.tick()

    simulate(dut, bench, limit=clocks + 10)
    return seen


def test_a_message_arrives_after_a_constant_time():
    sends = {5: 0xA5, 5 + SYNC_MESSAGE_CLOCKS + 1: 0x00, 400: 0xFF}
    seen = carried(sends, 600)
    assert seen["valid"] == [(clock + SENT + JUDGED, number, 0) for clock, number in sends.items()]
    assert not seen["doubled"]
    assert not seen["corrupt"]


def test_a_message_is_the_frame_of_the_model():
    line = carried({0: 77, 200: 78}, 400)["line"]
    for begin, bits in ((SENT, frame(77, 0)), (200 + SENT, frame(78, 1))):
        sampled = line[begin : begin + SYNC_BIT_CLOCKS * SYNC_FRAME_BITS : SYNC_BIT_CLOCKS]
        assert sampled == bits


@pytest.mark.parametrize("seed", range(6))
def test_every_message_is_taken_or_told_of(seed):
    rng = Random(seed)
    sends = {10 + 150 * n: rng.randrange(256) for n in range(12)}
    clocks = 150 * 12 + 200
    noise = {rng.randrange(clocks) for _ in range(rng.choice([0, 3, 12]))}
    noise |= {begin + n for begin in rng.sample(range(clocks), rng.choice([0, 2])) for n in range(rng.randrange(40))}
    seen = carried(sends, clocks, noise)
    model = receive(seen["line"])
    assert seen["valid"] == [(heard.clock + JUDGED, heard.number, heard.missed) for heard in model.valid]
    assert (len(seen["doubled"]), len(seen["corrupt"])) == (len(model.doubled), len(model.corrupt))
    assert len(model.valid) == 12 or model.corrupt


def test_any_three_wrong_bits_are_found():
    rng = Random(1)
    for _ in range(3000):
        bits = frame(rng.randrange(256), rng.randrange(256))
        for place in rng.sample(range(1, len(bits)), rng.randint(1, 3)):
            bits[place] ^= 1
        line = [bit for bit in [0, *bits, 0, 0] for _ in range(SYNC_BIT_CLOCKS)]
        assert not receive(line).valid


def test_any_eight_wrong_bits_in_a_row_are_found():
    for body in (0x0000, 0x1234, 0xFFFF):
        bits = frame(body & 255, body >> 8)
        for first in range(1, len(bits)):
            for burst in range(1, 256):
                wrong = [bit ^ (burst >> place & 1) for place, bit in enumerate(bits[first : first + 8])]
                spoilt = [*bits[:first], *wrong, *bits[first + 8 :]]
                if spoilt != bits:  # the burst may reach beyond the end
                    assert spoilt != frame(*(sum(spoilt[at + n] << n for n in range(8)) for at in (1, 9)))


def test_a_message_twice_is_counted_as_doubled():
    bits = [0, *frame(9, 4), 0, 0]
    line = [bit for bit in [*bits, *bits, *[0, *frame(12, 7), 0, 0]] for _ in range(SYNC_BIT_CLOCKS)]
    dut, seen = LineReceiver(), []

    async def bench(ctx):
        for level in [*line, *[0] * 20]:
            ctx.set(dut.line, level)
            seen.append((ctx.get(dut.valid), ctx.get(dut.doubled), ctx.get(dut.missed) * ctx.get(dut.valid)))
            await ctx.tick()

    simulate(dut, bench, limit=1000)
    assert [sum(column) for column in zip(*seen, strict=True)] == [2, 1, 2]
    assert (len(receive(line).doubled), receive(line).valid[1].missed) == (1, 2)
