"""Record what a board sends, byte for byte, and play it back.

A file is a header and blocks. The header is a line of JSON (`RecordingInfo`). A block is

    mark (2 bytes) | direction (1) | reserved (1) | length (4) | microseconds since `created` (8) | CRC-32 (4) | payload

with all integers little-endian and the CRC over everything but itself. Both directions are kept: the requests tell,
when it is played back, what the registers were. Nothing is buffered for longer than a block.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import BinaryIO
from urllib.parse import SplitResult, unquote
from zlib import crc32

from .decoder import Decoder
from .encoding import decode_requests
from .errors import EndOfStream, RecordingError, TransportError
from .registers import REGISTERS, Access
from .transport import Transport, clock_of
from .wire import CONTRACT_VERSION, Operation, Status

FORMAT = "qlink-recording"
FORMAT_VERSION = 1
MARK = b"QB"
HEAD = Struct("<2sBxIQI")
HEADER_MAX = 4096
BLOCK_MAX = 1 << 24
IDENTITY_SEARCH = 1 << 22  # the board is asked who it is when it is opened: the answers stand in so many first bytes


class Direction(IntEnum):
    UP = 0  # from the board
    DOWN = 1


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """The file's header."""

    created: float  # seconds since 1970, UTC
    contract_version: int = CONTRACT_VERSION
    format: str = FORMAT
    format_version: int = FORMAT_VERSION


class Recorder:
    """A transport that also writes everything that passes through `transport` to a file, which must not exist yet.

    Opened below a `Board`, so that the recording holds the board's identity and configuration: without them it can be
    read but not opened as a board.
    """

    def __init__(self, transport: Transport, path: Path, now: Callable[[], float] = time.time) -> None:
        self._transport = transport
        self._clock = clock_of(transport)
        self._now = now
        self._created = now()
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror}; name another file") from error
        self._put(json.dumps(asdict(RecordingInfo(self._created))).encode() + b"\n")

    def read(self, size: int, timeout_s: float) -> bytes:
        data = self._transport.read(size, timeout_s)
        if data:
            self._keep(Direction.UP, data)
        return data

    def write(self, data: bytes) -> None:
        self._keep(Direction.DOWN, data)
        self._transport.write(data)

    def now_s(self) -> float:
        """The time of the transport below, see `transport.Timed`."""
        return self._clock()

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._transport.close()

    def _keep(self, direction: Direction, data: bytes) -> None:
        elapsed_us = max(0, round((self._now() - self._created) * 1e6))
        for start in range(0, len(data), BLOCK_MAX):
            payload = data[start : start + BLOCK_MAX]
            self._put(_head(direction, elapsed_us, payload) + payload)

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise RecordingError(f"{self._file.name} cannot be written on: {error.strerror}") from error


def _head(direction: Direction, elapsed_us: int, payload: bytes) -> bytes:
    blank = HEAD.pack(MARK, direction, len(payload), elapsed_us, 0)[:-4]
    return blank + crc32(payload, crc32(blank)).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Block:
    offset: int
    direction: Direction
    elapsed_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes from `offset` on that are no intact block. `payload` may hold frames, which have CRCs of their own."""

    offset: int
    payload: bytes = b""


def read_info(file: BinaryIO, name: str) -> RecordingInfo:
    """The header; `file` stands behind it then. Raises `RecordingError` for what is no recording, or a newer one."""
    line = file.readline(HEADER_MAX)
    try:
        values = json.loads(line)
        info = RecordingInfo(**values)
    except (ValueError, TypeError) as error:
        raise RecordingError(f"{name} is not a recording of ours, from its very beginning (offset 0)") from error
    if info.format != FORMAT or info.format_version != FORMAT_VERSION:
        raise RecordingError(f"{name} is a recording of format version {info.format_version}: update this package")
    if info.contract_version != CONTRACT_VERSION:
        raise RecordingError(
            f"{name} was recorded under wire contract {info.contract_version}, this host speaks {CONTRACT_VERSION}: "
            "replay it with the release that recorded it"
        )
    return info


def read_blocks(file: BinaryIO) -> Iterator[Block | Damage]:
    """All intact blocks from where `file` stands; behind damage the search goes on at the next mark."""
    while True:
        offset = file.tell()
        block = _read_block(file, offset)
        if block is not None:
            yield block
            continue
        file.seek(offset)
        if not file.read(1):
            return
        payload = _salvage(file, offset)
        yield Damage(offset, payload)
        if not payload and not _seek_block(file, offset + 1):
            return


def _read_block(file: BinaryIO, offset: int) -> Block | None:
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    mark, direction, length, elapsed_us, crc = HEAD.unpack(head)
    if mark != MARK or length > BLOCK_MAX or direction not in tuple(Direction):
        return None
    payload = file.read(length)
    if len(payload) < length or crc32(payload, crc32(head[:-4])) != crc:
        return None
    return Block(offset, Direction(direction), elapsed_us, payload)


def _salvage(file: BinaryIO, offset: int) -> bytes:
    """The payload of a block with a wrong CRC, or cut off, if its head is credible. `file` is behind it then."""
    file.seek(offset)
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return b""
    mark, direction, length, _, _ = HEAD.unpack(head)
    if mark != MARK or length > BLOCK_MAX or direction != Direction.UP:
        return b""
    payload = file.read(length)
    behind = file.read(len(MARK))
    file.seek(-len(behind), 1)
    return payload if behind in (MARK, b"") else b""


def _seek_block(file: BinaryIO, start: int) -> bool:
    """Go to the next intact block at or behind `start`."""
    file.seek(start)
    position, window = start, file.read(BLOCK_MAX)
    while len(window) >= len(MARK):
        at = window.find(MARK)
        while at >= 0:
            file.seek(position + at)
            if _read_block(file, position + at) is not None:
                file.seek(position + at)
                return True
            at = window.find(MARK, at + 1)
        position += len(window) - 1
        file.seek(position)
        window = file.read(BLOCK_MAX)
    return False


class Replay:
    """A transport that plays a recording back, as fast as it is read. There is no board behind it: it takes no writes.

    Damaged blocks are passed over; when everything intact has been read, `read` raises `RecordingError` once, naming
    where the damage is, and `EndOfStream` from then on.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
        self._path = path
        try:
            self.info = read_info(self._file, str(path))
            start = self._file.tell()
            self.recorded_registers: Mapping[int, int] = _registers(read_blocks(self._file))
        except BaseException:
            self._file.close()
            raise
        self._file.seek(start)
        self._blocks = read_blocks(self._file)
        self._rest = memoryview(b"")
        self._damage: list[int] = []

    def read(self, size: int, timeout_s: float) -> bytes:
        while not self._rest:
            self._next()
        data = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return data

    def write(self, data: bytes) -> None:
        raise TransportError("a recording takes no requests: open the board itself")

    def close(self) -> None:
        self._file.close()

    def _next(self) -> None:
        if self._file.closed:
            raise TransportError(f"{self._path} is closed: open it again")
        match next(self._blocks, None):
            case Block(direction=Direction.UP, payload=payload):
                self._rest = memoryview(payload)
            case Damage(offset=offset, payload=payload):
                self._damage.append(offset)
                self._rest = memoryview(payload)
            case None:
                self._end()

    def _end(self) -> None:
        damage, self._damage = self._damage, []
        if damage:
            places = ", ".join(map(str, damage[:5])) + (", ..." if len(damage) > 5 else "")
            raise RecordingError(f"{self._path} is damaged at offset {places}: what is intact has been read")
        raise EndOfStream(f"{self._path} has been read to its end")


def _registers(blocks: Iterator[Block | Damage]) -> dict[int, int]:
    """What is known of the registers: what was written last, or else read first."""
    written: dict[int, int] = {}
    answered: dict[int, int] = {}
    decoder, half, seen = Decoder(), b"", 0
    for block in blocks:
        if isinstance(block, Damage):
            continue
        if block.direction is Direction.DOWN:
            requests, half = decode_requests(half + block.payload)
            written |= {r.address: r.value for r in requests if r.operation == Operation.WRITE}
        elif seen < IDENTITY_SEARCH:
            seen += len(block.payload)
            for reply in decoder.feed(block.payload).replies:
                if reply["status"] == Status.OK:
                    answered.setdefault(int(reply["address"]), int(reply["value"]))
    strobes = {address for r in REGISTERS if r.access is Access.STROBE for address in r.addresses}
    return {address: value for address, value in (answered | written).items() if address not in strobes}


def open_url(url: SplitResult) -> Replay:
    """Open `replay://path`: two slashes and a path as the shell has it, relative or absolute."""
    path = unquote(url.netloc + url.path)
    if not path:
        raise TransportError("replay:// needs a file: replay://path/to/recording")
    return Replay(Path(path))
