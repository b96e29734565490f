"""The C decoder under the address and the undefined-behaviour sanitizer."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "firmware_bridge/csrc"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
SECONDS = 1


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not (CSRC / "wire_layout.h").exists():
        pytest.skip("needs a C compiler, and the header that the build writes beside the sources")
    program = tmp_path_factory.mktemp("fuzz") / "fuzz_decode"
    sources = [str(CSRC / "decode.c"), str(Path(__file__).parent / "fuzz_decode.c")]
    command = [compiler, "-O1", "-g", *SANITIZERS, *WARNINGS, f"-I{CSRC}", *sources, "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("this C compiler comes without sanitizers")
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize("seed", [1, 2])
def test_no_stream_makes_the_decoder_read_or_write_out_of_bounds(fuzzer: Path, seed: int) -> None:
    run = subprocess.run([fuzzer, str(SECONDS), str(seed)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[0]) > 100
