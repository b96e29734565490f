"""The supervisor's decisions: what it is told goes in, what is to be done comes out. See docs/life-cycle.md.

The core reads no clock, draws no random number and does no I/O: the same events give the same effects, byte for byte.
Shell's order of work: `effects = core.step(event)` for a batch, `journal.append(batch)`, and only then make them known.
"""

from .effects import Effect
from .events import Event
from .model import Settings

DECISIONS = 1  # version of the rules; another one may decide otherwise on the same events


class Core:
    """All pairs and requests of one link. Time never goes backwards: an event dated before the last one happens now."""

    next_deadline_ns: (
        int  # nothing falls due before it: hand in `events.Ticked` then; model.FOREVER_NS when nothing waits
    )

    def __init__(self, settings: Settings) -> None:
        raise NotImplementedError

    def step(self, event: Event) -> list[Effect]:
        """Take one event in; 5 us is typical."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """The whole state, the same bytes for the same events."""
        raise NotImplementedError

    def restore(self, snapshot: bytes) -> None:
        """Continue from `snapshot`, as if all events before it had been handed in."""
        raise NotImplementedError
