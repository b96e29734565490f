"""From a board's URL to what a supervisor has to know of the link behind it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Configuration
from qlink.firmware_bridge.errors import ConfigurationError
from qlink.sim.midpoint import Arms
from qlink.sim.nodes import Nodes
from qlink.sim.photonics import HeraldedLink, Scheme
from qlink.sim.twin_build import Progress, build
from qlink.sim.twin_transport import open_url
from qlink.sim.twin_url import TwinUrl, parse_url
from qlink.supervisor.bell import BellDiagonal
from qlink.supervisor.engine import NodeController
from qlink.supervisor.link_clock import TimeSource
from qlink.supervisor.model import LinkModel
from qlink.supervisor.slo import Contract

SIMULATED = (  # two nodes with good cavities: 108 heralds a second, by closed form
    "twin://heralded?scheme=double&attempt_hz=600&efficiency_a=0.6&efficiency_b=0.6&visibility=0.92&lean=1"
    "&offset_ps=20000&round_ps=100000"
)
SNAPSHOTS_PER_S = 10  # of the board's counters
BOARD_SNAPSHOT_CLOCKS = 20_000_000  # about as many a second, at the clocks that boards have
CONTRACTED = 0.9  # share of what the physics promises that the contract does


@dataclass(frozen=True, slots=True)
class LinkSetup:
    """All that differs from link to link. `configuration` None: the board is left as it is."""

    url: str
    open_board: Callable[[], Board]
    configuration: Configuration | None
    model: LinkModel
    contract: Contract
    time_source: TimeSource
    nodes: NodeController | None  # None: nobody purifies


def set_up(url: str, asked: Configuration, model: LinkModel, progress: Progress) -> LinkSetup:
    """Return how to run the link at `url`, with the board set to what is `asked`.

    Without patterns, a simulated link is set to its own physics, with the delays and the accidental offset that are
    asked, and any other board is left as it is. `model` is taken for what the URL does not tell: memories, and for all
    but a heralded simulation without patterns states and rate. A twin is compiled now if it has to be, which is told to
    `progress`. Raises `BridgeError` for a URL that is wrong, `SimulationError` when there is no twin to be had.
    """
    parts = urlsplit(url)
    if parts.scheme != "twin":
        recording = parts.scheme == "replay"
        source = TimeSource.ARRIVAL if recording else TimeSource.BOARD
        if asked != Configuration() and not asked.patterns:
            raise ConfigurationError(
                "delays and an accidental offset are part of a board's configuration: name its patterns, too"
            )
        configuration = asked if recording else _watched(asked, BOARD_SNAPSHOT_CLOCKS)  # a recording is as it was made
        contract = Contract(rate_hz=CONTRACTED * model.rate_hz)
        set_to = configuration if asked.patterns else None
        return LinkSetup(url, lambda: open_board(url), set_to, model, contract, source, None)
    wanted = parse_url(parts)
    build(wanted.parameters, progress)
    if not wanted.options.pace:  # a simulated second is a second, or the applications' deadlines would mean nothing
        parts = parts._replace(query=f"{parts.query}&pace=1".removeprefix("&"))
        wanted = parse_url(parts)
    if isinstance(wanted.kind, HeraldedLink) and not asked.patterns:
        model = replace(model, states=(born(wanted.kind),) * 4, rate_hz=rate_hz(wanted.kind))
        asked = _by_physics(asked, wanted.kind, wanted)
    return LinkSetup(
        url=urlunsplit(parts),
        open_board=lambda: Board(open_url(parts)),
        configuration=_watched(asked, wanted.parameters.clock_hz // SNAPSHOTS_PER_S),
        model=model,
        contract=Contract(rate_hz=CONTRACTED * model.rate_hz),
        time_source=TimeSource.ARRIVAL,
        nodes=Nodes(np.random.default_rng(wanted.options.seed)),
    )


def _by_physics(asked: Configuration, link: HeraldedLink, wanted: TwinUrl) -> Configuration:
    """What heralds the simulated link."""
    return replace(
        link.configuration(wanted.options.tick_ps, wanted.parameters.samples),
        delays=asked.delays,
        reference_delay=asked.reference_delay,
        accidental_clocks=asked.accidental_clocks,
    )


def _watched(configuration: Configuration, snapshot_clocks: int) -> Configuration:
    """With snapshots of the counters often enough for metrics and a live view, unless it says how often."""
    return replace(configuration, snapshot_clocks=configuration.snapshot_clocks or snapshot_clocks)


def rate_hz(link: HeraldedLink) -> float:
    """Heralds per second that the closed form promises."""
    return link.attempt_hz * link.heralding.probability


def born(link: HeraldedLink) -> BellDiagonal:
    """The state of a pair at its herald, corrected as the outcome asks for: no error, Y, X, Z.

    What is wrong of the fidelity is of two kinds: both nodes bright or both dark (phi instead of psi, a bit is flipped,
    its phase unknown), and photons that are not alike (psi+ for psi-, a phase is flipped).
    """
    heralding, arms = link.heralding, link.arms
    flipped = alike(link, arms) / heralding.probability / 2
    return heralding.fidelity, flipped, flipped, max(1 - heralding.fidelity - 2 * flipped, 0.0)


def alike(link: HeraldedLink, arms: Arms) -> float:
    """Chance per attempt of a herald for which both nodes are bright, or both dark."""
    if link.scheme is Scheme.DOUBLE:
        return arms.two_photons() * arms.only_dark / 2
    return link.alpha**2 * arms.two_photons() + (1 - link.alpha) ** 2 * arms.only_dark
