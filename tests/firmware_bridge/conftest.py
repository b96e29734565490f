"""A small board in memory: it answers register requests and sends what it is told to, by `encoding` alone."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import settings

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Identity
from qlink.firmware_bridge.counters import indices_of
from qlink.firmware_bridge.encoding import (
    Counter,
    Record,
    Reply,
    Request,
    decode_requests,
    encode_frame,
    encode_stream,
)
from qlink.firmware_bridge.errors import EndOfStream, TransportError
from qlink.firmware_bridge.link import Patience
from qlink.firmware_bridge.registers import BY_NAME, MAGIC, REGISTERS, Access, Feature, Register
from qlink.firmware_bridge.wire import CONTRACT_VERSION, OFFSET_BITS, Operation, Status

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

IDENTITY = Identity(
    contract_version=CONTRACT_VERSION,
    board="PEER",
    channels=8,
    patterns=8,
    samples=4,
    tick_fs=1_250_000,
    clock_hz=200_000_000,
    herald_latency=7,
    build=0x1234_5678,
    delay_ticks=4095,
    vicinity_ticks=1023,
    sequence_segments=65,
    trigger_latency=4,
    branch_segments=64,
    branch_latency=8,
    sync_latency=116,
    features=Feature.ACCIDENTALS | Feature.MULTIPLICITY,
    pulses=4,
    action_latency=15,
)
OPTIONAL = (
    "delay_ticks",
    "vicinity_ticks",
    "sequence_segments",
    "trigger_latency",
    "sync_latency",
    "features",
    "codings",
    "veto_clocks",
    "window_ticks",
)


class Peer:
    """A transport with a board of a few lines behind it. Time passes only when a read finds nothing."""

    def __init__(self, identity: Identity = IDENTITY) -> None:
        self.identity = identity
        self.registers = {register.address: register.reset for register in REGISTERS}
        self.registers |= {address: r.reset for r in REGISTERS for address in r.addresses}
        geometry = BY_NAME["geometry"].pack(
            channels=identity.channels, patterns=identity.patterns, samples=identity.samples
        )
        self.set("magic", MAGIC)
        self.set("contract_version", identity.contract_version)
        self.set("board", int.from_bytes(identity.board.encode(), "little"))
        self.set("geometry", geometry)
        for name in (*("tick_fs", "clock_hz", "herald_latency", "build"), *OPTIONAL):
            self.set(name, getattr(identity, name))
        feed_forward = BY_NAME["feed_forward"].pack(pulses=identity.pulses, latency=identity.action_latency)
        self.set("feed_forward", feed_forward)
        branches = BY_NAME["branches"].pack(segments=identity.branch_segments, latency=identity.branch_latency)
        self.set("branches", branches)
        pins = {name: getattr(identity, name) for name in ("triggers", "outputs", "pps", "ten_mhz")}
        self.set("pins", BY_NAME["pins"].pack(**pins))
        self.missing: set[str] = set()  # registers from after this board was built
        self.counters = dict.fromkeys((int(index) for index in indices_of(identity)), 0)
        self.tick = self.sequence = self.snapshot = 0
        self.time_s = 0.0
        self.requests: list[Request] = []
        self.written = b""
        self.deaf_to = 0  # so many requests are lost on the way
        self.mute_for = 0  # so many replies are lost on the way
        self.before_reply: list[Record] = []  # sent just before the next reply
        self.ends = False  # a read that finds nothing is at the stream's end
        self.chunk = 1 << 20
        self.closed = False
        self._heard = b""
        self._out = bytearray()

    def set(self, name: str, value: int) -> None:
        self.registers[BY_NAME[name].address] = value

    def now_s(self) -> float:
        return self.time_s

    # -- what a transport does

    def read(self, size: int, timeout_s: float) -> bytes:
        if self.closed:
            raise TransportError("the peer is closed: open it again")
        if not self._out and self.ends:
            raise EndOfStream("the peer has nothing more to say")
        if not self._out:
            self.time_s += max(timeout_s, 1e-6)
        data = bytes(self._out[: min(size, self.chunk)])
        del self._out[: len(data)]
        return data

    def write(self, data: bytes) -> None:
        self.written += data
        requests, self._heard = decode_requests(self._heard + data)
        for request in requests:
            self.requests.append(request)
            if self.deaf_to:
                self.deaf_to -= 1
            else:
                self._answer(request)

    def close(self) -> None:
        self.closed = True

    # -- what a board does

    def send(self, records: Iterable[Record]) -> None:
        """Send records, in as few frames as they fit in."""
        for frame in encode_stream(list(records), sequence=self.sequence):
            self.send_raw(frame)
            self.sequence = (self.sequence + 1) % 2**32

    def lose_frames(self, count: int) -> None:
        self.sequence = (self.sequence + count) % 2**32

    def send_raw(self, data: bytes) -> None:
        self._out += data

    def send_snapshot(self) -> None:
        self.snapshot = (self.snapshot + 1) % 2**16
        self.send(Counter(self.tick, self.snapshot, index, value) for index, value in self.counters.items())

    def _answer(self, request: Request) -> None:
        self.tick += 10
        status, value = self._act(request)
        self.send(self.before_reply)
        self.before_reply = []
        reply = Reply(self.tick, request.id, status, request.address, value)
        frame = encode_frame(self.sequence, self.tick >> OFFSET_BITS, 0, [reply])
        self.sequence += 1
        if self.mute_for:
            self.mute_for -= 1
        else:
            self.send_raw(frame)
        if (request.operation, request.address) == (Operation.WRITE, BY_NAME["command"].address) and request.value & 1:
            self.tick += 1
            self.send_snapshot()

    def _act(self, request: Request) -> tuple[Status, int]:
        register = self._register(request.address)
        if register is None:
            return Status.NO_SUCH_REGISTER, request.value
        if request.operation == Operation.READ:
            return Status.OK, self.registers[request.address]
        if register.access is Access.READ:
            return Status.READ_ONLY, request.value
        if request.value & ~register.bits(self.identity.widths):
            return Status.DOES_NOT_FIT, request.value
        if register.access is Access.WRITE:
            self.registers[request.address] = request.value
        return Status.OK, request.value

    def _register(self, address: int) -> Register | None:
        there = (register for register in REGISTERS if register.name not in self.missing)
        return next((register for register in there if address in register.addresses), None)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def board(peer: Peer) -> Board:
    return Board(peer, Patience(reply_s=0.5, attempts=3))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)
