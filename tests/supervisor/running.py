"""Real processes for tests: a board in plain Python behind a socket, and a supervisor that reads it."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from qlink.supervisor.addresses import FILE

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


@dataclass(slots=True)
class Supervisor:
    home: Path
    process: subprocess.Popen[bytes] = field(repr=False)


class Processes:
    """Ends what it started."""

    def __init__(self, directory: Path) -> None:
        self._stack = ExitStack()
        self.home = directory / "home"
        self.url = f"unix://{directory}/board"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start_all(self, rate_hz: float) -> Supervisor:
        self.start_board(rate_hz)
        return self.start_supervisor(rate_hz)

    def start_board(self, rate_hz: float) -> subprocess.Popen[bytes]:
        board = self._start(ROOT / "tools" / "paper_board.py", self.url, "--rate", str(rate_hz))
        assert board.stdout is not None
        assert board.stdout.readline() == b"ready\n"
        return board

    def start_supervisor(self, rate_hz: float) -> Supervisor:
        (self.home / FILE).unlink(missing_ok=True)
        process = self._start(
            ROOT / "tools" / "bench_latency.py", "--serve", str(self.home), self.url, "--rates", str(rate_hz)
        )
        deadline = time.monotonic() + PATIENCE_S
        while not (self.home / FILE).exists():
            assert process.poll() is None, "the supervisor ended at once"
            assert time.monotonic() < deadline, "the supervisor did not start"
            time.sleep(0.02)
        return Supervisor(self.home, process)

    def _start(self, script: Path, *arguments: str) -> subprocess.Popen[bytes]:
        paths = [str(ROOT / area) for area in ("firmware_bridge", "supervisor")]
        process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        self._stack.callback(end, process)
        return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
