"""Lattice ECP5-5G evaluation board: LFE5UM5G-85F; an FT2232H with JTAG on channel A.

Everything but the triggers sits on J40's contacts of IO bank 6, a left one, at 3.3 V as delivered; the triggers are on
J31, a PMOD of bank 0 at 3.3 V. The UART on channel B needs two resistors moved and the FTDI chip set to RS-232: the
board's user guide, section 6.2.
"""

from amaranth_boards.ecp5_5g_evn import ECP55GEVNPlatform

from .profile import Pin, Profile, SyncPins

__all__ = ["ECP5_5G_EVN"]

_CONNECTORS = {f"{c.name}{c.number}": c.mapping for c in ECP55GEVNPlatform.connectors}


def _pins(connector: str, *contacts: int) -> tuple[Pin, ...]:
    return tuple(Pin(connector, contact, _CONNECTORS[connector][str(contact)]) for contact in contacts)


_REFERENCE, _PPS, _TEN_MHZ = _pins("J40", 12, 17, 18)


ECP5_5G_EVN = Profile(
    name="ecp5-5g-evn",
    platform=ECP55GEVNPlatform,
    detectors=_pins("J40", 4, 5, 6, 7, 8, 9, 10, 11),
    reference=_REFERENCE,
    heralds=_pins("J40", 13, 14, 15, 16),
    triggers=_pins("J31", 1, 2, 3, 4, 7, 8, 9, 10),
    pps=_PPS,
    ten_mhz=_TEN_MHZ,
    actions=_pins("J40", 21, 23, 25, 27),
    pulses=4,
    sync=SyncPins(outputs=_pins("J40", 28, 29, 31), inputs=_pins("J40", 32, 35, 39)),
    clock_hz=96_000_000,  # the PLL's phase detector wants all of the 12 MHz
    baud=12_000_000,
    interface=2,
    programmers={"ft2232h": "ecp5_evn"},
)
