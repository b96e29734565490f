"""`qlinkctl board histogram`, on what a board would have counted."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from qlink.firmware_bridge.configuration import Configuration, Identity
from qlink.firmware_bridge.histogram import Histogram, HistogramSettings
from qlink.supervisor.cli import histogram as cli
from qlink.supervisor.cli.main import main

COUNTS = np.full(64, 3, np.uint32)
COUNTS[32 - 5] = 1000


class Opened:
    """A board that has counted `COUNTS`."""

    identity = Identity(1, "ECPI", 8, 8, 4, 1_250_000, 200_000_000, 8, 1, 16383, 64)

    def __init__(self) -> None:
        self.done: list[str] = []
        self.counts = COUNTS
        self.configuration = Configuration()

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def configure(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def start(self) -> None:
        self.done.append("start")

    def stop(self) -> None:
        self.done.append("stop")

    def histogram(self, settings: HistogramSettings, duration_s: float) -> Histogram:
        self.done.append(f"count for {duration_s}")
        return Histogram(settings, self.counts, 600, 700, 41, 160_000_000, saturated=False)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    board = Opened()
    monkeypatch.setattr(cli, "open_board", lambda _url: board)
    return board


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["board", "histogram", "twin://idle", "--start", "0", "--stop", "4", *arguments])


def test_shows_the_peak_and_how_to_align_it(opened: Opened) -> None:
    output = run("--delay", "4=-3", "--seconds", "0.2").output
    assert "Peak: 1,000 at -5 ticks (-6.25 ns)" in output
    assert "--delay 4=+2" in output  # it has -3 already
    assert "600 clicks on channel 0, 700 on 4 in 0.2 s" in output
    assert output.count("█") == 50
    assert opened.configuration.delays == {4: -3}
    assert opened.configuration.stream_channels == frozenset()
    assert opened.done == ["start", "count for 0.2", "stop"]


def test_tells_programs_every_bin(opened: Opened) -> None:
    told = json.loads(run("--json", "--width", "2", "--offset", "40").stdout)
    assert told["counts"] == opened.counts.tolist()
    assert told["first_delay"] == 40 - 64
    assert told["peak"] == {"delay": 40 - 10, "count": 1000, "background": 3.0}
    assert (told["starts"], told["stops"], told["outside"], told["saturated"]) == (600, 700, 41, False)


def test_says_so_when_there_is_nothing_to_show(opened: Opened) -> None:
    opened.counts = np.zeros(64, np.uint32)
    assert "no pair of clicks within the bins" in run().output
    assert json.loads(run("--json").stdout)["peak"] is None


@pytest.mark.usefixtures("opened")
def test_draws_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "peak.svg"
    assert run("--picture", str(path)).exit_code == 0
    root = ElementTree.fromstring(path.read_text())
    assert "channel 4 after channel 0" in "".join(root.itertext())
    refused = run("--picture", "peak.gif")
    assert refused.exit_code == 2
    assert "peak.gif has to end in .svg" in refused.output


def test_has_help_with_an_example() -> None:
    assert "qlinkctl board histogram" in run("--help").output
