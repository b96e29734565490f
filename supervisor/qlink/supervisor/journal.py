"""The journal: what was told and decided, on disk before anyone hears of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from .effects import Effect, HeraldPublished
from .events import Event

Batch = Sequence[tuple[Event, list[Effect]]]


class Journal:
    """One SQLite file, one writer. Opening it takes a lock that ends with the process."""

    epoch: int  # rises by one at every opening: who holds a smaller one no longer speaks for the link

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def append(self, batch: Batch) -> int:
        """Commit the batch, durable on return; the sequence number of its first event (events count from 1)."""
        raise NotImplementedError

    def replay(self, after: int = 0) -> Iterator[tuple[int, Event, list[Effect]]]:
        """Every event with a sequence number above `after`, and what was decided."""
        raise NotImplementedError

    def heralds_since(self, publication: int, limit: int = 1000) -> list[HeraldPublished]:
        """Published heralds with `pair` above `publication`, in order, at most `limit`."""
        raise NotImplementedError

    def answers(self, tenant: str, key: str) -> list[Effect]:
        """All that was ever said to this tenant about the request `key`, in order; empty if it never asked."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
