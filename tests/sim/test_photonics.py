import json
import os
from itertools import islice
from math import log1p, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.sim.midpoint import Arms, double_click, single_click
from qlink.sim.photonics import PS_PER_S, HeraldedLink, PairSource, Scheme
from qlink.sim.sources import REFERENCE, Clicks, Source, awake, clicks_of, detected, idle, limited, recorded

VECTORS = (
    Path(os.environ.get("QLINK_DATA", Path(__file__).parents[2] / "../shared/data")).parent / "vectors/formulas.json"
)
TICK_PS = 1250.0


def vectors(kind: str) -> list[Any]:
    if not VECTORS.exists():
        return [pytest.param({}, marks=pytest.mark.skip(f"no {VECTORS}: set QLINK_DATA to the folder beside it"))]
    known = json.loads(VECTORS.read_text())["vectors"]
    return [pytest.param(vector, id=vector["name"]) for vector in known if vector["kind"] == kind]


def arms_of(inputs: dict[str, float]) -> Arms:
    return Arms(inputs["etaA"], inputs["etaB"], inputs["visibility"], inputs["p_dark_per_detector_window"])


def link_of(inputs: dict[str, float], **more: Any) -> HeraldedLink:
    dark_hz = -log1p(-inputs["p_dark_per_detector_window"]) / (50_000 / PS_PER_S)
    return HeraldedLink(
        attempt_hz=500_000.0,
        efficiency_a=inputs["etaA"],
        efficiency_b=inputs["etaB"],
        visibility=inputs["visibility"],
        dark_hz=dark_hz,
        window_ps=50_000,
        **more,
    )


def all_clicks(source: Source, stretches: int) -> Clicks:
    return np.concatenate([stretch.clicks for stretch in islice(source, stretches)])


def attempts_heralded(link: HeraldedLink, clicks: Clicks) -> tuple[int, int]:
    """Count the attempts, and those with a click on exactly one detector in each round, straight from the clicks."""
    references = clicks["tick"][clicks["channel"] == REFERENCE].astype(np.int64)
    good = np.ones(len(references), bool)
    for round_ in range(link.rounds):
        gate, clicked = link.gate(round_, TICK_PS), []
        for channel in (2 * round_, 2 * round_ + 1):
            ticks = clicks["tick"][clicks["channel"] == channel].astype(np.int64)
            first, last = (
                np.searchsorted(ticks, references + gate.start),
                np.searchsorted(ticks, references + gate.stop),
            )
            clicked.append(last > first)
        good &= clicked[0] != clicked[1]
    return len(references), int(good.sum())


@pytest.mark.parametrize("vector", vectors("single_click"))
def test_single_click_agrees_with_first_principles(vector: dict[str, Any]) -> None:
    inputs, outputs = vector["inputs"], vector["outputs"]
    heralding = single_click(inputs["alphaA"], inputs["alphaB"], arms_of(inputs))
    assert heralding.probability == pytest.approx(outputs["p_herald"], rel=1e-12)
    assert heralding.fidelity == pytest.approx(outputs["F_psi_plus_after_correction"], rel=1e-12)


@pytest.mark.parametrize("vector", vectors("double_click"))
def test_double_click_agrees_with_first_principles(vector: dict[str, Any]) -> None:
    heralding, outputs = double_click(arms_of(vector["inputs"])), vector["outputs"]
    assert heralding.probability == pytest.approx(outputs["p_herald"], rel=1e-12)
    assert heralding.fidelity == pytest.approx(outputs["F_after_correction"], rel=1e-12)


@pytest.mark.parametrize("vector", vectors("single_click") + vectors("double_click"))
def test_simulated_clicks_herald_as_often_as_they_should(vector: dict[str, Any]) -> None:
    inputs, expected = vector["inputs"], vector["outputs"]["p_herald"]
    if vector["kind"] == "single_click":
        link = link_of(inputs, scheme=Scheme.SINGLE, alpha=inputs["alphaA"])
    else:
        link = link_of(inputs, scheme=Scheme.DOUBLE)
    stretches = 100 if expected > 0.001 else 300
    attempts, heralds = attempts_heralded(link, all_clicks(link.clicks(TICK_PS, np.random.default_rng(1)), stretches))
    assert attempts == stretches * 4096
    assert abs(heralds - attempts * expected) < 4 * sqrt(attempts * expected * (1 - expected)) + 1
    assert link.heralding.probability == pytest.approx(expected, rel=1e-9)


def test_a_link_is_the_same_for_the_same_seed() -> None:
    once, again, other = (
        all_clicks(HeraldedLink().clicks(TICK_PS, np.random.default_rng(seed)), 3) for seed in (1, 1, 2)
    )
    assert once.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("scheme", Scheme)
def test_a_links_configuration_gates_what_the_link_sends(scheme: Scheme) -> None:
    link = HeraldedLink(scheme=scheme, dark_hz=0)
    gates = link.configuration(TICK_PS, samples=4).gates
    clicks = all_clicks(link.clicks(TICK_PS, np.random.default_rng(1)), 10)
    references = clicks["tick"][clicks["channel"] == REFERENCE]
    for channel, gate in gates.items():
        ticks = clicks["tick"][clicks["channel"] == channel]
        delays = ticks - references[np.searchsorted(references, ticks, side="right") - 1]
        within = (delays >= gate.start) & (delays < gate.stop)
        assert within.sum() > 200
        other_round = 0 if scheme is Scheme.SINGLE else len(ticks) // 2
        assert (~within).sum() == pytest.approx(other_round, abs=4 * sqrt(len(ticks)) * (other_round > 0))


def test_pairs_coincide_and_accidentals_do_not_exceed_chance() -> None:
    source = PairSource(pair_hz=200_000, efficiency=0.3, dark_hz=2_000)
    clicks = all_clicks(source.clicks(260.0, np.random.default_rng(7)), 100)
    seconds, found = 0.5, {}
    a = clicks["tick"][clicks["channel"] == 0].astype(np.int64)
    for partner in (4, 5):
        b = clicks["tick"][clicks["channel"] == partner].astype(np.int64)
        found[partner] = int((np.searchsorted(b, a + 8, side="right") - np.searchsorted(b, a - 8)).sum())
    made = 200_000 / 4 * seconds * 0.3**2
    assert found[4] == pytest.approx(made, abs=4 * sqrt(made))
    accidental = (len(a) / seconds) ** 2 * 17 * 260e-12 * seconds
    assert found[5] == pytest.approx(accidental, abs=4 * sqrt(accidental) + 1)


def test_every_click_lies_in_its_stretch_in_order() -> None:
    start = 0
    for stretch in islice(PairSource().clicks(260.0, np.random.default_rng(3)), 20):
        ticks = stretch.clicks["tick"].astype(np.int64)
        assert (np.diff(ticks) >= 0).all()
        assert start <= ticks[0]
        assert ticks[-1] < stretch.end
        start = stretch.end


@given(st.lists(st.integers(0, 200), max_size=40), st.integers(0, 20))
def test_dead_time_lets_through_what_a_detector_would(times: list[int], dead: int) -> None:
    ticks, expected, last = np.sort(np.array(times, np.int64)), [], -(10**9)
    for tick in ticks.tolist():
        if tick - last >= dead:
            expected.append(tick)
            last = tick
    assert ticks[awake(ticks, dead)].tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2)), max_size=40), st.integers(0, 20), st.integers(1, 9))
def test_dead_time_does_not_see_where_stretches_end(times: list[tuple[int, int]], dead: int, size: int) -> None:
    table = np.array(times, np.int64).reshape(-1, 2)
    clicks = clicks_of(table[:, 0], table[:, 1])
    whole = [stretch.clicks for stretch in detected(recorded(clicks, 1000), dead)]
    pieces = [stretch.clicks for stretch in detected(recorded(clicks, size), dead)]
    assert b"".join(piece.tobytes() for piece in pieces) == b"".join(piece.tobytes() for piece in whole)


def test_a_source_can_be_limited() -> None:
    assert [stretch.end for stretch in limited(idle(1000), 2500)] == [1000, 2000, 2500]
    clicks = clicks_of(np.array([1, 5, 9]), np.array([0, 1, 2]))
    assert [stretch.clicks["tick"].tolist() for stretch in limited(recorded(clicks), 9)] == [[1, 5]]
