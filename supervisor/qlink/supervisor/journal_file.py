"""Opening the journal's SQLite file: pragmas, schema, lock; and SQLite's complaints as sentences."""

from pathlib import Path
from types import TracebackType

import apsw
import msgspec

from .errors import JournalDamaged, JournalError, JournalLocked, JournalMismatch

SCHEMA_VERSION = 1
APPLICATION_ID = int.from_bytes(b"QLNK", "big")
OLDEST_SQLITE = (3, 51, 3)  # before it, resetting the write-ahead log could corrupt the file
RESERVED_BYTES = 1 << 22  # of the write-ahead log: what it holds before SQLite begins it anew, 1000 pages, and some

_SCHEMA = """
CREATE TABLE entries (
    first INTEGER PRIMARY KEY,      -- sequence number of the batch's first event
    count INTEGER NOT NULL,         -- events in it
    published INTEGER NOT NULL,     -- heralds published up to its end
    checksum INTEGER NOT NULL,      -- CRC-32 of events, then effects
    events BLOB NOT NULL,
    effects BLOB NOT NULL
) STRICT;
CREATE TABLE requests (             -- where a tenant's key was first answered
    tenant TEXT NOT NULL, key TEXT NOT NULL, entry INTEGER NOT NULL, create_id INTEGER,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE answers (              -- which entries speak of a request
    create_id INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (create_id, entry)
) STRICT, WITHOUT ROWID;
CREATE TABLE eras (first INTEGER PRIMARY KEY, decisions INTEGER NOT NULL, settings BLOB NOT NULL) STRICT;
CREATE TABLE checkpoints (after INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
CREATE TABLE epoch (number INTEGER NOT NULL) STRICT;
INSERT INTO epoch VALUES (0);
"""


class translated:
    """Context in which SQLite's errors become this area's, naming the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, JournalError):
            return
        path = self._path
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            raise JournalLocked(
                f"journal {path} is open in another supervisor: stop that one, or give another path"
            ) from error
        if isinstance(error, (apsw.NotADBError, apsw.CorruptError, msgspec.MsgspecError)):
            raise JournalDamaged(
                f"journal {path} is damaged ({error}): restore it from a backup, or move it away"
            ) from error
        if isinstance(error, apsw.Error):
            raise JournalError(
                f"journal {path} cannot be used ({error}): check its directory, rights and free space"
            ) from error


def open_file(path: Path) -> apsw.Connection:
    """Open or make the file, hold its lock, and test that it is a journal of this version."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise JournalError(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt its log: install apsw with {wanted} or later"
        )
    with translated(path):
        connection = apsw.Connection(str(path))
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: apsw.Connection, path: Path) -> None:
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
        connection.pragma(*pragma.split("="))
    connection.execute("BEGIN EXCLUSIVE")  # with locking_mode=EXCLUSIVE the lock outlasts the transaction
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    if empty and version == 0:
        connection.execute(_SCHEMA)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)
    elif application != APPLICATION_ID:
        raise JournalDamaged(f"{path} is an SQLite file, but no journal: give another path")
    elif version != SCHEMA_VERSION:
        raise JournalMismatch(
            f"journal {path} has schema version {version}, this program {SCHEMA_VERSION}: use the program that wrote it"
        )
    connection.execute("COMMIT")
    _reserve(connection)


def _reserve(connection: apsw.Connection) -> None:
    """Let the log grow once, here, and begin it anew: to sync a file that does not grow takes half the time."""
    connection.execute("DROP TABLE IF EXISTS reserve")  # a crash left it
    connection.execute("CREATE TABLE reserve (filling BLOB)")
    connection.execute("INSERT INTO reserve VALUES (zeroblob(?))", (RESERVED_BYTES,))
    connection.execute("DROP TABLE reserve")
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
