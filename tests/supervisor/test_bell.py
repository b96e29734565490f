import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.supervisor.bell import (
    MIXED,
    BellDiagonal,
    bbpssw,
    bilateral_cnot,
    decay,
    dejmps,
    dephased,
    depolarized,
    epl,
    from_qber,
    swap,
    werner,
)
from qlink.supervisor.memory import AgeingState
from qlink.supervisor.model import FOREVER_NS, LinkModel
from qlink.supervisor.single_click import SingleClickLink

VECTORS = Path(os.environ.get("QLINK_VECTORS", Path(__file__).parents[2] / "../shared/vectors/formulas.json"))


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        pytest.skip(f"no formula vectors at {VECTORS}: set QLINK_VECTORS to formulas.json")
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())["vectors"]
    return found


def of_kind(vectors: list[dict[str, Any]], kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = [(vector["inputs"], vector["outputs"]) for vector in vectors if vector["kind"] == kind]
    assert found, f"no vectors of kind {kind}"
    return found


def by_name(state: dict[str, float]) -> BellDiagonal:
    return state["phi+"], state["psi-"], state["psi+"], state["phi-"]


def near(expected: object) -> Any:
    return pytest.approx(expected, abs=1e-12)


def test_bbpssw_agrees_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "bbpssw"):
        assert bbpssw(given_["F1"], given_["F2"]) == near((expected["F_out"], expected["p_success"]))
        untwirled, success = bilateral_cnot(werner(given_["F1"]), werner(given_["F2"]))
        assert success == near(expected["p_success"])
        assert untwirled == near(by_name(expected["bell_diag_out_untwirled"]))


@pytest.mark.parametrize(("kind", "rounds"), [("bbpssw_recurrence", "rounds"), ("bbpssw_pumping", "steps")])
def test_bbpssw_repeats_as_in_the_vectors(vectors: list[dict[str, Any]], kind: str, rounds: str) -> None:
    for given_, expected in of_kind(vectors, kind):
        fidelity, cost = given_["F0"], 1.0
        for round_ in range(given_[rounds]):
            fidelity, success = bbpssw(fidelity, fidelity if kind == "bbpssw_recurrence" else given_["F0"])
            cost = 2 * cost / success
            assert (fidelity, success) == near((expected["F_after"][round_], expected["p_each"][round_]))
        if "expected_raw_pairs_per_output_after_6" in expected:
            assert cost == pytest.approx(expected["expected_raw_pairs_per_output_after_6"])


def test_dejmps_agrees_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "dejmps"):
        state, success = dejmps(tuple(given_["state1"]), tuple(given_["state2"]))
        assert (success, state[0]) == near((expected["p_success"], expected["F_out"]))
        assert state == near(tuple(expected["state_out"]))


def test_dejmps_repeats_as_in_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "dejmps_recurrence"):
        state: BellDiagonal = tuple(given_["state"])
        for round_ in range(given_["rounds"]):
            state, success = dejmps(state, state)
            assert success == near(expected["p_each"][round_])
            assert state == near(tuple(expected["states"][round_]))


def test_without_rotation_phase_errors_add_up_as_in_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "bilateral_cnot_no_rotation"):
        state: BellDiagonal = tuple(given_["state1"])
        first, success = bilateral_cnot(state, tuple(given_["state2"]))
        assert success == near(expected["p_success"])
        assert first == near(tuple(expected["state_out"]))
        for after in expected["F_after"]:
            state, _ = bilateral_cnot(state, state)
            assert state[0] == near(after)


def test_epl_agrees_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "epl"):
        outcome = epl(given_["q_odd_parity"], given_["coherence_v"], given_["p00"])
        assert outcome == near((expected["F_out_psi_plus"], expected["p_success"]))


def test_swap_agrees_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "swap"):
        assert swap(werner(given_["F1"]), werner(given_["F2"]))[0] == near(expected["F_out"])


def test_dephasing_memories_agree_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "memory_dephasing"):
        state = AgeingState(werner(given_["F0"]), 0.0, LinkModel(t2_s=(given_["T2A_s"], given_["T2B_s"])))
        age_ns = round(given_["t_s"] * 1e9)
        assert state.fidelity(age_ns) == near(expected["F"])
        assert state.aged(age_ns) == near(by_name(expected["bell_diag"]))


def test_depolarizing_memories_agree_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "memory_depolarizing"):
        link = LinkModel(t2_s=(math.inf, math.inf), depolarizing_s=(given_["tauA_s"], given_["tauB_s"]))
        state, age_ns = AgeingState(werner(given_["F0"]), 0.0, link), round(given_["t_s"] * 1e9)
        assert (state.fidelity(age_ns), state.aged(age_ns)[0]) == near((expected["F"], expected["F"]))


def test_a_single_click_link_agrees_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "single_click"):
        link = SingleClickLink(
            bright=(given_["alphaA"], given_["alphaB"]),
            efficiency=(given_["etaA"], given_["etaB"]),
            visibility=given_["visibility"],
            dark=given_["p_dark_per_detector_window"],
        )
        state, chance = link.herald()
        assert chance == pytest.approx(expected["p_herald"], rel=1e-9)
        assert state[0] == pytest.approx(expected["F_psi_plus_after_correction"], abs=1e-9)
        assert_physical(state)


def test_fidelity_from_error_rates_agrees_with_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for given_, expected in of_kind(vectors, "qber_to_fidelity"):
        assert from_qber(given_["qber_x"], given_["qber_y"], given_["qber_z"]) == near(expected["F"])


@pytest.mark.parametrize(
    ("state", "fidelity"),
    [((0.75, 0.05, 0.05, 0.15), 0.8309), ((0.75, 0.05, 0.15, 0.05), 0.8309), ((0.75, 0.15, 0.05, 0.05), 0.7134)],
    ids=["phase errors", "bit errors", "both"],
)
def test_dejmps_knows_the_type_of_error(state: BellDiagonal, fidelity: float) -> None:
    assert dejmps(state, state)[0][0] == pytest.approx(fidelity, abs=5e-5)


@st.composite
def states(draw: st.DrawFn) -> BellDiagonal:
    a, b, c, d = (draw(st.floats(1e-6, 1.0)) for _ in range(4))
    total = a + b + c + d
    return a / total, b / total, c / total, d / total


def assert_physical(state: BellDiagonal) -> None:
    assert sum(state) == pytest.approx(1)
    assert all(-1e-15 <= weight <= 1 + 1e-12 for weight in state)


@given(states(), states())
def test_what_comes_out_is_a_state_and_does_not_depend_on_the_order(first: BellDiagonal, second: BellDiagonal) -> None:
    for operation in (dejmps, bilateral_cnot):
        state, success = operation(first, second)
        assert_physical(state)
        assert 0 < success <= 1 + 1e-12
        other, other_success = operation(second, first)
        assert (other_success, *other) == pytest.approx((success, *state))
    assert_physical(swap(first, second))
    assert swap(first, second) == pytest.approx(swap(second, first))


@given(states(), st.floats(0, 1), st.floats(0, 1))
def test_noise_leaves_a_state_and_commutes(state: BellDiagonal, coherence: float, intact: float) -> None:
    noisy = depolarized(dephased(state, coherence), intact)
    assert_physical(noisy)
    assert noisy == pytest.approx(dephased(depolarized(state, intact), coherence))
    assert depolarized(state, 0.0) == pytest.approx(MIXED)


@given(st.floats(0, 1000))
def test_decay_is_the_exponential(x: float) -> None:
    assert decay(x) == pytest.approx(math.exp(-x), rel=1e-13, abs=2e-14)


@given(states().filter(lambda state: state[0] >= 0.5), st.floats(0.5, 1.0))
def test_a_lifetime_is_the_last_moment_with_that_fidelity(state: BellDiagonal, fidelity: float) -> None:
    ageing = AgeingState(state, 0.0, LinkModel(t2_s=(0.01, 0.02), depolarizing_s=(0.5, math.inf)))
    lifetime = ageing.lifetime(fidelity)
    if lifetime < 0:
        assert state[0] < fidelity
    else:
        assert ageing.fidelity(lifetime) >= fidelity > ageing.fidelity(lifetime + 1)


def test_without_decay_a_pair_lives_for_ever() -> None:
    forever = AgeingState(werner(0.9), 0.0, LinkModel(t2_s=(math.inf, math.inf)))
    assert forever.lifetime(0.8) == FOREVER_NS


@given(states().filter(lambda state: state[0] >= 0.5), st.integers(0, 10**9))
def test_an_estimate_lies_in_its_interval_and_agrees_with_the_whole_state(state: BellDiagonal, age_ns: int) -> None:
    ageing = AgeingState(state, 0.02, LinkModel(t2_s=(0.3, 0.2), depolarizing_s=(2.0, 1.0)))
    middle, low, high = ageing.estimate(age_ns)
    assert 0 <= low <= middle <= high <= 1
    assert middle == ageing.fidelity(age_ns) == pytest.approx(ageing.aged(age_ns)[0])
