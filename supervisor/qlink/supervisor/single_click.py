"""What a single-click link heralds, from its hardware's figures: fills `model.LinkModel.states` and `rate_hz`.

Both emitters are excited weakly, their light meets on a 50:50 beam splitter, and exactly one of two threshold detectors
clicks (Cabrillo et al., PRA 59, 1025 (1999); Humphreys et al., Nature 558, 268 (2018)).
"""

from dataclasses import dataclass
from math import sqrt

from .bell import BellDiagonal


@dataclass(frozen=True, slots=True)
class SingleClickLink:
    """Pairs of figures are for node A and node B."""

    bright: tuple[float, float]  # population of the state that emits, 0 to 1
    efficiency: tuple[float, float]  # chance that an emitted photon is detected
    visibility: float = 1.0  # of the two photons' interference, |overlap|^2
    dark: float = 0.0  # chance of a dark click, per detector and window

    def herald(self) -> tuple[BellDiagonal, float]:
        """The pair's state after the correction that the detector asks for, and the chance that an attempt heralds.

        In the order of `bell`: right (psi+), Y error, X error, Z error (psi-).
        """
        (bright_a, bright_b), (eta_a, eta_b) = self.bright, self.efficiency
        quiet = 1 - self.dark
        none = 2 * self.dark * quiet  # exactly one click without a photon
        one_a, one_b = eta_a * quiet + (1 - eta_a) * none, eta_b * quiet + (1 - eta_b) * none
        single = eta_a * (1 - eta_b) + eta_b * (1 - eta_a)
        bunched = eta_a * eta_b * (1 + self.visibility) / 2
        both = (single + bunched) * quiet + (1 - eta_a) * (1 - eta_b) * none
        odd = bright_a * (1 - bright_b) * one_a + (1 - bright_a) * bright_b * one_b
        even = bright_a * bright_b * both + (1 - bright_a) * (1 - bright_b) * none
        populations = sqrt(bright_a * (1 - bright_a) * bright_b * (1 - bright_b))
        coherence = populations * sqrt(eta_a * eta_b * self.visibility) * quiet
        chance = odd + even
        if chance <= 0:
            raise ValueError("this link never heralds: bright and efficiency are zero at both nodes")
        right, phase = (odd / 2 + coherence) / chance, (odd / 2 - coherence) / chance
        return (right, even / 2 / chance, even / 2 / chance, phase), chance
