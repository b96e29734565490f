"""Draw `docs/images/timing.png`: an attempt, its herald and its feed-forward, as the twin's pins show them.

.venv/bin/python tools/make_timing_diagram.py [FILE]
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.configuration import Configuration, Gate, Outcome, Pattern, Pulse, ReferenceSource, Window
from qlink.firmware_bridge.configuration import Sequence as Attempts
from qlink.firmware_bridge.registers import Mode
from qlink.gateware.parameters import Parameters
from qlink.sim.sources import REFERENCE, clicks_of
from qlink.sim.twin import Link, Twin, open_twin

BOARD = Parameters(clock_hz=125_000_000)
PERIOD = 50  # clocks of the triggers' program, and of an attempt
REFERENCES = (0, 72)  # clocks in which an attempt begins; the second one finds no coincidence
SHOWN = 130  # clocks
GATE = Gate(60, 150)
TRIGGERS = {0: ("trigger 0: excite", Window(0, 4)), 1: ("trigger 1: switch", Window(8, 40))}
CLICKS = ((0, 20), (0, 96), (1, 99), (1, 4 * REFERENCES[1] + 110))  # channel, ticks after the first reference
OUTCOME = Outcome.PSI_MINUS
PULSES = (Pulse(output=0, start=70, width=10), Pulse(output=1, start=90, width=25))
OUTPUT = Path("docs/images/timing.png")

INPUT, OURS, OUT = "#3465a4", "#4e9a06", "#a40000"
WIDTH = 4  # ticks that a detector's pulse is drawn

Highs = list[tuple[float, float]]  # where a line is high: ticks after the first reference


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    colour: str
    highs: Highs


class Port:
    """A twin as a transport: its time passes while it is read."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def read(self, size: int, timeout_s: float) -> bytes:
        return self._twin.work(self._twin.now + max(1000, round(timeout_s * BOARD.clock_hz)), 10**6, size)

    def now_s(self) -> float:
        return self._twin.now / BOARD.clock_hz

    def write(self, data: bytes) -> None:
        self._twin.request(data)

    def close(self) -> None:
        """Nothing to give up."""


def record(twin: Twin) -> tuple[int, NDArray[np.void]]:
    """Play two attempts. Returns the first reference's tick and the pulses."""
    board = Board(Port(twin))
    windows: dict[int, tuple[Window, ...]] = {trigger: (window,) for trigger, (_, window) in TRIGGERS.items()}
    board.configure(
        Configuration(
            patterns=(Pattern(frozenset({0, 1}), window=8, outcome=OUTCOME),),
            mode=Mode.GATED,
            gates=dict.fromkeys((0, 1), GATE),
            attempt_clocks=PERIOD,
            sequence=Attempts(period=PERIOD, windows=windows, reference=ReferenceSource.EXTERNAL),
            actions={OUTCOME: PULSES},
        )
    )
    board.start()
    board.start_sequence()
    twin.settle()
    twin.pulses()
    origin = (twin.now + 100) * BOARD.samples
    edges = sorted([(origin + 4 * clock, REFERENCE) for clock in REFERENCES] + [(origin + t, c) for c, t in CLICKS])
    twin.run(100 + 2 * SHOWN, clicks_of(np.array([t for t, _ in edges]), np.array([c for _, c in edges])))
    return origin, twin.pulses()


def rows(origin: int, pulses: NDArray[np.void]) -> Iterator[Row]:
    """What is seen at each pin, from top to bottom."""
    references = [4 * clock for clock in REFERENCES]
    yield Row("reference", INPUT, [(tick, tick + WIDTH) for tick in references])
    clocks = pulses["clock"].astype(np.int64) * BOARD.samples - origin
    for trigger, (name, _) in TRIGGERS.items():
        yield Row(name, OURS, held(clocks, pulses["triggers"] >> trigger & 1))
    yield Row("gate of channels 0 and 1", "#888a85", [(tick + GATE.start, tick + GATE.stop) for tick in references])
    for channel in (0, 1):
        yield Row(f"detector {channel}", INPUT, [(tick, tick + WIDTH) for c, tick in CLICKS if c == channel])
    heralds = clocks[(pulses["pins"] >> OUTCOME & 1).astype(bool)]
    yield Row(f"herald of {OUTCOME.name}", OUT, [(tick, tick + BOARD.samples) for tick in heralds])
    for output in sorted({pulse.output for pulse in PULSES}):
        bits = pulses["actions"] >> output * BOARD.samples & (1 << BOARD.samples) - 1
        ticks = (clocks[:, None] + np.arange(BOARD.samples)).ravel()
        yield Row(f"action {output}", OUT, held(ticks, (bits[:, None] >> np.arange(BOARD.samples) & 1).ravel()))


def held(times: NDArray[np.int64], levels: NDArray[np.integer]) -> Highs:
    """Stretches of 1 of a line that keeps its level from one of `times` to the next."""
    highs: Highs = []
    since = None
    for time, level in zip(times.tolist(), levels.tolist(), strict=True):
        if level and since is None:
            since = time
        elif not level and since is not None:
            highs.append((since, time))
            since = None
    return highs


def draw(lines: Sequence[Row], path: Path) -> None:
    """Draw the lines, one below the other, with what happens between them."""
    figure = Figure(figsize=(12, 0.55 * len(lines) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(lines)):
        edges = [(0.0, 0), *((time, up) for begin, end in row.highs for time, up in ((begin, 1), (end, 0)))]
        times = [-20, *(time for time, _ in edges), BOARD.samples * SHOWN]
        levels = [0, *(level for _, level in edges), 0]
        shifted = [place + 0.65 * level for level in levels]
        axes.step(times, shifted, where="post", color=row.colour, linewidth=1.6)
        axes.fill_between(times, place, shifted, step="post", color=row.colour, alpha=0.2)
    names = [row.name for row in reversed(lines)]
    axes.set_yticks([place + 0.3 for place in range(len(lines))], names)
    by_name = {row.name: (len(lines) - 1 - place, row) for place, row in enumerate(lines)}
    click = CLICKS[2][1]
    place, herald = by_name[f"herald of {OUTCOME.name}"]
    begin, end = herald.highs[0]
    arrow(axes, click, begin, place + 0.85)
    note(axes, end, place, f"{BOARD.herald_latency} clocks after the clock of the click that completes it, always")
    for pulse in PULSES:
        place, _ = by_name[f"action {pulse.output}"]
        arrow(axes, click, click + pulse.start, place + 0.35)
        note(axes, click + pulse.start + pulse.width, place, f"{pulse.start} ticks after the click")
    place, _ = by_name["detector 0"]
    note(axes, CLICKS[1][1] + WIDTH, place, "the first click is outside its gate, and does not count")
    place, _ = by_name["detector 1"]
    note(axes, CLICKS[3][1] + WIDTH, place, "alone: no herald")
    axes.axvline(click, color="#555753", linewidth=0.8, linestyle=":")
    axes.set_xlim(-20, BOARD.samples * SHOWN)
    axes.set_xlabel(f"ticks of {BOARD.tick_fs / 1e6:g} ns after the first reference; a clock is {BOARD.samples} ticks")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def arrow(axes: Axes, begin: float, end: float, height: float) -> None:
    axes.annotate("", (end, height), (begin, height), arrowprops={"arrowstyle": "->", "color": "#555753"})


def note(axes: Axes, end: float, place: float, text: str) -> None:
    """Say something of the pulse that ends at `end`, to its right."""
    axes.text(end + 8, place + 0.25, text, fontsize=8, color="#555753")


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    lines = list(rows(*record(open_twin(BOARD, Link(capture=True), print))))
    draw(lines, path)
    print(f"{path} shows {len(lines)} lines.")


if __name__ == "__main__":
    main()
