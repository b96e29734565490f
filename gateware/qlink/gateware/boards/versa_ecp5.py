"""Lattice ECP5-5G Versa: LFE5UM5G-45F; an FT2232H with JTAG on channel A and a UART on B.

All contacts of its expansion connectors are in the banks at the top, where there is no gearing by four (IDDRX2F): two
samples a clock. X3 carries bank 0 at 3.3 V, the UART's.
"""

from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

from .profile import Pin, Profile

__all__ = ["VERSA_ECP5_5G"]


def _x3(contact: int) -> Pin:
    return Pin("EXPCON1", contact, VersaECP55GPlatform.connectors[0].mapping[str(contact)])


VERSA_ECP5_5G = Profile(
    name="versa-ecp5-5g",
    platform=VersaECP55GPlatform,
    detectors=tuple(_x3(contact) for contact in range(6, 14)),
    reference=_x3(14),
    heralds=tuple(_x3(contact) for contact in range(15, 19)),
    triggers=(_x3(19), _x3(20)),
    clock_hz=125_000_000,
    baud=12_000_000,
    interface=2,
    programmers={"ft2232h": "ecp5_versa"},
    samples=2,
)
