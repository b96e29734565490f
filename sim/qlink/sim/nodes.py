"""Simulated node controllers: the memories, and what the nodes do when told to.

A controller never decides; it carries out commands and says how they went. It keeps no pairs either: which memory holds
what is the supervisor's to know.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import exp

import numpy as np

Sleep = Callable[[float], Awaitable[None]]
Bell = tuple[float, float, float, float]  # weights of phi+, psi-, psi+, phi-


@dataclass(frozen=True, slots=True)
class Memory:
    """A qubit memory. `t1_s`: decay of the energy, `t2_s` (at most twice that): of the coherence."""

    t1_s: float = 3600.0
    t2_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.t2_s <= 2 * self.t1_s:
            raise ValueError(f"t2_s has to be above 0 and at most 2 * t1_s = {2 * self.t1_s}, not {self.t2_s}")

    def aged(self, bell: Bell, seconds: float) -> Bell:
        """Return the weights of a pair of which both qubits lay `seconds` in memories like this one.

        The decay is twirled (its end is the mixed state, not the ground state), so that the state stays Bell-diagonal.
        """
        bit, phase = exp(-2 * seconds / self.t1_s), exp(-2 * seconds / self.t2_s)
        phi_plus, psi_minus, psi_plus, phi_minus = bell
        zz = bit * (phi_plus + phi_minus - psi_plus - psi_minus)
        xx = phase * (phi_plus + psi_plus - phi_minus - psi_minus)
        yy = phase * (psi_plus + phi_minus - phi_plus - psi_minus)
        return (
            (1 + xx - yy + zz) / 4,
            (1 - xx - yy - zz) / 4,
            (1 + xx + yy - zz) / 4,
            (1 - xx + yy + zz) / 4,
        )


class Nodes:
    """The controllers of both nodes of a link. Success is drawn from the generator passed in."""

    def __init__(self, rng: np.random.Generator, gate_s: float = 500e-6, sleep: Sleep = asyncio.sleep) -> None:
        self._rng, self._gate_s, self._sleep = rng, gate_s, sleep
        self._busy = asyncio.Lock()
        self.purified = 0
        self.failed = 0

    async def purify(self, keep: int, spend: int, success_probability: float) -> bool:
        """Purify pair `keep` by measuring pair `spend`; return whether both nodes saw the same.

        Takes `gate_s`; the nodes do one after the other. After a failure neither pair is worth anything.
        """
        if keep == spend:
            raise ValueError(f"pair {keep} cannot be spent to purify itself")
        if not 0 <= success_probability <= 1:
            raise ValueError(f"success_probability has to be 0 to 1, not {success_probability}")
        async with self._busy:
            await self._sleep(self._gate_s)
            agreed = bool(self._rng.random() < success_probability)
        self.purified += agreed
        self.failed += not agreed
        return agreed
