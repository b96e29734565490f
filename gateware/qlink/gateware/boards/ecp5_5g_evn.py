"""Lattice ECP5-5G evaluation board: LFE5UM5G-85F; an FT2232H with JTAG on channel A.

Detectors, reference, heralds and triggers sit on J40, all of IO bank 6, the left one, at 3.3 V as delivered. The UART
on channel B needs two resistors moved and the FTDI chip set to RS-232: the board's user guide, section 6.2.
"""

from amaranth_boards.ecp5_5g_evn import ECP55GEVNPlatform

from .profile import Pin, Profile

__all__ = ["ECP5_5G_EVN"]

_J40 = next(c for c in ECP55GEVNPlatform.connectors if (c.name, c.number) == ("J", 40))


def _j40(contact: int) -> Pin:
    return Pin("J40", contact, _J40.mapping[str(contact)])


ECP5_5G_EVN = Profile(
    name="ecp5-5g-evn",
    platform=ECP55GEVNPlatform,
    detectors=tuple(_j40(contact) for contact in (4, 5, 6, 7, 8, 9, 10, 11)),
    reference=_j40(12),
    heralds=tuple(_j40(contact) for contact in (13, 14, 15, 16)),
    triggers=tuple(_j40(contact) for contact in (17, 18, 21, 23, 25, 27, 28, 29)),
    clock_hz=120_000_000,  # the PLL's phase detector wants all of the 12 MHz
    baud=12_000_000,
    interface=2,
    programmers={"ft2232h": "ecp5_evn"},
)
