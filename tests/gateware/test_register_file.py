# amaranth: UnusedElaboratable=no
import random
from dataclasses import replace

import pytest

from qlink.firmware_bridge.registers import BY_NAME, MAGIC, MOST, REGISTERS, Access, Repeat
from qlink.firmware_bridge.wire import CONTRACT_VERSION, OUTCOMES, Operation, Status
from qlink.gateware.histogram import LOOK_CLOCKS
from qlink.gateware.parameters import Parameters
from qlink.gateware.register_file import RegisterFile
from qlink.gateware.sync import SYNC_LATENCY
from qlink.sim.bench import receiver, sender, simulate

PARAMETERS = Parameters(channels=6, patterns=3, samples=2, board="TEST", histogram_bins=64, pulses=3, multiplicity=True)
BUILD = 0xDEADBEEF
READ, WRITE = Operation.READ, Operation.WRITE


def answer(commands, watch=None, parameters=PARAMETERS):
    """The (status, value) with which each (operation, address, value) is answered; `watch(ctx, dut)` is then called."""
    dut, rng, seen = RegisterFile(parameters, BUILD), random.Random(0), []
    names = ("operation", "address", "value")

    async def run(ctx):
        payloads = [{**dict(zip(names, c, strict=True)), "id": n % 256} for n, c in enumerate(commands)]
        await sender(dut.commands, payloads, rng)(ctx)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.idle)
        if watch is not None:
            watch(ctx, dut)

    simulate(dut, run, background=[receiver(dut.replies, seen, rng)], limit=30 * len(commands) + 100)
    assert [reply.id for reply in seen] == [n % 256 for n in range(len(commands))]
    assert [reply.address for reply in seen] == [address for _, address, _ in commands]
    return [(reply.status, reply.value) for reply in seen]


def exists(register, n):
    counts = {Repeat.CHANNEL: PARAMETERS.channels, Repeat.PATTERN: PARAMETERS.patterns}
    counts[Repeat.BIN] = PARAMETERS.histogram_bins
    counts[Repeat.ACTION] = PARAMETERS.pulses * OUTCOMES
    return n < (MOST | counts)[register.repeat]


def test_says_what_the_board_is():
    identity = {
        "magic": MAGIC,
        "contract_version": CONTRACT_VERSION,
        "board": int.from_bytes(b"TEST", "little"),
        "geometry": 6 | 3 << 8 | 2 << 16,
        "tick_fs": 2_500_000,
        "clock_hz": 200_000_000,
        "herald_latency": PARAMETERS.herald_latency,
        "build": BUILD,
        "delay_ticks": 8191,
        "sequence_segments": 65,
        "trigger_latency": PARAMETERS.trigger_latency,
        "branches": 64 | PARAMETERS.branch_latency << 8,
        "histogram_bins": 64,
        "sync_latency": SYNC_LATENCY,
        "vicinity_ticks": 2047,
        "pins": 8 | 4 << 8 | 1 << 16 | 1 << 17,
        "veto_clocks": 2048,
    }
    values = answer([(READ, BY_NAME[name].address, 0) for name in identity])
    assert values == [(Status.OK, value) for value in identity.values()]


def test_says_what_leads_to_pins_and_how_long_a_veto_looks():
    some = replace(PARAMETERS, triggers=2, outputs=3, pps=False, veto_depth=512)
    names = ("pins", "veto_clocks", "time_pps", "time_ten_mhz")
    answers = answer([(READ, BY_NAME[name].address, 0) for name in names], parameters=some)
    assert answers == [
        (Status.OK, 2 | 3 << 8 | 1 << 17),
        (Status.OK, 512),
        (Status.NO_SUCH_REGISTER, 0),
        (Status.OK, 0),
    ]


def test_a_board_without_any_of_it_says_so():
    none = replace(PARAMETERS, sequencer=False, pulses=0, pps=False, ten_mhz=False, sync=False)
    names = ("pins", "sync_latency", "time_ten_mhz", "sync_setup", "trigger_manual")
    answers = answer([(READ, BY_NAME[name].address, 0) for name in names], parameters=none)
    assert answers == [(Status.OK, 0)] * 2 + [(Status.NO_SUCH_REGISTER, 0)] * 3


@pytest.mark.parametrize("wrong", [{"triggers": 9}, {"outputs": 5}])
def test_there_are_no_more_pins_than_there_is_for_them(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} must be 0 to"):
        replace(PARAMETERS, **wrong)


def test_answers_every_address_of_the_map_as_the_map_says():
    commands, expected = [], []
    for register in REGISTERS:
        for n, address in enumerate(register.addresses[:80]):
            commands.append((WRITE, address, 0))
            status = Status.READ_ONLY if register.access is Access.READ else Status.OK
            expected.append((status if exists(register, n) else Status.NO_SUCH_REGISTER, 0))
    assert answer(commands) == expected


def test_every_address_that_the_map_does_not_name_does_not_exist():
    named = {address for register in REGISTERS for address in register.addresses}
    free = [address for address in range(0x90) if address not in named] + [0x15B, 0x1FF, 0x300, 0x7FFF, 0x8040, 0xFFFF]
    assert answer([(READ, address, 0) for address in free]) == [(Status.NO_SUCH_REGISTER, 0)] * len(free)


def test_every_bit_of_a_register_can_be_set_and_no_other():
    rng = random.Random(1)
    masks = {"scratch": 2**32 - 1, "control": 3, "stream_channels": 63, "pattern_channels": 63 | 63 << 16}
    masks |= {"pattern_decision": 0x3FFFF, "gate_start": 2**32 - 1, "delay": 8191}
    commands, expected = [], []
    for name, mask in masks.items():
        address, value = BY_NAME[name].address, rng.getrandbits(32) & mask
        commands += [(WRITE, address, value), (READ, address, 0)]
        expected += [(Status.OK, value)] * 2
        for bit in (b for b in range(32) if not mask >> b & 1):
            commands += [(WRITE, address, 1 << bit)]
            expected += [(Status.DOES_NOT_FIT, 1 << bit)]
        commands.append((READ, address, 0))
        expected.append((Status.OK, value))
    assert answer(commands) == expected


def test_an_unknown_operation_is_said_to_be_one():
    assert answer([(7, 8, 9)]) == [(Status.NO_SUCH_OPERATION, 9)]


def test_settings_follow_the_registers():
    writes = {"control": 3, "attempt_clocks": 1000, "reference_timeout": 2000, "stream_channels": 0b101}
    writes |= {"flush_clocks": 11, "snapshot_clocks": 22}
    commands = [(WRITE, BY_NAME[name].address, value) for name, value in writes.items()]
    commands += [
        (WRITE, 0x42, 77),
        (WRITE, 0x55, 99),
        (WRITE, 0x62, 0b110001 | 0b1000 << 16),
        (WRITE, 0x71, 500 | 2 << 16),
        (WRITE, 0x84, 8191),
        (WRITE, 0x90, 4097),
    ]

    def watch(ctx, dut):
        settings = ctx.get(dut.settings)
        assert (settings.run, settings.mode) == (1, 1)
        assert (settings.attempt_clocks, settings.reference_timeout) == (1000, 2000)
        assert (settings.gate_start[2], settings.gate_stop[5]) == (77, 99)
        assert (settings.required[2], settings.forbidden[2]) == (0b110001, 0b1000)
        assert (settings.window[1], settings.outcome[1]) == (500, 2)
        assert (settings.delay[4], settings.delay[6]) == (8191, 4097)
        assert ctx.get(dut.stream_channels) == 0b101
        assert (ctx.get(dut.flush_clocks), ctx.get(dut.snapshot_clocks)) == (11, 22)

    assert answer(commands, watch) == [(Status.OK, value) for _, _, value in commands]


@pytest.mark.parametrize(
    ("address", "value", "pulses"),
    [(0x11, 1, "snapshot"), (0x11, 2, "flush"), (0x13, 5, "retimed"), (0x10, 1, "restart"), (0x60, 1, "restart")],
)
def test_a_write_acts_once(address, value, pulses):
    dut, counts = RegisterFile(PARAMETERS, BUILD), {"snapshot": 0, "flush": 0, "retimed": 0, "restart": 0}

    async def run(ctx):
        ctx.set(dut.replies.ready, 1)
        ctx.set(dut.commands.payload, {"operation": WRITE, "address": address, "value": value})
        ctx.set(dut.commands.valid, 1)
        await ctx.tick().until(dut.commands.ready)
        ctx.set(dut.commands.valid, 0)
        await ctx.tick().repeat(10)

    async def count(ctx):
        watched = (dut.snapshot, dut.flush, dut.retimed, dut.settings.restart)
        while True:
            _, _, *values = await ctx.tick().sample(*watched)
            for name, strobe in zip(counts, values, strict=True):
                counts[name] += strobe

    simulate(dut, run, background=[count])
    assert counts == {name: int(name == pulses) for name in counts}


def test_new_settings_stand_in_the_clock_of_the_restart():
    dut = RegisterFile(PARAMETERS, BUILD)

    async def run(ctx):
        ctx.set(dut.commands.payload, {"operation": WRITE, "address": 0x71, "value": 123})
        ctx.set(dut.commands.valid, 1)
        restart = window = 0
        while not restart:
            assert not window
            _, _, restart, window = await ctx.tick().sample(dut.settings.restart, dut.settings.window[1])
        assert window == 123

    simulate(dut, run)


def test_a_bin_is_read_in_the_clock_in_which_the_histogram_shows_it():
    dut, values = RegisterFile(PARAMETERS, BUILD), []

    async def show(ctx):
        looks = [0] * LOOK_CLOCKS
        while True:
            ctx.set(dut.histogram_state.bin, 1000 + looks.pop(0))
            _, _, look = await ctx.tick().sample(dut.histogram.look)
            looks.append(look)

    async def run(ctx):
        ctx.set(dut.replies.ready, 1)
        for place in (0, 17, 63):
            ctx.set(dut.commands.payload, {"operation": READ, "address": 0x8000 + place})
            ctx.set(dut.commands.valid, 1)
            await ctx.tick().until(dut.commands.ready)
            ctx.set(dut.commands.valid, 0)
            values.append((await ctx.tick().sample(dut.replies.payload).until(dut.replies.valid))[0].value)

    simulate(dut, run, background=[show])
    assert values == [1000, 1017, 1063]


def test_a_board_without_a_histogram_has_no_registers_of_it():
    dut, seen = RegisterFile(replace(PARAMETERS, histogram_bins=0), BUILD), []
    addresses = [BY_NAME["histogram_run"].address, 0x8000, BY_NAME["histogram_bins"].address]

    async def run(ctx):
        payloads = [{"operation": READ, "address": address} for address in addresses]
        await sender(dut.commands, payloads, random.Random(0))(ctx)
        await ctx.tick().repeat(20)

    simulate(dut, run, background=[receiver(dut.replies, seen, random.Random(0))])
    assert [(reply.status, reply.value) for reply in seen] == [(1, 0), (1, 0), (0, 0)]
