"""The README's table: goals, comparison with peers, and where it is written."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def performance() -> ModuleType:
    spec = importlib.util.spec_from_file_location("performance", ROOT / "tools" / "performance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["performance"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [("", 1.0, None), (">= 100", 100.0, True), (">= 100", 99.0, False), ("<= 2", 1.5, True), ("<= 2", 3.0, False)],
)
def test_a_goal_is_met_or_missed(performance: ModuleType, goal: str, value: float, reached: bool | None) -> None:
    assert performance.Figure("latency", value, "ms", goal).reached is reached


def test_a_peer_is_compared_in_the_same_unit_only(performance: ModuleType) -> None:
    assert performance.peer(performance.Figure("decoder, clicks", 262.0, "Mtags/s")).startswith("2 x ")
    assert performance.peer(performance.Figure("decoder, clicks", 262.0, "GB/s")) == ""
    assert performance.peer(performance.Figure("allocations, batch 1", 5000.0, "1/s"))
    assert performance.peer(performance.Figure("allocations, batch 10", 5000.0, "1/s")) == ""


def test_a_missed_goal_is_told_in_the_table(performance: ModuleType) -> None:
    text = "\n".join(performance.table([performance.Figure("latency", 3.0, "ms", "<= 2")]))
    assert "| latency | 3 | ms | <= 2 **missed** |" in text


def test_the_table_takes_the_place_of_the_old_one(performance: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text()
    once = performance.with_table(readme, "| new |")
    assert performance.with_table(once, "| new |") == once
    assert "| new |" in once
    assert once.split(performance.END)[1] == readme.split(performance.END)[1]
