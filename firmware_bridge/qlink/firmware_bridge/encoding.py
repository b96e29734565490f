"""The wire contract in plain Python: what a board would send, and what a host sends it.

For tests, vectors and small peers; nothing here is fast. `decoder.Decoder` is the other direction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from .wire import (
    BODIES,
    FRAME_SYNC,
    HEADER,
    MAX_CHANNELS,
    MAX_FRAME_WORDS,
    OFFSET_BITS,
    REQUEST,
    REQUEST_SYNC,
    SYNC_BYTES,
    Coding,
    Kind,
    Layout,
    Status,
    TimeSource,
)

WORD_BYTES = 4
REQUEST_BODY = slice(SYNC_BYTES, REQUEST.offsets["crc"])  # what a request's CRC covers


@dataclass(frozen=True, slots=True)
class Click:
    tick: int
    channel: int


@dataclass(frozen=True, slots=True)
class Herald:
    tick: int  # of the completing click
    sequence: int
    pattern: int
    outcome: int
    ages: Mapping[int, int]  # ticks by which each contributing channel's click precedes it
    attempt: int = 0
    position: int = 0
    flags: int = 0  # HeraldFlag


@dataclass(frozen=True, slots=True)
class Counter:
    tick: int  # at which all counters of this snapshot were latched
    snapshot: int
    index: int
    value: int


@dataclass(frozen=True, slots=True)
class Loss:
    tick: int  # of the last event lost
    begin: int  # of the first
    count: int
    source: int


@dataclass(frozen=True, slots=True)
class Reply:
    tick: int
    id: int
    status: Status
    address: int
    value: int


@dataclass(frozen=True, slots=True)
class Time:
    tick: int
    source: TimeSource
    number: int
    edges: int


Record = Click | Herald | Counter | Loss | Reply | Time


def pack(layout: Layout, values: Mapping[str, int | Sequence[int]]) -> bytes:
    """Lay out `values`; fields not named are 0. Raises ValueError for a value that does not fit."""
    out = bytearray()
    for field in layout.fields:
        given = values.get(field.name, [0] * field.count)
        members = [given] if isinstance(given, int) else given
        if len(members) != field.count:
            raise ValueError(f"{layout.name}.{field.name} has {field.count} members, not {len(members)}")
        for member in members:
            if not 0 <= member < 1 << field.bits:
                raise ValueError(f"{layout.name}.{field.name} has {field.bits} bits, {member} does not fit")
            out += member.to_bytes(field.bits // 8, "little")
    return bytes(out)


def _body(record: Herald | Counter | Loss | Reply | Time) -> tuple[Kind, bytes]:
    match record:
        case Herald():
            kind, values = Kind.HERALD, _herald_values(record)
        case Counter():
            kind = Kind.COUNTER
            values = {"snapshot": record.snapshot, "index": record.index, "value": record.value}
        case Loss():
            kind, values = Kind.LOSS, {"begin": record.begin, "count": record.count, "source": record.source}
        case Reply():
            kind = Kind.REPLY
            values = {"id": record.id, "status": record.status, "address": record.address, "value": record.value}
        case Time():
            kind, values = Kind.TIME, {"source": record.source, "number": record.number, "edges": record.edges}
    return kind, pack(BODIES[kind], values)


def _herald_values(herald: Herald) -> dict[str, int | Sequence[int]]:
    return {
        "sequence": herald.sequence,
        "attempt": herald.attempt,
        "channels": sum(1 << channel for channel in herald.ages),
        "pattern": herald.pattern,
        "outcome": herald.outcome,
        "flags": herald.flags,
        "position": herald.position,
        "ages": [herald.ages.get(channel, 0) for channel in range(MAX_CHANNELS)],
    }


def encode_record(record: Record) -> bytes:
    """The record's words. The page that its tick lies in is the frame's to carry."""
    if isinstance(record, Click):
        if not 0 <= record.channel < MAX_CHANNELS:
            raise ValueError(f"channel {record.channel} does not fit: there are {MAX_CHANNELS}")
        kind, body = record.channel, b""
    else:
        kind, body = _body(record)
    offset = record.tick & ((1 << OFFSET_BITS) - 1)
    return (kind << OFFSET_BITS | offset).to_bytes(WORD_BYTES, "little") + body


def encode_payload(
    sequence: int, page: int, epoch: int, payload: bytes, coding: int = Coding.PLAIN, parameter: int = 0
) -> bytes:
    """Frame a payload as it is: also one that no board of this contract would send."""
    words, rest = divmod(len(payload), WORD_BYTES)
    if rest or not 1 <= words <= MAX_FRAME_WORDS:
        raise ValueError(f"a payload has 1 to {MAX_FRAME_WORDS} whole words, not {len(payload)} bytes")
    header = {
        "sync": FRAME_SYNC,
        "words": words,
        "sequence": sequence,
        "page": page,
        "epoch": epoch,
        "coding": coding,
        "parameter": parameter,
    }
    covered = pack(HEADER, header) + payload
    return covered + crc32(covered[SYNC_BYTES:]).to_bytes(4, "little")


def encode_frame(sequence: int, page: int, epoch: int, records: Sequence[Record]) -> bytes:
    """One frame. Raises ValueError when a record's tick is not in `page`, or the frame would be too long."""
    strangers = [record for record in records if record.tick >> OFFSET_BITS != page]
    if strangers:
        raise ValueError(f"tick {strangers[0].tick} is not in page {page}")
    return encode_payload(sequence, page, epoch, b"".join(map(encode_record, records)))


def encode_stream(records: Iterable[Record], sequence: int = 0, epoch: int = 0) -> Iterator[bytes]:
    """Frames, each as full as it gets, of records in order; a new one where the page changes."""
    page, payload = 0, b""
    for record in records:
        encoded = encode_record(record)
        full = len(payload) + len(encoded) > MAX_FRAME_WORDS * WORD_BYTES
        if payload and (full or record.tick >> OFFSET_BITS != page):
            yield encode_payload(sequence, page, epoch, payload)
            sequence, payload = (sequence + 1) % 2**32, b""
        page = record.tick >> OFFSET_BITS
        payload += encoded
    if payload:
        yield encode_payload(sequence, page, epoch, payload)


@dataclass(frozen=True, slots=True)
class Request:
    operation: int  # an `Operation`, or what a bad host would send
    id: int
    address: int
    value: int = 0


def encode_request(operation: int, identifier: int, address: int, value: int = 0) -> bytes:
    """A register request. Raises ValueError for a value that does not fit."""
    fields = {"sync": REQUEST_SYNC, "operation": operation, "id": identifier, "address": address, "value": value}
    blank = pack(REQUEST, fields)
    return blank[: REQUEST_BODY.stop] + crc32(blank[REQUEST_BODY]).to_bytes(4, "little")


def decode_requests(data: bytes) -> tuple[list[Request], bytes]:
    """All intact requests in `data`, and the rest that may still become one: what a peer does with its input."""
    sync = REQUEST_SYNC.to_bytes(SYNC_BYTES, "little")
    requests, start = [], 0
    while (at := data.find(sync, start)) >= 0 and at + REQUEST.bytes <= len(data):
        request = data[at : at + REQUEST.bytes]
        intact = crc32(request[REQUEST_BODY]).to_bytes(4, "little") == request[REQUEST_BODY.stop :]
        if intact:
            requests.append(_unpack_request(request))
        start = at + (REQUEST.bytes if intact else 1)
    rest = at if at >= 0 else max(start, len(data) - (SYNC_BYTES - 1))
    return requests, data[rest:]


def _unpack_request(data: bytes) -> Request:
    offsets = REQUEST.offsets
    sizes = {field.name: field.bits // 8 for field in REQUEST.fields}
    names = ("operation", "id", "address", "value")
    return Request(*(int.from_bytes(data[offsets[n] : offsets[n] + sizes[n]], "little") for n in names))
