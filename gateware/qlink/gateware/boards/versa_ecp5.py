"""Lattice ECP5-5G Versa: LFE5UM5G-45F; an FT2232H with JTAG on channel A and a UART on B.

All contacts of its expansion connectors are in the banks at the top, where there is no gearing by four (IDDRX2F): two
samples a clock. X3 and five contacts of X4 are of bank 0, at 3.3 V, the UART's; the rest of X4 is of bank 1, which is
left alone. That is enough for two triggers and three outputs of feed-forward, but not for lines to another board.
"""

from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

from .profile import Pin, Profile

__all__ = ["VERSA_ECP5_5G"]


def _pins(number: int, *contacts: int) -> tuple[Pin, ...]:
    mapping = VersaECP55GPlatform.connectors[number - 1].mapping
    return tuple(Pin(f"EXPCON{number}", contact, mapping[str(contact)]) for contact in contacts)


_PPS, _TEN_MHZ, *_ACTIONS = _pins(2, 14, 15, 16, 1, 38)  # X4

VERSA_ECP5_5G = Profile(
    name="versa-ecp5-5g",
    platform=VersaECP55GPlatform,
    detectors=_pins(1, 6, 7, 8, 9, 10, 11, 12, 13),
    reference=_pins(1, 14)[0],
    heralds=_pins(1, 15, 16, 17, 18),
    triggers=_pins(1, 19, 20),
    pps=_PPS,
    ten_mhz=_TEN_MHZ,
    actions=tuple(_ACTIONS),
    clock_hz=100_000_000,
    baud=12_000_000,
    interface=2,
    programmers={"ft2232h": "ecp5_versa"},
    samples=2,
    # with more of it no way is found for all wires
    sizes={"accidentals": False, "filter_depth": 0, "veto_depth": 1024},
    verified=True,
)
