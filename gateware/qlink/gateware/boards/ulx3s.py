"""Radiona ULX3S: LFE5U-12F to -85F of the slowest grade; an FT231X, whose UART makes 3 Mbaud at most.

What is geared sits on the header J2's pairs 14 to 21, all of IO banks 3 and 2, the right ones (IDDRX2F and ODDRX2F
need the banks of one side): detectors on 14 to 17, reference, PPS and 10 MHz on 18 and 19, feed-forward on 20 and 21.
Heralds are on pairs 8 and 9, triggers on 22 to 24 and 10, the lines to another board on 25 to 27. The ADC listens on
pairs 14 to 17; pairs 11 to 13 are the ESP32's, too, and left alone. The profile with an FT232H module takes pairs 0 to
7 for its synchronous FIFO.
"""

from amaranth_boards.ulx3s import ULX3S_12F_Platform, ULX3S_25F_Platform, ULX3S_45F_Platform, ULX3S_85F_Platform

from .profile import Fifo, Pin, Profile, SyncPins

__all__ = ["ULX3S_12F", "ULX3S_25F", "ULX3S_45F", "ULX3S_85F", "ULX3S_85F_FT232H"]


def _gpio(contact: str) -> Pin:
    return Pin("GPIO0", contact, ULX3S_85F_Platform.connectors[0].mapping[contact])


def _pairs(*numbers: int) -> tuple[Pin, ...]:
    return tuple(_gpio(f"{pair}{sign}") for pair in numbers for sign in "+-")


_DETECTORS = _pairs(14, 15, 16, 17)
_TIMES = {"pps": _gpio("18-"), "ten_mhz": _gpio("19+")}
_SYNC = SyncPins(
    outputs=(_gpio("25+"), _gpio("26+"), _gpio("27+")),
    inputs=(_gpio("25-"), _gpio("26-"), _gpio("27-")),
)
_ALL = {**_TIMES, "actions": _pairs(20, 21), "pulses": 4, "sync": _SYNC, "clock_hz": 62_500_000}
_EVERYTHING = {"multiplicity": True}  # there is room for it
_SMALL = {  # there are 56 block RAMs
    **{"veto_depth": 512, "click_depth": 256, "record_depth": 1024, "herald_depth": 64, "delay_depth": 512},
    **{"filter_depth": 0, "histogram_bins": 0},
}


def _profile(name: str, platform: type, channels: int, **fields: object) -> Profile:
    defaults = {"patterns": 8, "clock_hz": 75_000_000, "baud": 3_000_000}
    return Profile(
        name=name,
        platform=platform,
        detectors=_DETECTORS[:channels],
        reference=_gpio("18+"),
        heralds=_pairs(8, 9),
        triggers=_pairs(22, 23, 24, 10),
        interface=1,
        programmers={"ft231x": "ulx3s"},
        **(defaults | fields),
    )


ULX3S_12F = _profile("ulx3s-12f", ULX3S_12F_Platform, 4, patterns=2, sizes=_SMALL, verified=True)
ULX3S_25F = _profile("ulx3s-25f", ULX3S_25F_Platform, 4, patterns=4, sizes=_SMALL, verified=True)
ULX3S_45F = _profile("ulx3s-45f", ULX3S_45F_Platform, 8, patterns=4, sizes={"veto_depth": 1024}, verified=True, **_ALL)
ULX3S_85F = _profile("ulx3s-85f", ULX3S_85F_Platform, 8, sizes=_EVERYTHING, verified=True, **_ALL)

ULX3S_85F_FT232H = _profile(
    "ulx3s-85f-ft232h",
    ULX3S_85F_Platform,
    8,
    sizes=_EVERYTHING,
    **_ALL,
    fifo=Fifo(
        data=_pairs(3, 4, 5, 6),
        clock=_gpio("0+"),  # leads to a clock net
        txe_n=_gpio("1+"),
        rxf_n=_gpio("1-"),
        wr_n=_gpio("2+"),
        rd_n=_gpio("2-"),
        oe_n=_gpio("7+"),
        siwu_n=_gpio("7-"),
    ),
)
