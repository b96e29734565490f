import threading
import time
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.gateware.parameters import Parameters
from qlink.sim import twin_build, verilog
from qlink.sim.errors import BuildError
from qlink.sim.twin_build import Design, build, cache_folder, compile_design


class Part(wiring.Component):  # type: ignore[misc]
    """Count in steps. Three of four are alike."""

    def __init__(self, step: int) -> None:
        self._step = step
        super().__init__({"more": In(1), "carry": Out(1)})

    def elaborate(self, _: object) -> Module:
        m = Module()
        total = Signal(8)
        m.d.sync += total.eq(total + self._step + self.more)
        m.d.comb += self.carry.eq(total[-1])
        return m


class Parts(wiring.Component):  # type: ignore[misc]
    """Four counters behind the engine's ports."""

    def __init__(self) -> None:
        bytes_ = stream.Signature(8)
        plain = {"samples": In(4), "reference": In(1), "pps": In(1), "ten_mhz": In(1)}
        plain |= {"sync_in": In(3), "heralds": Out(4), "triggers": Out(8), "actions": Out(4), "sync_out": Out(3)}
        skipping = {"skip": In(32), "idle": Out(1), "deadline": Out(32)}
        super().__init__({**plain, **skipping, "upstream": Out(bytes_), "downstream": In(bytes_)})

    def elaborate(self, _: object) -> Module:
        m = Module()
        for number, step in enumerate((1, 1, 1, 2)):
            m.submodules[f"part{number}"] = part = Part(step)
            m.d.comb += [part.more.eq(self.samples[number]), self.heralds[number].eq(part.carry)]
        return m


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QLINK_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache/qlink"
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert cache_folder() == Path("/there/qlink")
    monkeypatch.setenv("QLINK_CACHE", "/here")
    assert cache_folder() == Path("/here")


def test_a_twin_is_compiled_once() -> None:
    said: list[str] = []
    first = build(Parameters())
    assert build(Parameters(), said.append) == first
    assert said == []


def test_a_missing_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BuildError, match=r"needs a C\+\+ compiler: install the Debian package g\+\+"):
        compile_design(Design("", 8, 4))


def test_a_failed_build_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QLINK_CACHE", str(tmp_path))
    with pytest.raises(BuildError, match=r"(?s)verilator_bin failed while the twin was built.*twin\.v"):
        compile_design(Design("module twin (clk); input clk; nonsense", 8, 4))
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_of_several_builders_one_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QLINK_CACHE", str(tmp_path))
    made: list[Path] = []

    def make(target: Path) -> None:
        assert not (tmp_path / "thing").exists()
        made.append(target)
        target.write_text("half")
        time.sleep(0)  # let the others run
        target.write_text("whole")

    found: list[str] = []
    builders = [
        threading.Thread(target=lambda: found.append(twin_build._cached("thing", make).read_text())) for _ in range(8)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert found == ["whole"] * 8
    assert len(made) == 1


def test_modules_that_are_alike_are_shared() -> None:
    text = verilog.convert(Parts())
    assert text.count("\nmodule ") + text.startswith("module ") == 3
    assert text.count("\\twin.part0 ") == 4  # one and its three places


def test_every_edge_of_the_clock_counts() -> None:
    assert verilog.every_edge("always @(posedge clk)") == "always @(posedge clk or negedge clk)"
    assert verilog.every_edge("always @(posedge \\clk )") == "always @(posedge \\clk or negedge \\clk )"


@pytest.mark.parametrize("text", ["always @(negedge clk)", "always @(posedge other)", "always @(posedge clk2)"])
def test_gateware_with_other_clocks_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="single clock"):
        verilog.every_edge(text)
