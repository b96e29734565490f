"""The core's whole state as plain values: what a checkpoint holds."""

import msgspec

from .allocation import ClassTimes
from .bell import BellDiagonal
from .pairs import Pair
from .purifier import Round
from .requests import Answered, WaitingRequest


class StoredPair(msgspec.Struct, frozen=True, array_like=True):
    id: int
    birth_ns: int
    outcome: int
    born_as: BellDiagonal
    width: float
    state: str
    shelved: bool
    tenant: str


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Lists are sorted, or in an order that events alone decide: equal states give equal bytes."""

    now_ns: int
    pairs_made: int
    requests_made: int
    last_sequence: int
    attempts: int
    telemetry_lost: list[tuple[str, int]]
    pairs: list[StoredPair]
    settling: list[int]
    requests: list[WaitingRequest]
    served: int
    virtual_times: list[ClassTimes]
    answered: list[Answered]
    buckets: list[tuple[str, float, int]]
    rate: tuple[int | None, int]
    rounds: list[Round]
    failures: int
    rest_until_ns: int
    wake_ns: int


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Snapshot).decode


def stored(pair: Pair) -> StoredPair:
    ageing = pair.ageing
    return StoredPair(
        pair.id, pair.birth_ns, pair.outcome, ageing.state, ageing.width, pair.state, pair.shelved, pair.tenant
    )
