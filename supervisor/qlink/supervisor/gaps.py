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
        self._last = dict(after)
        self.is_news = False  # whether the message taken last is new, and no heartbeat

    def take(self, topic: str, number: int, heartbeat: bool) -> Gap | None:
        """Take in a message; what was missed before it. A heartbeat's number is that of the last message.

        Raises `PublicationsLost` when the numbers began anew.
        """
        known = self._last.get(topic)
        self.is_news = not heartbeat and (known is None or number > known)
        if known is None:
            self._last[topic] = number
            return None
        if number < known and heartbeat:
            raise PublicationsLost(f"{topic} went back from {known} to {number}: the supervisor began a new journal")
        self._last[topic] = max(known, number)
        missed = number if heartbeat else number - 1
        return Gap(topic, known + 1, missed) if missed > known else None
