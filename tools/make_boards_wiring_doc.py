"""Write the tables of docs/boards-wiring.md from the board profiles. Run after a change of a profile."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from qlink.gateware.boards.profile import Pin, Profile
from qlink.gateware.boards.profiles import PROFILES

PATH = Path(__file__).parents[1] / "docs" / "boards-wiring.md"
BEGIN, END = "<!-- wiring: begin -->", "<!-- wiring: end -->"
NONE = "none"
LINES = ("ready", "trigger", "success")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def summary() -> Iterator[str]:
    head = ("board", "triggers", "feed-forward", "shift of an input", "longest window with a veto", "without")
    yield from table(head, [(f"`{name}`", *_has(profile)) for name, profile in PROFILES.items()])


def _has(profile: Profile) -> Iterator[str]:
    p = profile.parameters
    yield str(p.triggers)
    yield f"{p.outputs} outputs, {p.pulses} pulses" if p.pulses else NONE
    yield f"+- {profile.shift_ns / 1000:.3g} us" if profile.shift_ns else NONE
    window = f"{p.veto_depth} clocks, {p.veto_depth * profile.clock_ns / 1000:.3g} us"
    yield window if p.veto_depth else "nothing vetoes"
    yield ", ".join(profile.lacks) or "nothing is left out"


def board(profile: Profile) -> Iterator[str]:
    rows = [(what, way, *_where(pins)) for what, way, pins in _signals(profile) if pins]
    yield f"## `{profile.name}`"
    yield ""
    yield from table(("signal", "", "contacts", "balls"), rows)


def _signals(profile: Profile) -> Iterator[tuple[str, str, Sequence[Pin]]]:
    """Every signal: what it is, its direction, and its pins in order."""
    yield _numbered("detector", profile.detectors), "in", profile.detectors
    yield "reference", "in", (profile.reference,)
    words = {"pps": "PPS", "ten_mhz": "10 MHz"}
    for name, pin in profile.times.items():
        yield words[name], "in", (pin,)
    yield "herald of outcome 0 to 3", "out", profile.heralds
    yield _numbered("trigger", profile.triggers), "out", profile.triggers
    yield _numbered("feed-forward output", profile.actions), "out", profile.actions
    if profile.sync:
        yield f"to another board: {', '.join(LINES)}", "out", profile.sync.outputs
        yield f"from another board: {', '.join(LINES)}", "in", profile.sync.inputs
    if profile.fifo:
        fifo = profile.fifo
        yield "FT232H: D0 to D7", "both", fifo.data
        yield "FT232H: CLKOUT, TXE#, RXF#", "in", (fifo.clock, fifo.txe_n, fifo.rxf_n)
        yield "FT232H: WR#, RD#, OE#, SIWU#", "out", (fifo.wr_n, fifo.rd_n, fifo.oe_n, fifo.siwu_n)


def _numbered(what: str, pins: Sequence[Pin]) -> str:
    return f"{what} 0 to {len(pins) - 1}" if len(pins) > 1 else f"{what} 0"


def _where(pins: Sequence[Pin]) -> tuple[str, str]:
    parts = [
        f"{connector}: {', '.join(str(pin.contact) for pin in several)}"
        for connector, several in groupby(pins, key=lambda pin: pin.connector)
    ]
    return "; ".join(parts), ", ".join(pin.ball for pin in pins)


def render() -> str:
    lines = [*summary()]
    for profile in PROFILES.values():
        lines += board(profile)
    return "\n".join(lines)


def page(text: str) -> str:
    """Return `text` with its tables made anew."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{render()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PATH.write_text(page(PATH.read_text()))
    print(f"wrote {PATH}")
