"""From a journal back to a core that has forgotten nothing."""

from .core import Core
from .journal import Journal
from .model import Settings


def recover(journal: Journal, settings: Settings) -> Core:
    """The core as the journal left it (an empty one starts a new core), going on under `settings`.

    Starts at the last checkpoint and replays what follows; raises `errors.DecisionDiffers` naming the row.
    """
    raise NotImplementedError
