"""Every board that a bitstream can be built for."""

from .ecpix5 import ECPIX5_45F, ECPIX5_85F
from .profile import Profile

__all__ = ["DEFAULT", "PROFILES"]

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (ECPIX5_45F, ECPIX5_85F)}
DEFAULT = ECPIX5_45F.name
