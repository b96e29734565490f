"""What a supervisor is told of the link behind a URL."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.firmware_bridge.configuration import Configuration, Pattern
from qlink.firmware_bridge.errors import ConfigurationError, TransportError
from qlink.sim.photonics import HeraldedLink, Scheme
from qlink.sim.twin_build import silent
from qlink.supervisor.cli.link_setup import SIMULATED, born, rate_hz, set_up
from qlink.supervisor.link_clock import TimeSource
from qlink.supervisor.model import LinkModel
from qlink.supervisor.single_click import SingleClickLink

MODEL = LinkModel()
ASKED = Configuration(patterns=(Pattern(frozenset({0, 4}), 4),))
shares = st.floats(0.01, 0.99)
links = st.builds(
    HeraldedLink,
    scheme=st.sampled_from(Scheme),
    alpha=shares,
    efficiency_a=shares,
    efficiency_b=shares,
    visibility=st.floats(0.0, 1.0),
    dark_hz=st.floats(0.0, 1e6),
)


@given(links)
def test_a_pair_is_born_bell_diagonal_with_the_fidelity_of_the_closed_form(link: HeraldedLink) -> None:
    state = born(link)
    assert sum(state) == pytest.approx(1)
    assert min(state) >= 0
    assert state[0] == pytest.approx(link.heralding.fidelity)


@given(links.filter(lambda link: link.scheme is Scheme.SINGLE))
def test_two_derivations_of_the_single_click_state_agree(link: HeraldedLink) -> None:
    arms = link.arms
    efficiency = (arms.eta_a, arms.eta_b)
    state, chance = SingleClickLink((link.alpha, link.alpha), efficiency, arms.visibility, arms.dark).herald()
    assert born(link) == pytest.approx(state, abs=1e-9)
    assert rate_hz(link) == pytest.approx(chance * link.attempt_hz)


def test_photons_that_are_not_alike_flip_the_phase_only() -> None:
    good, y, x, z = born(HeraldedLink(scheme=Scheme.DOUBLE, visibility=0.9, dark_hz=0.0))
    assert (good, y, x, z) == pytest.approx((0.95, 0, 0, 0.05))


def test_a_real_board_is_left_as_it_is_unless_patterns_are_given() -> None:
    assert set_up("ftdi://", Configuration(), MODEL, silent).configuration is None
    link = set_up("ftdi://", ASKED, MODEL, silent)
    assert link.configuration == replace(ASKED, snapshot_clocks=20_000_000)
    assert link.time_source is TimeSource.BOARD
    assert link.nodes is None


def test_snapshots_come_as_often_as_is_asked() -> None:
    often = replace(ASKED, snapshot_clocks=1_000)
    assert set_up("ftdi://", often, MODEL, silent).configuration == often
    assert set_up("twin://idle?lean=1", often, MODEL, silent).configuration == often


def test_a_recording_is_set_to_what_it_was_made_with() -> None:
    assert set_up("replay://run.qlink", ASKED, MODEL, silent).configuration == ASKED


def test_a_simulated_link_is_set_to_what_is_asked_and_promises_what_its_operator_does() -> None:
    link = set_up(SIMULATED, ASKED, MODEL, silent)
    assert link.configuration is not None
    assert link.configuration.patterns == ASKED.patterns
    assert link.model == MODEL


def test_a_simulated_link_runs_in_real_time_and_promises_what_its_physics_does() -> None:
    link = set_up(SIMULATED, Configuration(), MODEL, silent)
    assert "pace=1" in link.url
    assert link.configuration is not None
    assert len(link.configuration.patterns) == 4
    assert link.configuration.snapshot_clocks == 20_000_000
    assert link.model.rate_hz == pytest.approx(108, rel=0.01)
    assert link.contract.rate_hz < link.model.rate_hz


def test_delays_are_set_with_the_patterns() -> None:
    delayed = Configuration(delays={4: -37}, reference_delay=5)
    for url in ("ftdi://", SIMULATED):
        configuration = set_up(url, replace(delayed, patterns=ASKED.patterns), MODEL, silent).configuration
        assert configuration is not None
        assert (configuration.delays, configuration.reference_delay) == ({4: -37}, 5)
    physical = set_up(SIMULATED, delayed, MODEL, silent).configuration
    assert physical is not None
    assert (len(physical.patterns), physical.delays) == (4, {4: -37})
    with pytest.raises(ConfigurationError, match="name its patterns"):
        set_up("ftdi://", delayed, MODEL, silent)


def test_rate_is_attempts_times_success() -> None:
    link = HeraldedLink(attempt_hz=1000.0, scheme=Scheme.DOUBLE, efficiency_a=0.5, efficiency_b=0.5, dark_hz=0.0)
    assert rate_hz(link) == pytest.approx(125)


@pytest.mark.parametrize("url", ["twin://lasers", "twin://heralded?colour=red", "twin://heralded?seed=x"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(TransportError):
        set_up(url, Configuration(), MODEL, silent)
