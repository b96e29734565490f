"""The core's whole state as plain values: what a checkpoint holds."""

import msgspec

from .purifier import PurifierState
from .request_book import BookState
from .slots import StoredPair


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Lists are sorted, or in an order that events alone decide: equal states give equal bytes."""

    now_ns: int
    pairs_made: int
    last_sequence: int
    settling: list[int]
    pairs: list[StoredPair]
    book: BookState
    purifier: PurifierState


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Snapshot).decode


def readable(state: bytes) -> bool:
    """Whether it is a snapshot as this version writes them."""
    try:
        decode(state)
    except msgspec.MsgspecError:
        return False
    return True
