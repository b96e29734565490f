"""LambdaConcept ECPIX-5: LFE5UM5G; an FT2232H (up to R02) or FT4232H (R03) with JTAG on channel A and a UART.

Detectors and reference sit on PMOD0 and PMOD1, whose 16 contacts are all in IO bank 3, the right one: nextpnr places
IDDRX2F in left and right banks only, and one edge clock serves one side. The other PMODs are in top banks or mixed: the
triggers, which need no gearing, are on PMOD2. The 85F has room for more: feed-forward on PMOD4, whose upper contacts
are of bank 2 on the same side, and the lines to another board on PMOD5.
"""

from typing import Any

from amaranth_boards.ecpix5 import ECPIX545Platform, ECPIX585Platform

from .profile import Pin, Profile, SyncPins

__all__ = ["ECPIX5_45F", "ECPIX5_85F"]


def _pmod(number: int, contact: int) -> Pin:
    connector = next(c for c in ECPIX585Platform.connectors if (c.name, c.number) == ("pmod", number))
    return Pin(f"PMOD{number}", contact, connector.mapping[str(contact)])


_UPPER, _LOWER = (1, 2, 3, 4), (7, 8, 9, 10)
_SMALLER = {"accidentals": False, "filter_depth": 0, "veto_depth": 1024}  # with more of it no clock of 125 MHz is met


def _profile(name: str, platform: type, **fields: Any) -> Profile:
    return Profile(
        name=name,
        platform=platform,
        detectors=tuple(_pmod(0, contact) for contact in (*_UPPER, *_LOWER)),
        reference=_pmod(1, 1),
        heralds=tuple(_pmod(1, contact) for contact in _LOWER),
        pps=_pmod(1, 2),
        ten_mhz=_pmod(1, 3),
        triggers=tuple(_pmod(2, contact) for contact in (*_UPPER, *_LOWER)),
        baud=12_000_000,
        interface=2,
        programmers={"ft2232h": "ecpix5", "ft4232h": "ecpix5_r03"},
        **fields,
    )


ECPIX5_45F = _profile("ecpix5-45f", ECPIX545Platform, clock_hz=125_000_000, sizes=_SMALLER, verified=True)
ECPIX5_85F = _profile(
    "ecpix5-85f",
    ECPIX585Platform,
    clock_hz=100_000_000,
    verified=True,
    actions=tuple(_pmod(4, contact) for contact in _UPPER),
    pulses=4,
    sync=SyncPins(
        outputs=(_pmod(5, 1), _pmod(5, 2), _pmod(5, 3)),
        inputs=(_pmod(5, 7), _pmod(5, 8), _pmod(5, 9)),
    ),
)
