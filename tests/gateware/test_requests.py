import json
import random
from pathlib import Path

import pytest

from qlink.firmware_bridge.encoding import Request, decode_requests, encode_request
from qlink.firmware_bridge.wire import Operation
from qlink.gateware.requests import RequestParser, SerialRequestParser
from qlink.sim.bench import receiver, sender, simulate

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/wire.json").read_text())["requests"]


@pytest.fixture(params=[RequestParser, SerialRequestParser], ids=["bytewise", "bitwise"])
def parse(request):
    return lambda data, stall=0.3: parsed(request.param(), data, stall)


def parsed(dut, data, stall):
    """The requests found in `data`, and how many bad ones were counted."""
    rng, seen, bad = random.Random(0), [], []

    async def run(ctx):
        await sender(dut.bytes, data, rng, pause=0.05)(ctx)
        await ctx.tick().repeat(200)
        assert ctx.get(dut.idle)

    async def count(ctx):
        while True:
            _, _, strobe = await ctx.tick().sample(dut.bad)
            bad.append(strobe)

    simulate(dut, run, background=[receiver(dut.commands, seen, rng, stall), count], limit=200 * len(data) + 200)
    return [Request(c.operation, c.id, c.address, c.value) for c in seen], sum(bad)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_reads_the_golden_requests(parse, vector):
    wanted = Request(vector["operation"], vector["id"], vector["address"], vector["value"])
    assert parse(bytes.fromhex(vector["hex"])) == ([wanted], 0)


def test_counts_a_request_with_a_wrong_crc(parse):
    good = encode_request(Operation.READ, 1, 2)
    bad = bytearray(good)
    bad[-1] ^= 1
    assert parse(bytes(bad) + good) == ([Request(Operation.READ, 1, 2)], 1)


def test_finds_a_request_right_behind_half_a_one(parse):
    good = encode_request(Operation.WRITE, 3, 4, 5)
    found, _ = parse(good[:9] + good)
    assert found == [Request(Operation.WRITE, 3, 4, 5)]


@pytest.mark.parametrize("seed", range(3))
def test_finds_what_a_plain_reader_finds_in_garbage(parse, seed):
    rng = random.Random(seed)
    pieces = [b"QR", b"Q", b"QRQR", *(rng.randbytes(rng.randrange(20)) for _ in range(10))]
    pieces += [encode_request(Operation.WRITE, n, n, rng.getrandbits(32)) for n in range(12)]
    rng.shuffle(pieces)
    data = b"".join(pieces)
    found, _ = parse(data)
    assert found == decode_requests(data)[0]
    assert found
