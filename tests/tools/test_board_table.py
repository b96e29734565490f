"""The table of boards, on reports that nobody had to wait for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from qlink.gateware.boards.build import BuildReport, TimingMissed
from qlink.gateware.boards.profiles import PROFILES
from qlink.gateware.boards.report import ClockTiming, Usage
from qlink.gateware.boards.report import Path as TimingPath


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("board_table", Path(__file__).parents[2] / "tools" / "board_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


board_table = load()
PROFILE = PROFILES["ulx3s-12f"]
EMPTY = f"# Boards\n\n{board_table.BEGIN}\n{board_table.END}\nend\n"


def report(achieved_mhz: float) -> BuildReport:
    return BuildReport(
        board=PROFILE.name,
        bitstream=Path("qlink.bit"),
        seed=1,
        clocks=(ClockTiming("system_clock", achieved_mhz, 100.0),),
        usage=(Usage("LUTs", 6072, 24288), Usage("FFs", 8000, 24288), Usage("EBR", 28, 56)),
        paths=(TimingPath("system_clock", "core.DI", 4.5),),
        latency=PROFILE.latency,
    )


def test_a_row_tells_speed_slack_and_size() -> None:
    line = board_table.row(PROFILE, board_table.measured(report(125.0)))
    assert "| 125.0 / 100 MHz | 2.00 ns | 6072 (25 %) | 8000 (32 %) | 28 (50 %) |" in line
    assert f"{PROFILE.latency.clocks} clocks" in line


def test_a_board_that_was_never_laid_out_says_so() -> None:
    text = board_table.update(EMPTY, {})
    assert text.count(board_table.UNKNOWN) + text.count(board_table.VENDOR) == len(PROFILES)
    assert text.startswith("# Boards")
    assert text.endswith("end\n")


def test_rows_of_other_boards_stay() -> None:
    once = board_table.update(EMPTY, {"ulx3s-12f": board_table.measured(report(125.0))})
    twice = board_table.update(once, {"arty-a7-35t": board_table.unknown(PROFILES["arty-a7-35t"])})
    assert "125.0 / 100 MHz" in twice
    assert twice.count("`ulx3s-12f`") == 1


def test_a_board_that_misses_its_timing_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def miss(*_: object, **__: object) -> BuildReport:
        raise TimingMissed(report(90.0), [1])

    table = tmp_path / "table.md"
    table.write_text(EMPTY)
    monkeypatch.setattr(board_table, "build", miss)
    monkeypatch.setattr(board_table, "TABLE", table)
    assert board_table.main(["ulx3s-12f", "--output", str(tmp_path)]) == 1
    assert "90.0 / 100 MHz, **missed** | -1.11 ns" in table.read_text()


def test_a_board_that_meets_it_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    table.write_text(EMPTY)
    monkeypatch.setattr(board_table, "build", lambda *_, **__: report(110.0))
    monkeypatch.setattr(board_table, "TABLE", table)
    assert board_table.main(["ulx3s-12f", "--output", str(tmp_path)]) == 0
    assert "110.0 / 100 MHz | 0.91 ns" in table.read_text()


def test_the_table_in_the_documentation_has_every_board() -> None:
    text = board_table.TABLE.read_text()
    assert all(f"| `{name}` |" in text for name in PROFILES)
