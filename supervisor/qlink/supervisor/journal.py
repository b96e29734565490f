"""The journal: what was told and decided, on disk before anyone hears of it.

One SQLite file in WAL mode with `synchronous=FULL`, one writer, one row per batch: events and effects as msgpack blobs
beside a checksum. Everything in it is written in the transaction that makes the batch durable.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import msgspec

from .effects import (
    Acknowledged,
    Allocated,
    Completed,
    Effect,
    HeraldPublished,
    Refused,
    RequestCancelled,
    RequestExpired,
)
from .errors import JournalDamaged
from .events import Event
from .journal_file import open_file, translated
from .model import RefusalCode, Settings

Batch = Sequence[tuple[Event, list[Effect]]]
Asked = tuple[str, str, int, int | None]  # a row of `requests`
Answer = Acknowledged | Refused | Allocated | RequestExpired | RequestCancelled | Completed

encode = msgspec.msgpack.Encoder().encode
_decode_events = msgspec.msgpack.Decoder(list[Event]).decode
_decode_effects = msgspec.msgpack.Decoder(list[list[Effect]]).decode
_decode_settings = msgspec.msgpack.Decoder(Settings).decode
_TO_REQUEST = frozenset((Allocated, RequestExpired, RequestCancelled, Completed))


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch as it lies in the file, checksum tested."""

    first: int  # sequence number of its first event
    events: list[Event]
    effects: bytes  # of list[list[Effect]], one list per event

    @property
    def decided(self) -> list[list[Effect]]:
        return _decode_effects(self.effects)


@dataclass(frozen=True, slots=True)
class Era:
    """From `first` on it was decided under these settings, by this version of the rules."""

    first: int
    decisions: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The core's snapshot after the event with sequence number `after`."""

    after: int
    state: bytes


class Journal:
    """One SQLite file, one writer, one thread at a time. Opening it takes a lock that ends with the process.

    Raises `JournalLocked` when another process has it open, `JournalDamaged` or `JournalMismatch` when it cannot be
    used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = open_file(path)
        with self._translated():
            self.epoch: int = self._value("UPDATE epoch SET number = number + 1 RETURNING number")
            last = self._row("SELECT first + count - 1, published FROM entries ORDER BY first DESC LIMIT 1") or (0, 0)
            self._last, self._published = cast(tuple[int, int], last)
            self._checkpointed: int = self._value("SELECT coalesce(max(after), 0) FROM checkpoints")
            self._last = max(self._last, self._checkpointed)

    @property
    def last(self) -> int:
        """The sequence number of the last event; 0 if there is none."""
        return self._last

    @property
    def complete(self) -> bool:
        """Whether it still holds every event: nothing was pruned."""
        with self._translated():
            return self._value("SELECT coalesce(min(first), ?) FROM entries", self._last + 1) == 1

    @property
    def since_checkpoint(self) -> int:
        """Events that a restart has to replay."""
        return self._last - self._checkpointed

    def append(self, batch: Batch) -> int:
        """Commit the batch, durable on return; the sequence number of its first event (events count from 1)."""
        if not batch:
            raise ValueError("an empty batch has no place in the journal")
        first, decided, published = self._last + 1, [effects for _, effects in batch], self._published
        asked: list[Asked] = []
        touched: set[int] = set()
        for effect in chain.from_iterable(decided):
            kind = type(effect)
            if kind is HeraldPublished:
                published = effect.pair  # type: ignore[union-attr]
            elif kind in _TO_REQUEST:
                touched.add(effect.create_id)  # type: ignore[union-attr]
            elif isinstance(effect, Acknowledged):
                touched.add(effect.create_id)
                asked.append((effect.tenant, effect.key, first, effect.create_id))
            elif isinstance(effect, Refused) and effect.key and effect.code != RefusalCode.KEY_REUSED:
                asked.append((effect.tenant, effect.key, first, None))
        events, effects = encode([event for event, _ in batch]), encode(decided)
        row = (first, len(batch), published, crc32(effects, crc32(events)), events, effects)
        with self._translated():
            self._insert(row, asked, touched)
        self._last, self._published = first + len(batch) - 1, published
        return first

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Batches that hold events with sequence numbers above `after`, from the one that begins there."""
        expected = after + 1
        with self._translated():
            rows = self.connection.execute("SELECT * FROM entries WHERE first > ? ORDER BY first", (after,))
            for first, count, _, checksum, events, effects in rows:
                if first != expected:
                    raise JournalDamaged(f"journal {self.path} has no entry {expected}: restore the file from a backup")
                entry = self._entry(first, checksum, events, effects)
                expected = first + count
                yield entry

    def replay(self, after: int = 0) -> Iterator[tuple[int, Event, list[Effect]]]:
        """Every event with a sequence number above `after` (the end of a batch), and what was decided."""
        for entry in self.entries(after):
            pairs = zip(entry.events, entry.decided, strict=True)
            yield from ((entry.first + place, event, effects) for place, (event, effects) in enumerate(pairs))

    def heralds_since(self, publication: int, limit: int = 1000) -> list[HeraldPublished]:
        """Published heralds with `pair` above `publication`, in order, at most `limit`."""
        found: list[HeraldPublished] = []
        with self._translated():
            rows = self.connection.execute(
                "SELECT first, checksum, events, effects FROM entries WHERE first >= ? ORDER BY first",
                (self._first_publishing_after(publication),),
            )
            for row in rows:
                for effect in chain.from_iterable(self._entry(*row).decided):
                    if isinstance(effect, HeraldPublished) and effect.pair > publication:
                        found.append(effect)
                if len(found) >= limit:
                    break
        return found[:limit]

    def answers(self, tenant: str, key: str) -> list[Effect]:
        """All that was ever said to this tenant about the request `key`, in order; empty if it never asked."""
        with self._translated():
            rows = self.connection.execute(
                """SELECT first, checksum, events, effects FROM entries WHERE first IN (
                     SELECT entry FROM requests WHERE tenant = :tenant AND key = :key
                     UNION SELECT answers.entry FROM requests JOIN answers USING (create_id)
                     WHERE tenant = :tenant AND key = :key
                   ) ORDER BY first""",
                {"tenant": tenant, "key": key},
            )
            said = chain.from_iterable(chain.from_iterable(self._entry(*row).decided) for row in rows)
            answers = [each for each in said if isinstance(each, Answer) and (each.tenant, each.key) == (tenant, key)]
        return list(dict.fromkeys(answers))  # what was said twice is told once

    def eras(self) -> list[Era]:
        with self._translated():
            rows: list[tuple[int, int, bytes]] = self._all("SELECT first, decisions, settings FROM eras ORDER BY first")
            return [Era(first, decisions, _decode_settings(settings)) for first, decisions, settings in rows]

    def open_era(self, settings: Settings, decisions: int, state: bytes) -> None:
        """From the next event on it is decided under `settings`, beginning with this snapshot."""
        with self._translated(), self.connection:
            era = (self._last + 1, decisions, encode(settings))
            self.connection.execute("INSERT OR REPLACE INTO eras VALUES (?, ?, ?)", era)
            self.checkpoint(state)

    def checkpoint(self, state: bytes) -> None:
        """Keep the core's snapshot as of the last event, beside the one before: a restart begins there."""
        with self._translated(), self.connection:
            self.connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (self._last, crc32(state), state)
            )
            keep = "SELECT after FROM checkpoints ORDER BY after DESC LIMIT 2"
            self.connection.execute(f"DELETE FROM checkpoints WHERE after NOT IN ({keep})")
        self._checkpointed = self._last

    def checkpoints(self) -> list[Checkpoint]:
        """Those that are intact, newest first."""
        with self._translated():
            rows: list[tuple[int, int, bytes]] = self._all(
                "SELECT after, checksum, state FROM checkpoints ORDER BY after"
            )
            return [Checkpoint(after, state) for after, checksum, state in reversed(rows) if crc32(state) == checksum]

    def prune(self, before: int) -> int:
        """Forget entries that end before sequence number `before` and before every checkpoint; how many."""
        with self._translated(), self.connection:
            oldest: int = self._value("SELECT coalesce(min(after), 0) FROM checkpoints")
            limit = min(before - 1, oldest)
            gone = self.connection.execute(
                "DELETE FROM entries WHERE first + count - 1 <= ? RETURNING 1", (limit,)
            ).fetchall()
            kept: int = self._value("SELECT coalesce(min(first), ?) FROM entries", limit + 1)
            self.connection.execute("DELETE FROM answers WHERE entry < ?", (kept,))
            self.connection.execute("DELETE FROM requests WHERE entry < ?", (kept,))
        return len(gone)

    def close(self) -> None:
        """Fold the write-ahead log into the file and give up the lock."""
        with self._translated():
            self.connection.close()

    def _insert(self, row: tuple[object, ...], asked: Iterable[Asked], touched: set[int]) -> None:
        run = self.connection.execute
        if not touched and not asked:
            run("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
            return
        run("BEGIN IMMEDIATE")
        try:
            run("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
            for request in asked:
                run("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?)", request)
            for create_id in sorted(touched):
                run("INSERT INTO answers VALUES (?, ?)", (create_id, row[0]))
            run("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                run("ROLLBACK")
            raise

    def _entry(self, first: int, checksum: int, events: bytes, effects: bytes) -> Entry:
        if crc32(effects, crc32(events)) != checksum:
            raise JournalDamaged(f"journal {self.path}, entry {first}: damaged on disk; restore the file from a backup")
        return Entry(first, _decode_events(events), effects)

    def _first_publishing_after(self, publication: int) -> int:
        """Bisect for the first entry by which more than `publication` heralds are out: `published` never falls."""
        low, high = 0, self._last
        while low < high:
            middle = (low + high) // 2
            row = self._row("SELECT first, published FROM entries WHERE first <= ? ORDER BY first DESC LIMIT 1", middle)
            if row is not None and cast(int, row[1]) > publication:
                high = cast(int, row[0]) if cast(int, row[0]) < middle else middle
            else:
                low = middle + 1
        row = self._row("SELECT first FROM entries WHERE first <= ? ORDER BY first DESC LIMIT 1", low)
        return cast(int, row[0]) if row else 0

    def _all(self, sql: str) -> list[Any]:
        return list(self.connection.execute(sql))

    def _row(self, sql: str, *bindings: int) -> tuple[object, ...] | None:
        return cast("tuple[object, ...] | None", self.connection.execute(sql, bindings).fetchone())

    def _value(self, sql: str, *bindings: int) -> int:
        row = self._row(sql, *bindings)
        if row is None:
            raise JournalDamaged(f"journal {self.path} lacks a row that every journal has: restore it from a backup")
        return cast(int, row[0])

    def _translated(self) -> translated:
        return translated(self.path)
