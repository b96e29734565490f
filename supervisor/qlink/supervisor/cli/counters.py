"""`qlinkctl board counters`: all that a board has counted, and how much of it is accidental."""

from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Group

from qlink.firmware_bridge.accidentals import AccidentalEstimate, estimate_accidentals
from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Outcome, Pattern
from qlink.firmware_bridge.counters import PER_CHANNEL, Counters
from qlink.firmware_bridge.errors import EndOfStream
from qlink.firmware_bridge.registers import BY_NAME, Feature

from .configuration_file import config_option, read_configuration
from .output import amount, bell_state, json_option, stdout, table, write_json
from .patterns import typed

FS_PER_S = 10**15
ACTIONS = ("actions_started", "actions_dropped", "actions_refused")


@dataclass(frozen=True, slots=True)
class Counted:
    """All counters since reset, and those of a time, or the same where no time was asked for."""

    total: Counters
    part: Counters
    seconds: float  # of `part`; 0: of no known time, so that there are no rates
    patterns: dict[int, Pattern]  # that the board is set to

    def estimate(self, number: int) -> AccidentalEstimate | None:
        """Of a pattern; None where no accidentals are counted."""
        if not self.patterns[number].shifted:
            return None
        part = self.part
        return estimate_accidentals(*(int(each[number]) for each in (part.heralds, part.vetoed, part.accidentals)))

    def per_second(self, count: float) -> float | None:
        return count / self.seconds if self.seconds else None


@click.command()
@click.argument("url")
@config_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=1.0,
    help="How long to count (of its own time, on a twin); 0: all since the reset.",
)
@json_option
def counters(url: str, file: Path | None, seconds: float, as_json: bool) -> None:
    """Show everything that the board at URL counts, and how many of its heralds are accidental.

    Counters are of all the time since the board's reset. Rates, heralds and accidentals are of the time of --seconds:
    of a pattern with shifted channels (typed ~4) as many heralds are expected by chance as its accidental counter says,
    less those that would have been vetoed; the net rest has the error of both counts.

    What the board does goes on, unless a --config file sets and starts it; then it is stopped in the end. While a
    supervisor has the board, the supervisor's metrics have these counters.

    \b
    Example:
        qlinkctl board counters ftdi:// --seconds 60
        qlinkctl board counters twin://pairs --config docs/examples/pairs.toml --seconds 0.05
    """
    with open_board(url) as board:
        if file is not None:
            _set_off(board, file)
        counted = _count(board, seconds)
        if file is not None:
            board.stop()
        tick_ns = board.identity.tick_fs / 1e6
    if as_json:
        write_json({"url": url, "tick_ns": tick_ns, **_as_json(counted)})
    else:
        stdout().print(_drawn(counted))


def _set_off(board: Board, file: Path) -> None:
    configuration = read_configuration(file)
    board.configure(configuration)
    board.start()
    if configuration.sequence is not None:
        board.start_sequence()


def _count(board: Board, seconds: float) -> Counted:
    """Take a snapshot before and behind the time, by the transport's clock."""
    patterns = _patterns(board)
    first = board.snapshot()
    if not seconds:
        return Counted(first, first, 0.0, patterns)
    end = board.now_s() + seconds
    with suppress(EndOfStream):
        while (left := end - board.now_s()) > 0:
            board.events(min(left, 1.0))
    last = board.snapshot()
    part = last.since(first)
    return Counted(last, part, part.tick * board.identity.tick_fs / FS_PER_S, patterns)


def _patterns(board: Board) -> dict[int, Pattern]:
    """Those that the board is set to; `shifted` only where accidentals are counted."""
    identity, found = board.identity, {}
    counts = bool(identity.features & Feature.ACCIDENTALS) and bool(board.read("accidental_clocks"))
    for number in range(identity.patterns):
        channels = BY_NAME["pattern_channels"].unpack(board.read("pattern_channels", number), identity.channels)
        if not channels["required"]:
            continue
        decision = BY_NAME["pattern_decision"].unpack(board.read("pattern_decision", number))
        found[number] = Pattern(
            required=_members(channels["required"]),
            window=decision["window"],
            outcome=Outcome(decision["outcome"]),
            forbidden=_members(channels["forbidden"]),
            shifted=_members(board.read("pattern_shifted", number) if counts else 0),
        )
    return found


def _members(mask: int) -> frozenset[int]:
    return frozenset(channel for channel in range(mask.bit_length()) if mask >> channel & 1)


def _as_json(counted: Counted) -> dict[str, Any]:
    total = {field.name: getattr(counted.total, field.name) for field in fields(Counters)}
    return {
        "seconds": counted.seconds,
        "counters": {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in total.items()},
        "click_rates_hz": [counted.per_second(int(clicks)) for clicks in counted.part.clicks],
        "patterns": [_pattern_as_json(counted, number) for number in counted.patterns],
    }


def _pattern_as_json(counted: Counted, number: int) -> dict[str, Any]:
    heralds, estimate = int(counted.part.heralds[number]), counted.estimate(number)
    return {
        "pattern": number,
        "channels": typed(counted.patterns[number]),
        "window": counted.patterns[number].window,
        "heralds": heralds,
        "rate_hz": counted.per_second(heralds),
        "vetoed": int(counted.part.vetoed[number]),
        "accidentals": int(counted.part.accidentals[number]) if estimate else None,
        "expected_accidentals": estimate.expected if estimate else None,
        "expected_accidentals_error": estimate.expected_error if estimate else None,
        "net": estimate.net if estimate else None,
        "net_error": estimate.net_error if estimate else None,
        "net_rate_hz": counted.per_second(estimate.net) if estimate else None,
        "net_rate_error_hz": counted.per_second(estimate.net_error) if estimate else None,
    }


def _drawn(counted: Counted) -> Group:
    total, part = counted.total, counted.part
    names = [group.name.lower() for group in PER_CHANNEL]
    channels = table(
        "channels, since reset",
        ("channel", *(f"{name.replace('_', ' ')}>" for name in names), "clicks per s>"),
        (
            (channel, *(f"{getattr(total, name)[channel]:,}" for name in names), _rate(counted, int(clicks)))
            for channel, clicks in enumerate(part.clicks)
        ),
    )
    singles = [field.name for field in fields(Counters) if isinstance(getattr(total, field.name), int)]
    board = table(
        "board, since reset",
        ("", "count>"),
        ((name.replace("_", " "), f"{getattr(total, name):,}") for name in singles if name not in ("snapshot", "tick")),
    )
    outcomes = table(
        "feed-forward, since reset",
        ("outcome", "started>", "dropped>", "refused>"),
        (
            (bell_state(outcome), *(f"{getattr(total, name)[outcome]:,}" for name in ACTIONS))
            for outcome in range(len(total.actions_started))
        ),
    )
    return Group(channels, _pattern_table(counted), *([outcomes] if outcomes.row_count else []), board)


def _pattern_table(counted: Counted) -> Any:
    part = counted.part
    time = f"in {counted.seconds:.4g} s" if counted.seconds else "since reset"
    rows = []
    for number, pattern in counted.patterns.items():
        cells = [f"{each[number]:,}" for each in (part.heralds, part.vetoed, part.heralds_lost)]
        rows.append((number, typed(pattern), *cells, _rate(counted, int(part.heralds[number])), *_net(counted, number)))
    columns = ("pattern", "", "heralds>", "vetoed>", "lost>", "per s>", "accidentals>", "by chance>", "net>", "per s>")
    return table(f"patterns, {time}", columns, rows)


def _net(counted: Counted, number: int) -> tuple[str, ...]:
    estimate = counted.estimate(number)
    if estimate is None:
        return ("-", "-", "-", "-")
    return (
        f"{counted.part.accidentals[number]:,}",
        f"{estimate.expected:,.1f} ± {estimate.expected_error:,.1f}",
        f"{estimate.net:,.1f} ± {estimate.net_error:,.1f}",
        _rate(counted, estimate.net),
    )


def _rate(counted: Counted, count: float) -> str:
    rate = counted.per_second(count)
    return "-" if rate is None else amount(rate)
