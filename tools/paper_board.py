"""A board in plain Python behind a socket: answers register requests, sends heralds at a given rate as real frames.

For benchmarks and tests of what is above the bridge; the twin is what behaves like the gateware.

    tools/paper_board.py unix:///tmp/board --rate 1000 --seconds 5
"""

import argparse
import contextlib
import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from zlib import crc32

from qlink.firmware_bridge.configuration import Identity, Outcome
from qlink.firmware_bridge.counters import indices_of
from qlink.firmware_bridge.encoding import Counter, Herald, Reply, Request, decode_requests, encode_frame, encode_stream
from qlink.firmware_bridge.registers import BY_NAME, MAGIC, REGISTERS, Access, Register
from qlink.firmware_bridge.wire import CONTRACT_VERSION, OFFSET_BITS, Kind, Operation, Status

IDENTITY = Identity(
    contract_version=CONTRACT_VERSION,
    board="PAPR",
    channels=8,
    patterns=8,
    samples=1,
    tick_fs=1_000_000,  # a tick is a nanosecond of CLOCK_MONOTONIC
    clock_hz=1_000_000_000,
    herald_latency=1,
    build=1,
)
HEAD = struct.Struct("<HHIIBBBB")  # page as 32 + 8 bits
BODY = struct.Struct("<IIQHBBHHI16H")


def herald_frame(frame: int, herald: int, tick: int) -> bytes:
    """Equal to `encode_frame` of one herald, forty times as fast: it has to leave the processor to what is measured."""
    page, offset = divmod(tick, 1 << OFFSET_BITS)
    words = 1 + (BODY.size - 4) // 4
    head = HEAD.pack(int.from_bytes(b"QL", "little"), words, frame & 0xFFFFFFFF, page & 0xFFFFFFFF, page >> 32, 0, 0, 0)
    body = BODY.pack(
        Kind.HERALD << OFFSET_BITS | offset, herald & 0xFFFFFFFF, 0, 3, 0, Outcome.PSI_PLUS, 0, 0, 0, *(0,) * 16
    )
    covered = head + body
    return covered + crc32(covered[2:]).to_bytes(4, "little")


def check_herald_frame() -> None:
    tick = (7 << OFFSET_BITS) + 99
    plain = encode_frame(5, 7, 0, [Herald(tick, 3, 0, Outcome.PSI_PLUS, {0: 0, 1: 0})])
    if herald_frame(5, 3, tick) != plain:
        raise SystemExit("paper_board.herald_frame is not of the wire contract any more: compare it with encode_frame")


class PaperBoard:
    """Registers, and heralds at `rate_hz` (Poisson, from `seed`) while its control register says run."""

    def __init__(self, rate_hz: float, seconds: float, seed: int, skip: int = 0) -> None:
        self._registers = {address: r.reset for r in REGISTERS for address in r.addresses}
        self._identify()
        self._rate_hz = rate_hz
        self._seconds = seconds
        self._skip = skip  # every so many heralds one is not sent
        self._random = random.Random(seed)
        self._frame = self._herald = self._snapshot = 0
        self._due_s: float | None = None
        self._end_s = 0.0
        self._heard = b""

    def serve(self, connection: socket.socket) -> None:
        """Until the other end goes away."""
        self._due_s = None
        while True:
            now_s = time.monotonic()
            wait_s = 1.0 if self._due_s is None else max(self._due_s - now_s, 0.0)
            if select.select([connection], [], [], wait_s)[0]:
                data = connection.recv(4096)
                if not data:
                    return
                requests, self._heard = decode_requests(self._heard + data)
                for request in requests:
                    connection.sendall(b"".join(self._answer(request)))
            connection.sendall(b"".join(self._heralds()))

    def _heralds(self) -> Iterator[bytes]:
        while self._due_s is not None and self._due_s <= time.monotonic():
            if not self._skip or self._herald % self._skip != self._skip - 1:
                yield herald_frame(self._frame, self._herald, time.monotonic_ns())
                self._frame += 1
            self._herald += 1
            self._due_s += self._random.expovariate(self._rate_hz)
            if self._seconds and self._due_s > self._end_s:
                self._due_s = None

    def _answer(self, request: Request) -> Iterator[bytes]:
        status, value = self._act(request)
        tick = time.monotonic_ns()
        yield self._frames([Reply(tick, request.id, status, request.address, value)])
        writing = request.operation == Operation.WRITE and status is Status.OK
        if writing and request.address == BY_NAME["command"].address and request.value & 1:
            self._snapshot += 1
            tick = time.monotonic_ns()
            yield self._frames([Counter(tick, self._snapshot, int(index), 0) for index in indices_of(IDENTITY)])
        if writing and request.address == BY_NAME["control"].address:
            now_s = time.monotonic()
            running = bool(request.value & 1) and self._rate_hz > 0
            self._due_s = now_s if running else None
            self._end_s = now_s + self._seconds

    def _frames(self, records: list[Reply] | list[Counter]) -> bytes:
        frames = list(encode_stream(records, sequence=self._frame))
        self._frame += len(frames)
        return b"".join(frames)

    def _act(self, request: Request) -> tuple[Status, int]:
        register = next((r for r in REGISTERS if request.address in r.addresses), None)
        if register is None:
            return Status.NO_SUCH_REGISTER, request.value
        if request.operation == Operation.WRITE:
            return self._write(register, request)
        return Status.OK, self._registers[request.address]

    def _write(self, register: Register, request: Request) -> tuple[Status, int]:
        if register.access is Access.READ:
            return Status.READ_ONLY, request.value
        if register.access is Access.WRITE:
            self._registers[request.address] = request.value
        return Status.OK, request.value

    def _identify(self) -> None:
        geometry = BY_NAME["geometry"].pack(
            channels=IDENTITY.channels, patterns=IDENTITY.patterns, samples=IDENTITY.samples
        )
        values = {"magic": MAGIC, "geometry": geometry, "board": int.from_bytes(IDENTITY.board.encode(), "little")}
        for name in ("contract_version", "tick_fs", "clock_hz", "herald_latency", "build", "codings", "veto_clocks"):
            values[name] = getattr(IDENTITY, name)
        for name, value in values.items():
            self._registers[BY_NAME[name].address] = value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where to listen: unix:///path")
    parser.add_argument("--rate", type=float, default=1000.0, help="heralds per second")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long heralds come; 0: for ever")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="lose one herald in so many")
    options = parser.parse_args()
    check_herald_frame()
    path = urlsplit(options.url).path
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    board = PaperBoard(options.rate, options.seconds, options.seed, options.skip)
    with socket.create_server(path, family=socket.AF_UNIX) as server:
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                board.serve(connection)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
