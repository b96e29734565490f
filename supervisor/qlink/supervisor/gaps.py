"""Which publications were missed, from their numbers alone."""

from dataclasses import dataclass

from .errors import PublicationsLost


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers `first` to `last` of a topic did not come."""

    topic: str
    first: int
    last: int


class NumberCheck:
    """Watches the numbers of every topic. The first message of a topic that is not in `after` sets where it begins."""

    def __init__(self, after: dict[str, int]) -> None:
        self._next = {topic: number + 1 for topic, number in after.items()}

    def take(self, topic: str, first: int, count: int) -> tuple[Gap | None, int]:
        """Take in a message of `count` publications from number `first` on (none: a heartbeat).

        Returns what was missed before it, and how many of its publications are known already. Raises
        `PublicationsLost` when the numbers began anew.
        """
        expected = self._next.get(topic, first)
        if first < expected and not count:
            raise PublicationsLost(
                f"{topic} went back from {expected - 1} to {first - 1}: the supervisor began a new journal"
            )
        self._next[topic] = max(expected, first + count)
        gap = Gap(topic, expected, first - 1) if first > expected else None
        return gap, max(expected - first, 0)
