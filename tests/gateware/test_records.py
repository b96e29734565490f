import random
from itertools import pairwise

import pytest

from qlink.firmware_bridge.encoding import Counter, Herald, Loss, Reply, Time, encode_record
from qlink.firmware_bridge.wire import BODIES, HEADER, OFFSET_BITS, REQUEST, Kind, TimeSource
from qlink.gateware.layouts import record_words, shape_of, stamped
from qlink.gateware.record_queue import RecordQueue
from qlink.gateware.records import Merger, Serialiser
from qlink.sim.bench import receiver, sender, simulate

TICK = 987_654_321_012_345

EVENTS = {
    Kind.HERALD: (
        Herald(TICK, 2**32 - 1, 7, 3, {0: 5, 15: 65535}, attempt=2**64 - 2, position=77, flags=13),
        {
            "sequence": 2**32 - 1,
            "pattern": 7,
            "outcome": 3,
            "channels": 0x8001,
            "ages": [5, *[0] * 14, 65535],
            "attempt": 2**64 - 2,
            "position": 77,
            "flags": 13,
        },
    ),
    Kind.COUNTER: (Counter(TICK, 9, 128, 2**63), {"snapshot": 9, "index": 128, "value": 2**63}),
    Kind.LOSS: (Loss(TICK, 5, 2**48 - 1, 49), {"begin": 5, "count": 2**48 - 1, "source": 49}),
    Kind.REPLY: (Reply(TICK, 255, 3, 0x1234, 2**31), {"id": 255, "status": 3, "address": 0x1234, "value": 2**31}),
    Kind.TIME: (
        Time(TICK, TimeSource.TEN_MHZ, 7, 2**63),
        {"source": TimeSource.TEN_MHZ, "number": 7, "edges": 2**63},
    ),
}


@pytest.mark.parametrize("layout", [HEADER, REQUEST, *BODIES.values()], ids=lambda layout: layout.name)
def test_shapes_have_the_bits_of_the_contract(layout):
    shape = shape_of(layout)
    assert shape.size == 8 * layout.bytes
    assert {name: field.offset for name, field in shape} == {n: 8 * at for n, at in layout.offsets.items()}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_serialises_what_the_contract_says(kind):
    dut, rng, seen = Serialiser(kind), random.Random(0), []
    record, fields = EVENTS[kind]
    events = [{"tick": tick, **fields} for tick in (TICK, TICK)]

    async def settle(ctx):
        await sender(dut.events, events, rng)(ctx)
        await ctx.tick().repeat(60)

    simulate(dut, settle, background=[receiver(dut.records, seen, rng)])
    assert b"".join(word.word.to_bytes(4, "little") for word in seen) == 2 * encode_record(record)
    assert [word.last for word in seen] == 2 * ([0] * (record_words(kind) - 1) + [1])
    assert {word.page for word in seen} == {TICK >> OFFSET_BITS}


def some_records(rng, pages, count):
    """Records of random length and contents, as lists of words still without their mark of the last one."""
    records = []
    for _ in range(count):
        page = rng.choice(pages)
        words = [rng.getrandbits(32) for _ in range(rng.choice([1, 1, 1, 5]))]
        records.append([{"word": word, "page": page} for word in words])
    return records


def plain(word):
    return {"word": word.word, "last": word.last, "page": word.page}


def flat(records):
    return [{**word, "last": int(word is record[-1])} for record in records for word in record]


@pytest.mark.parametrize("seed", range(4))
def test_a_queue_gives_back_what_it_took_whatever_the_pages(seed):
    rng, seen = random.Random(seed), []
    dut = RecordQueue(16)
    pages = [[0], [0, 1], [0, 2**37 - 1, 2**32, 5]][seed % 3]
    records = flat(some_records(rng, pages, 150))

    async def settle(ctx):
        await sender(dut.i, records, rng, pause=0.1)(ctx)
        await ctx.tick().repeat(150)
        assert ctx.get(dut.idle)

    simulate(dut, settle, background=[receiver(dut.o, seen, rng, stall=0.5 * (seed % 2))], limit=4000)
    assert [plain(word) for word in seen] == records


def test_a_queue_holds_its_depth_while_nothing_is_taken():
    dut = RecordQueue(64)
    accepted = 0

    async def fill(ctx):
        nonlocal accepted
        ctx.set(dut.i.valid, 1)
        for _ in range(200):
            _, _, ready = await ctx.tick().sample(dut.i.ready)
            accepted += ready

    simulate(dut, fill)
    assert accepted >= 60


@pytest.mark.parametrize("seed", range(3))
def test_merges_whole_records_and_keeps_the_order_of_each_source(seed):
    rng, seen, dut = random.Random(seed), [], Merger(3)
    sent = [some_records(rng, [source], 30) for source in range(3)]

    async def settle(ctx):
        await ctx.tick().repeat(800)
        assert ctx.get(dut.idle)

    sources = [sender(source, flat(records), rng) for source, records in zip(dut.sources, sent, strict=True)]
    simulate(dut, settle, background=[receiver(dut.records, seen, rng), *sources], limit=2000)
    for n, records in enumerate(sent):
        assert [plain(word) for word in seen if word.page == n] == flat(records)
    for before, after in pairwise(seen):
        assert before.last or before.page == after.page, "records were mixed"


def test_the_first_source_goes_first():
    rng, seen, dut = random.Random(0), [], Merger(3)

    async def offer_all(ctx):
        for n, source in enumerate(dut.sources):
            ctx.set(source.payload, {"word": n, "last": 1, "page": 0})
            ctx.set(source.valid, 1)
        await ctx.tick().repeat(30)

    simulate(dut, offer_all, background=[receiver(dut.records, seen, rng, stall=0)])
    assert seen
    assert {word.word for word in seen} == {0}


def test_stamped_events_begin_with_their_tick():
    for kind in Kind:
        assert stamped(kind)["tick"].offset == 0
