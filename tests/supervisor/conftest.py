"""Settings of hypothesis for a machine that does other things at the same time: no example is failed for its time."""

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
