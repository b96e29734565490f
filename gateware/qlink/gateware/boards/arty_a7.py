"""Digilent Arty A7: XC7A35T or XC7A100T; an FT2232H with JTAG on channel A and a UART on B.

No free toolchain lays out a 7 series FPGA from PyPI: what is made is a Vivado project, and nobody has run it here.
Detectors sit on JA, reference, PPS, 10 MHz and heralds on JB, triggers on JC, all at 3.3 V; the larger one has
feed-forward on JD and the lines to another board on the digital header.
"""

from amaranth_boards.arty_a7 import ArtyA7_35Platform, ArtyA7_100Platform

from .family import ARTIX
from .profile import Pin, Profile, SyncPins

__all__ = ["ARTY_A7_35T", "ARTY_A7_100T"]

_UPPER, _LOWER = (1, 2, 3, 4), (7, 8, 9, 10)


def _pmod(letter: str, contact: int) -> Pin:
    number = "ABCD".index(letter)
    return Pin(f"PMOD{number}", contact, ArtyA7_35Platform.connectors[number].mapping[str(contact)])


def _io(number: int) -> Pin:
    header = next(c for c in ArtyA7_35Platform.connectors if c.name == "ck_io")
    return Pin("CK_IO0", f"io{number}", header.mapping[f"io{number}"])


def _profile(name: str, platform: type, patterns: int, **fields: object) -> Profile:
    return Profile(
        name=name,
        platform=platform,
        detectors=tuple(_pmod("A", contact) for contact in (*_UPPER, *_LOWER)),
        reference=_pmod("B", 1),
        heralds=tuple(_pmod("B", contact) for contact in _LOWER),
        triggers=tuple(_pmod("C", contact) for contact in (*_UPPER, *_LOWER)),
        clock_hz=100_000_000,
        baud=12_000_000,
        interface=2,
        programmers={"ft2232h": "arty"},
        samples=2,
        patterns=patterns,
        pps=_pmod("B", 2),
        ten_mhz=_pmod("B", 3),
        family=ARTIX,
        **fields,
    )


ARTY_A7_35T = _profile("arty-a7-35t", ArtyA7_35Platform, 4)
ARTY_A7_100T = _profile(
    "arty-a7-100t",
    ArtyA7_100Platform,
    8,
    actions=tuple(_pmod("D", contact) for contact in _UPPER),
    pulses=4,
    sync=SyncPins(outputs=(_io(0), _io(1), _io(2)), inputs=(_io(3), _io(4), _io(5))),
)
