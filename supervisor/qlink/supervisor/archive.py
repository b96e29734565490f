"""Publication numbers, and publications found again: the newest in memory, all others in the journal.

A topic's numbers count its publications from 1, in the order of the journal, so the journal alone tells them. What was
counted is kept beside it in a file, to save reading the whole journal at the next start; a file that is missing or
belongs to another journal costs time and nothing else.
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import chain, islice
from typing import NamedTuple

import msgspec

from .effects import Effect
from .journal import Journal
from .messages import Body, topic_of

REMEMBERED = 20_000  # publications kept in memory per topic
MARK_EVERY = 512  # publications between two entries of the index into the journal


class Run(NamedTuple):
    """Publications of one topic that follow each other."""

    topic: str
    first: int  # number of the first
    bodies: list[Body]


class Index(msgspec.Struct):
    """What is known about the journal up to event `sequence`."""

    began_ns: int = 0  # time of the journal's first event: whose index it is
    sequence: int = 0
    last: dict[str, int] = {}  # number of the last publication, by topic
    marks: dict[
        str, list[tuple[int, int]]
    ] = {}  # some publications' number, and the journal's entry that it is the first of


class Archive:
    """Numbers what the journal's events are made known by. Events have to be handed in, in the journal's order."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._file = journal.path.with_suffix(".index")
        self._recent: dict[str, deque[Body]] = {}
        self._index = self._load()
        for entry in journal.entries(after=self._index.sequence):
            self.take(entry.first, entry.decided)

    def last(self, topic: str) -> int:
        """Number of the topic's last publication; 0 when there was none."""
        return self._index.last.get(topic, 0)

    @property
    def topics(self) -> list[str]:
        return list(self._index.last)

    def take(self, first: int, decided: Sequence[list[Effect]]) -> list[Run]:
        """Number what a batch is made known by. `first`: its first event's sequence number."""
        bodies: dict[str, list[Body]] = {}
        for effect in chain.from_iterable(decided):
            topic = topic_of(effect)
            if topic is not None:
                bodies.setdefault(topic, []).append(effect)
        self._index.sequence = first + len(decided) - 1
        return [Run(topic, self._number(topic, first, several), several) for topic, several in bodies.items()]

    def find(self, topic: str, first: int, limit: int) -> list[Body]:
        """Publications from number `first` on, at most `limit`. Older ones take some milliseconds."""
        recent = self._recent.get(topic, deque())
        begin = self.last(topic) - len(recent) + 1
        if first >= begin:
            return list(islice(recent, first - begin, first - begin + limit))
        return self._read(topic, first, min(limit, self.last(topic) - first + 1))

    def save(self) -> None:
        """Keep what was counted, for the next start."""
        self._index.began_ns = self._began_ns()
        temporary = self._file.with_suffix(f".index.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_bytes(msgspec.msgpack.encode(self._index))
        temporary.replace(self._file)

    def _number(self, topic: str, entry: int, bodies: list[Body]) -> int:
        """Give the numbers that come next to the bodies of a journal entry; the first of them."""
        index = self._index
        number = index.last.get(topic, 0) + 1
        index.last[topic] = number + len(bodies) - 1
        marks = index.marks.setdefault(topic, [])
        if not marks or number >= marks[-1][0] + MARK_EVERY:
            marks.append((number, entry))
        if topic not in self._recent:
            self._recent[topic] = deque(maxlen=REMEMBERED)
        self._recent[topic].extend(bodies)
        return number

    def _read(self, topic: str, first: int, count: int) -> list[Body]:
        marks = self._index.marks[topic]
        number, sequence = marks[max(bisect_right(marks, first, key=lambda mark: mark[0]) - 1, 0)]
        found: list[Body] = []
        for entry in self._journal.entries(after=sequence - 1):
            bodies = [effect for effect in chain.from_iterable(entry.decided) if topic_of(effect) == topic]
            found += bodies[max(first - number, 0) :]
            number += len(bodies)
            if len(found) >= count:
                break
        return found[:count]

    def _load(self) -> Index:
        began_ns = self._began_ns()
        try:
            index = msgspec.msgpack.decode(self._file.read_bytes(), type=Index)
        except (OSError, msgspec.DecodeError):
            return Index(began_ns)
        ours = index.began_ns == began_ns and index.sequence <= self._journal.last
        return index if ours else Index(began_ns)

    def _began_ns(self) -> int:
        """The time of the journal's first event, 0 when there is none: no two journals have the same."""
        entry = next(self._journal.entries(), None)
        return entry.events[0].time_ns if entry is not None else 0
