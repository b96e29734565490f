"""The demo's picture: a pure function from a frozen value to something that rich can draw."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .output import BELL_STATES, amount

BARS = " ▁▂▃▄▅▆▇█"
MIN_WIDTH, MAX_WIDTH = 80, 110  # columns
EVENT_LINES = 5  # fewer on a low terminal


@dataclass(frozen=True, slots=True)
class Tenant:
    """One application, as far as its requests go."""

    name: str
    wish: str  # what it asks for, in words
    requests: int = 0
    pairs: int = 0
    expired: int = 0
    refused: int = 0
    mean_fidelity: float | None = None
    median_wait_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level objective and how it stands. `value` is None as long as nothing was measured."""

    id: str
    name: str
    value: str | None
    target: str
    budget: float = 1.0  # share of the error budget that is left; negative when overdrawn


@dataclass(frozen=True, slots=True)
class DemoState:
    """Everything that the picture shows."""

    seed: int
    elapsed_s: float
    duration_s: float | None  # None: runs until it is stopped
    click_rates: tuple[float, ...] = ()  # per channel and second
    heralds: tuple[int, int, int, int] = (0, 0, 0, 0)  # by Bell state
    herald_rates: tuple[float, ...] = ()  # per second, oldest first
    pairs: tuple[tuple[str, int], ...] = ()  # by life-cycle state
    tenants: tuple[Tenant, ...] = ()
    objectives: tuple[Objective, ...] = ()
    received: int = 0  # events that the board delivered
    lost: int = 0  # events in loss brackets
    gaps: int = 0  # frames missing on the wire
    events: tuple[str, ...] = ()  # last ones, newest last


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw the last `width` values as bars from zero to the largest of them."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[round(value / top * (len(BARS) - 1))] for value in shown)


def bar(share: float, width: int) -> str:
    """Draw `share` (cut to 0..1) of `width` columns."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    return "━" * filled + "╌" * (width - filled)


def render(state: DemoState, width: int = 100, height: int = 40) -> RenderableType:
    """Return the whole picture for a terminal of `width` columns and `height` lines; 80 by 24 is enough for it."""
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    left, service = width * 46 // 100, width * 66 // 100
    tall = max((len(state.click_rates) + 1) // 2, 5) + 2
    low = max(len(state.objectives), len(state.pairs)) + 2
    tenants = len(state.tenants) + 3
    events = min(max(height - (1 + tall + tenants + low + 3) - 1, 1), EVENT_LINES)
    return Group(
        _headline(state, width),
        _beside(
            _panel("Clicks per second", _clicks(state, left), left, tall),
            _panel("Heralds", _heralds(state, width - left), width - left, tall),
        ),
        _panel("Applications", _tenants(state), width, tenants),
        _beside(
            _panel("Service levels and error budgets", _objectives(state, service), service, low),
            _panel("Pairs", _pairs(state), width - service, low),
        ),
        _panel("Telemetry and events", _events(state, events), width, events + 3),
    )


def _panel(title: str, content: RenderableType, width: int, height: int) -> Panel:
    style = "cyan"
    return Panel(content, title=f"[bold]{title}", title_align="left", border_style=style, width=width, height=height)


def _beside(left: Panel, right: Panel) -> RenderableType:
    grid = Table.grid(padding=0)
    grid.add_column(width=left.width)
    grid.add_column(width=right.width)
    grid.add_row(left, right)
    return grid


def _headline(state: DemoState, width: int) -> RenderableType:
    until = "until Ctrl-C" if state.duration_s is None else f"of {state.duration_s:.0f} s"
    grid = Table.grid(padding=0)
    grid.add_column(width=width - 26, no_wrap=True)
    grid.add_column(width=26, justify="right", no_wrap=True)
    grid.add_row(
        Text.assemble((" qlink ", "bold white on dark_cyan"), "  source → RTL → C decoder → supervisor"),
        Text(f"seed {state.seed}   {state.elapsed_s:4.1f} s {until}", style="dim"),
    )
    return grid


def _clicks(state: DemoState, width: int) -> RenderableType:
    top = max(state.click_rates, default=0.0) or 1.0
    bar_width = (width - 4) // 2 - 12
    half = (len(state.click_rates) + 1) // 2
    grid = _grid("left", "right", "left", "left", "right", "left")
    cells = [
        (f"{channel}", amount(rate), Text(bar(rate / top, bar_width), style="green"))
        for channel, rate in enumerate(state.click_rates)
    ]
    for row in range(half):
        grid.add_row(*cells[row], *(cells[row + half] if row + half < len(cells) else ()))
    return grid


def _heralds(state: DemoState, width: int) -> RenderableType:
    total = sum(state.heralds)
    grid = _grid("left", "right", "left")
    for name, count in zip(BELL_STATES, state.heralds, strict=True):
        grid.add_row(name, amount(count), Text(bar(count / total if total else 0.0, width - 18), style="magenta"))
    rate = state.herald_rates[-1] if state.herald_rates else 0.0
    spark = Text(sparkline(state.herald_rates, width - 22), style="bright_magenta")
    return Group(grid, Text.assemble("rate  ", spark, f"  {amount(rate)}/s"))


def _pairs(state: DemoState) -> RenderableType:
    grid = _grid("left", "right")
    for name, count in state.pairs:
        grid.add_row(name.lower(), amount(count))
    return grid


def _tenants(state: DemoState) -> RenderableType:
    grid = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    for column in ("", "asks for", "asked", "pairs", "late", "refused", "fidelity", "wait"):
        text, least = column in ("", "asks for"), {"": 9, "asks for": None, "wait": 7}.get(column, len(column))
        grid.add_column(column, justify="left" if text else "right", no_wrap=column != "asks for", min_width=least)
    for tenant in state.tenants:
        fidelity = "-" if tenant.mean_fidelity is None else f"{tenant.mean_fidelity:.3f}"
        wait = "-" if tenant.median_wait_ms is None else f"{tenant.median_wait_ms:.1f} ms"
        numbers = (tenant.requests, tenant.pairs, tenant.expired, tenant.refused)
        name, wish = Text(tenant.name, style="bold"), Text(tenant.wish, style="dim", no_wrap=True, overflow="ellipsis")
        grid.add_row(name, wish, *(amount(number) for number in numbers), fidelity, wait)
    return grid


def _objectives(state: DemoState, width: int) -> RenderableType:
    grid = _grid("left", "left", "right", "right", "left", gap=2)
    for objective in state.objectives:
        style = "green" if objective.budget > 0.5 else "yellow" if objective.budget > 0 else "red"
        grid.add_row(
            Text(objective.id, style="bold"),
            objective.name,
            objective.value or "-",
            Text(objective.target, style="dim"),
            Text(bar(objective.budget, width - 46), style=style),
        )
    return grid


def _events(state: DemoState, lines: int) -> RenderableType:
    expected = state.received + state.lost
    complete = f"{100 * state.received / expected:.3f} %" if expected else "-"
    style = "green" if not state.lost and not state.gaps else "red"
    telemetry = Text.assemble(
        "telemetry ",
        (complete, style),
        f"  {amount(state.received)} in, {state.lost} lost, {state.gaps} frames missing",
    )
    texts = [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in state.events[-lines:]]
    return Group(telemetry, *texts)


def _grid(*justify: str, gap: int = 1) -> Table:
    grid = Table.grid(padding=(0, gap))
    for side in justify:
        grid.add_column(justify="right" if side == "right" else "left", no_wrap=True)
    return grid
