"""The demo's picture, drawn from plain values."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from qlink.supervisor.cli.live_view import DemoState, Objective, Tenant, bar, render, sparkline

STATE = DemoState(
    seed=7,
    elapsed_s=6.2,
    duration_s=10,
    click_rates=(12_345.0, 20_000.0, 9_000.0, 11_000.0, 300.0, 301.0, 302.0, 305.0),
    heralds=(30, 290, 310, 20),
    herald_rates=tuple(map(float, range(60))),
    pairs=(("ready", 4), ("consumed", 612)),
    tenants=(Tenant("alice-qkd", "5 pairs, F ≥ 0.80", 120, 600, 1, 0, 0.912, 3.2), Tenant("sensing", "1 pair")),
    objectives=(Objective("M1", "entanglement", "99.2 %", "≥ 90 %", 0.93), Objective("M2", "fidelity", None, "≥ 0.9")),
    received=123_456,
    events=("6.1 s  pair 612 → alice-qkd",),
)


def drawn(state: DemoState, width: int = 100, height: int = 40) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(render(state, width, height))
    return capture.get().splitlines()


def test_picture_shows_what_the_chain_does() -> None:
    text = "\n".join(drawn(STATE))
    for part in ("seed 7", "12.3 k", "Ψ+ 310", "59/s", "alice-qkd", "0.912", "3.2 ms", "M1", "99.2 %", "consumed"):
        assert part in text
    assert "telemetry 100.000 %" in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 40), (200, 60)])
def test_picture_fits_the_terminal(width: int, height: int) -> None:
    lines = drawn(STATE, width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width


def test_picture_of_a_link_that_has_not_begun_is_drawn_too() -> None:
    assert drawn(DemoState(seed=1, elapsed_s=0.0, duration_s=None))


def test_losses_are_told() -> None:
    text = "\n".join(drawn(replace(STATE, lost=123_456, gaps=2)))
    assert "telemetry 50.000 %" in text
    assert "2 frames missing" in text


def test_sparkline_rises_from_zero_to_the_largest() -> None:
    assert sparkline([0, 4, 8], 10) == " ▄█"
    assert sparkline([0, 4, 8], 2) == "▄█"
    assert sparkline([0, 0], 10) == "  "


@given(st.floats(-10, 10), st.integers(0, 50))
def test_bar_is_as_wide_as_told(share: float, width: int) -> None:
    assert len(bar(share, width)) == width
