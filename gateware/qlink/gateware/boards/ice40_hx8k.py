"""Lattice iCE40HX-8K Breakout Board (iCE40HX8K-B-EVN): an FT2232H, its channel A the programmer, B a UART.

All signals are on the header J2, whose contacts are in IO bank 1, the right one. An iCE40 has no gearing but the two
registers of a pin: both edges of the clock sample. openFPGALoader knows the board as `ice40_generic`.
"""

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

from ..parameters import COMPACT
from .family import ICE40
from .profile import Pin, Profile

__all__ = ["ICE40_HX8K"]


def _j2(*contacts: int) -> tuple[Pin, ...]:
    mapping = next(c for c in ICE40HX8KBEVNPlatform.connectors if c.number == 2).mapping
    return tuple(Pin("J2", contact, mapping[str(contact)]) for contact in contacts)


ICE40_HX8K = Profile(
    name="ice40-hx8k",
    platform=ICE40HX8KBEVNPlatform,
    detectors=_j2(9, 10, 11, 12),
    reference=_j2(17)[0],
    heralds=_j2(25, 26, 27, 28),
    clock_hz=60_000_000,
    baud=12_000_000,
    interface=2,
    programmers={"ft2232h": "ice40_generic"},
    samples=2,
    patterns=4,
    family=ICE40,
    sizes={**COMPACT, "window_bits": 12, "frame_depth": 256},
    verified=True,
)
