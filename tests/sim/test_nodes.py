import json
import os
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from qlink.sim.nodes import Bell, Memory, Nodes

VECTORS = (
    Path(os.environ.get("QLINK_DATA", Path(__file__).parents[2] / "../shared/data")).parent / "vectors/formulas.json"
)
PHI_PLUS: Bell = (1.0, 0.0, 0.0, 0.0)


async def at_once(_: float) -> None:
    pass


async def test_purification_succeeds_as_often_as_it_should() -> None:
    nodes = Nodes(np.random.default_rng(5), sleep=at_once)
    done = [await nodes.purify(1, 2, 0.7) for _ in range(4000)]
    assert abs(sum(done) - 2800) < 4 * sqrt(4000 * 0.7 * 0.3)
    assert (nodes.purified, nodes.failed) == (sum(done), 4000 - sum(done))


async def test_certain_and_impossible_purifications() -> None:
    nodes = Nodes(np.random.default_rng(5), sleep=at_once)
    assert all([await nodes.purify(1, 2, 1.0) for _ in range(100)])
    assert not any([await nodes.purify(1, 2, 0.0) for _ in range(100)])


async def test_purification_takes_its_time() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await Nodes(np.random.default_rng(5), gate_s=0.002, sleep=sleep).purify(1, 2, 0.5)
    assert slept == [0.002]


@pytest.mark.parametrize(("keep", "spend", "probability"), [(1, 1, 0.5), (1, 2, 1.5), (1, 2, -0.1)])
async def test_refuses_what_makes_no_sense(keep: int, spend: int, probability: float) -> None:
    with pytest.raises(ValueError, match=r"pair 1 cannot|success_probability has to be"):
        await Nodes(np.random.default_rng(5)).purify(keep, spend, probability)


def test_a_memory_dephases_as_the_formula_says() -> None:
    if not VECTORS.exists():
        pytest.skip(f"no {VECTORS}: set QLINK_DATA to the folder beside it")
    for vector in json.loads(VECTORS.read_text())["vectors"]:
        inputs = vector["inputs"]
        if vector["kind"] == "memory_dephasing" and inputs["T2A_s"] == inputs["T2B_s"]:
            rest = (1 - inputs["F0"]) / 3
            memory = Memory(t1_s=1e12, t2_s=inputs["T2A_s"])
            aged = memory.aged((inputs["F0"], rest, rest, rest), inputs["t_s"])
            assert aged == pytest.approx(tuple(vector["outputs"]["bell_diag"].values()))


def test_a_memory_ends_in_the_mixed_state() -> None:
    assert Memory(t1_s=1.0, t2_s=1.0).aged(PHI_PLUS, 1000.0) == pytest.approx((0.25,) * 4)
    assert Memory().aged(PHI_PLUS, 0.0) == pytest.approx(PHI_PLUS)


def test_coherence_lives_at_most_twice_as_long_as_the_energy() -> None:
    with pytest.raises(ValueError, match="t2_s has to be"):
        Memory(t1_s=1.0, t2_s=2.1)
