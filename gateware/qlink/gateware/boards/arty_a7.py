"""Digilent Arty A7: XC7A35T or XC7A100T; an FT2232H with JTAG on channel A and a UART on B.

No free toolchain lays out a 7 series FPGA from PyPI: what is made is a Vivado project, and nobody has run it here.
Detectors sit on JA, reference and heralds on JB, triggers on JC, all at 3.3 V.
"""

from amaranth_boards.arty_a7 import ArtyA7_35Platform, ArtyA7_100Platform

from .family import ARTIX
from .profile import Pin, Profile

__all__ = ["ARTY_A7_35T", "ARTY_A7_100T"]

_UPPER, _LOWER = (1, 2, 3, 4), (7, 8, 9, 10)


def _pmod(letter: str, contact: int) -> Pin:
    number = "ABC".index(letter)
    return Pin(f"PMOD{number}", contact, ArtyA7_35Platform.connectors[number].mapping[str(contact)])


def _profile(name: str, platform: type, patterns: int) -> Profile:
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
        family=ARTIX,
    )


ARTY_A7_35T = _profile("arty-a7-35t", ArtyA7_35Platform, 4)
ARTY_A7_100T = _profile("arty-a7-100t", ArtyA7_100Platform, 8)
