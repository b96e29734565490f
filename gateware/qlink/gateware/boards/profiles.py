"""Every board that a bitstream can be built for."""

from .arty_a7 import ARTY_A7_35T, ARTY_A7_100T
from .ecp5_5g_evn import ECP5_5G_EVN
from .ecpix5 import ECPIX5_45F, ECPIX5_85F
from .ice40_hx8k import ICE40_HX8K
from .icebreaker import ICEBREAKER
from .profile import Profile
from .ulx3s import ULX3S_12F, ULX3S_25F, ULX3S_45F, ULX3S_85F, ULX3S_85F_FT232H
from .versa_ecp5 import VERSA_ECP5_5G

__all__ = ["DEFAULT", "PROFILES"]

_ALL = (
    ECPIX5_45F,
    ECPIX5_85F,
    VERSA_ECP5_5G,
    ECP5_5G_EVN,
    ULX3S_12F,
    ULX3S_25F,
    ULX3S_45F,
    ULX3S_85F,
    ULX3S_85F_FT232H,
    ICE40_HX8K,
    ICEBREAKER,
    ARTY_A7_35T,
    ARTY_A7_100T,
)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}
DEFAULT = ECPIX5_45F.name
