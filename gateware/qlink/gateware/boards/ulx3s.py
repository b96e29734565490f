"""Radiona ULX3S: LFE5U-12F to -85F of the slowest grade; an FT231X, whose UART makes 3 Mbaud at most.

Detectors and reference sit on the header J1's pairs 8 to 12, all of IO bank 7, the left one (IDDRX2F needs a left or
right bank). Pairs 11 to 13 are also wired to the ESP32, which has to be kept in reset: the 12F's profile does without.
Heralds are on pairs 14 and 15, triggers on 16 to 19. The profile with an FT232H module takes pairs 0 to 7 for its
synchronous FIFO.
"""

from amaranth_boards.ulx3s import ULX3S_12F_Platform, ULX3S_25F_Platform, ULX3S_45F_Platform, ULX3S_85F_Platform

from .profile import Fifo, Pin, Profile

__all__ = ["ULX3S_12F", "ULX3S_25F", "ULX3S_45F", "ULX3S_85F", "ULX3S_85F_FT232H"]


def _gpio(contact: str) -> Pin:
    return Pin("GPIO0", contact, ULX3S_85F_Platform.connectors[0].mapping[contact])


_INPUTS = tuple(_gpio(f"{pair}{sign}") for pair in (8, 9, 10, 11, 12) for sign in "+-")
_SMALL = {"veto_depth": 512, "click_depth": 256, "record_depth": 2048, "herald_depth": 64, "delay_depth": 512}


def _profile(name: str, platform: type, channels: int, **fields: object) -> Profile:
    defaults = {"patterns": 8, "clock_hz": 100_000_000, "baud": 3_000_000}
    return Profile(
        name=name,
        platform=platform,
        detectors=_INPUTS[:channels],
        reference=_INPUTS[channels],
        heralds=tuple(_gpio(contact) for contact in ("14+", "14-", "15+", "15-")),
        triggers=tuple(_gpio(f"{pair}{sign}") for pair in (16, 17, 18, 19) for sign in "+-"),
        interface=1,
        programmers={"ft231x": "ulx3s"},
        **(defaults | fields),
    )


ULX3S_12F = _profile("ulx3s-12f", ULX3S_12F_Platform, 4, patterns=2, sizes=_SMALL)
ULX3S_25F = _profile("ulx3s-25f", ULX3S_25F_Platform, 4, patterns=4, sizes=_SMALL)
ULX3S_45F = _profile("ulx3s-45f", ULX3S_45F_Platform, 8)
ULX3S_85F = _profile("ulx3s-85f", ULX3S_85F_Platform, 8)

ULX3S_85F_FT232H = _profile(
    "ulx3s-85f-ft232h",
    ULX3S_85F_Platform,
    8,
    fifo=Fifo(
        data=tuple(_gpio(f"{pair}{sign}") for pair in (3, 4, 5, 6) for sign in "+-"),
        clock=_gpio("0+"),  # leads to a clock net
        txe_n=_gpio("1+"),
        rxf_n=_gpio("1-"),
        wr_n=_gpio("2+"),
        rd_n=_gpio("2-"),
        oe_n=_gpio("7+"),
        siwu_n=_gpio("7-"),
    ),
)
