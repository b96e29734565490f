"""An SQLite file system that writes down what it is told, and what a power cut at any moment would leave on the disk.

What was not synced when the power went may be there or not, sector by sector and in any order: SQLite's own model.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    file: str


@dataclass(frozen=True, slots=True)
class Delete:
    file: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The journal said: durable up to here."""

    last: int


Operation = Write | Truncate | Sync | Delete | Acknowledge


class LoggedFile(apsw.VFSFile):
    def __init__(self, base: str, name: Any, flags: list[int], log: list[Operation]) -> None:
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._log = log
        super().__init__(base, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._log.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._log.append(Truncate(self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._log.append(Sync(self._name))
        super().xSync(flags)


class LoggedFileSystem(apsw.VFS):
    def __init__(self, log: list[Operation]) -> None:
        self._log = log
        super().__init__("logged", "", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> LoggedFile:
        return LoggedFile("unix", name, flags, self._log)

    def xDelete(self, name: str, syncdir: bool) -> None:
        self._log.append(Delete(name))
        super().xDelete(name, syncdir)


@contextmanager
def logged() -> Iterator[list[Operation]]:
    """Within it every SQLite file that is opened is written down."""
    log: list[Operation] = []
    default = apsw.vfs_names()[0]
    file_system = LoggedFileSystem(log)
    try:
        yield log
    finally:
        file_system.unregister()
        assert apsw.vfs_names()[0] == default


@dataclass
class Disk:
    """Files as a disk holds them, and the writes that are still under way."""

    files: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[Write | Truncate]] = field(default_factory=dict)

    def take(self, operation: Operation) -> None:
        match operation:
            case Write() | Truncate():
                self.pending.setdefault(operation.file, []).append(operation)
            case Sync(file):
                for each in self.pending.pop(file, []):
                    apply(self.files.setdefault(file, bytearray()), each)
            case Delete(file):
                self.files.pop(file, None)
                self.pending.pop(file, None)

    def after_power_cut(self, draw: random.Random) -> dict[str, bytes]:
        """What a restart finds: of what was under way any sectors."""
        left = {file: bytearray(content) for file, content in self.files.items()}
        for file, operations in self.pending.items():
            content = left.setdefault(file, bytearray())
            for operation in operations:
                for piece in sectors(operation):
                    if draw.random() < 0.5:
                        apply(content, piece)
        return {file: bytes(content) for file, content in left.items()}


def apply(content: bytearray, operation: Write | Truncate) -> None:
    if isinstance(operation, Truncate):
        del content[operation.size :]
        return
    end = operation.offset + len(operation.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = operation.data


def sectors(operation: Write | Truncate) -> Iterator[Write | Truncate]:
    """The operation in pieces that a disk writes whole."""
    if isinstance(operation, Truncate):
        yield operation
        return
    start, data = operation.offset, operation.data
    cuts = [0, *range(SECTOR - start % SECTOR, len(data), SECTOR), len(data)]
    for begin, end in pairwise(cuts):
        yield Write(operation.file, start + begin, data[begin:end])


def restore(left: dict[str, bytes], directory: Path) -> None:
    """Put the files into `directory`, under their own names."""
    for file, content in left.items():
        (directory / Path(file).name).write_bytes(content)
