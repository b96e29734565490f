"""1BitSquared iCEBreaker: iCE40UP5K, slow and small; an FT2232H, its channel A the programmer, B a UART.

Detectors and reference are on PMOD1A, heralds on PMOD1B. Two detectors and two patterns all but fill the chip. An iCE40
has no gearing but the two registers of a pin: both edges of the clock sample. The 12 MHz come in at the pin that the
PLL takes its input from. openFPGALoader knows the board as `ice40_generic`.
"""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from ..parameters import COMPACT
from .family import ICE40
from .profile import Pin, Profile

__all__ = ["ICEBREAKER"]


def _pmod(number: int, *contacts: int) -> tuple[Pin, ...]:
    mapping = ICEBreakerPlatform.connectors[number].mapping
    return tuple(Pin(("PMOD1A", "PMOD1B", "PMOD2")[number], contact, mapping[str(contact)]) for contact in contacts)


ICEBREAKER = Profile(
    name="icebreaker",
    platform=ICEBreakerPlatform,
    detectors=_pmod(0, 1, 2),
    reference=_pmod(0, 7)[0],
    heralds=_pmod(1, 1, 2, 3, 4),
    clock_hz=24_000_000,
    baud=3_000_000,
    interface=2,
    programmers={"ft2232h": "ice40_generic"},
    samples=2,
    patterns=2,
    family=ICE40,
    sizes={**COMPACT, "window_bits": 6, "herald_depth": 16, "frame_depth": 128},
    dedicated_clock=True,
    verified=True,
)
