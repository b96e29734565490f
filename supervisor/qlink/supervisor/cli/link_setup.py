"""From a board's URL to what a supervisor has to know of the link behind it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from qlink.firmware_bridge.board import Board, open_board
from qlink.firmware_bridge.configuration import Configuration, Pattern
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

from .delays import NO_DELAYS, Delays

SIMULATED = (  # two nodes with good cavities: 108 heralds a second, by closed form
    "twin://heralded?scheme=double&attempt_hz=600&efficiency_a=0.6&efficiency_b=0.6&visibility=0.92&lean=1"
    "&offset_ps=20000&round_ps=100000"
)
SNAPSHOTS_PER_S = 10  # of the board's counters
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


def set_up(
    url: str, patterns: tuple[Pattern, ...], model: LinkModel, progress: Progress, delays: Delays = NO_DELAYS
) -> LinkSetup:
    """Return how to run the link at `url`. A simulated one is set to its own physics, unless patterns are given.

    `model` is taken for what the URL does not tell: memories, and for all but a heralded simulation states and rate.
    A twin is compiled now if it has to be, which is told to `progress`. Raises `BridgeError` for a URL that is wrong,
    `SimulationError` when there is no twin to be had.
    """
    parts = urlsplit(url)
    if parts.scheme != "twin":
        source = TimeSource.ARRIVAL if parts.scheme == "replay" else TimeSource.BOARD
        if delays != NO_DELAYS and not patterns:
            raise ConfigurationError("delays are part of a board's configuration: name its patterns, too")
        configuration = _delayed(Configuration(patterns=patterns, snapshot_clocks=20_000_000), delays)
        contract = Contract(rate_hz=CONTRACTED * model.rate_hz)
        return LinkSetup(
            url, lambda: open_board(url), configuration if patterns else None, model, contract, source, None
        )
    wanted = parse_url(parts)
    build(wanted.parameters, progress)
    if not wanted.options.pace:  # a simulated second is a second, or the applications' deadlines would mean nothing
        parts = parts._replace(query=f"{parts.query}&pace=1".removeprefix("&"))
        wanted = parse_url(parts)
    if isinstance(wanted.kind, HeraldedLink) and not patterns:
        model = replace(model, states=(born(wanted.kind),) * 4, rate_hz=rate_hz(wanted.kind))
    return LinkSetup(
        url=urlunsplit(parts),
        open_board=lambda: Board(open_url(parts)),
        configuration=_delayed(_configuration(wanted, patterns), delays),
        model=model,
        contract=Contract(rate_hz=CONTRACTED * model.rate_hz),
        time_source=TimeSource.ARRIVAL,
        nodes=Nodes(np.random.default_rng(wanted.options.seed)),
    )


def _configuration(wanted: TwinUrl, patterns: tuple[Pattern, ...]) -> Configuration:
    """What the twin has to be set to, with snapshots of its counters often enough for a live view."""
    if isinstance(wanted.kind, HeraldedLink) and not patterns:
        base = wanted.kind.configuration(wanted.options.tick_ps, wanted.parameters.samples)
    else:
        base = Configuration(patterns=patterns)
    return replace(base, snapshot_clocks=wanted.parameters.clock_hz // SNAPSHOTS_PER_S)


def _delayed(configuration: Configuration, delays: Delays) -> Configuration:
    return replace(configuration, delays=delays.channels, reference_delay=delays.reference)


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
