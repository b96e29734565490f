"""How often, and how well, two clicks or one at a midpoint herald entanglement. Closed forms, from first principles.

Two nodes send a photon each to a 50:50 beam splitter with a threshold detector behind each output. `eta_a` and
`eta_b` are the probabilities that an emitted photon is detected, `visibility` the overlap of the photons' wave packets
(squared), and `dark` the probability of a dark count per detector and window. A herald is a click of exactly one of the
two detectors.
"""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class Heralding:
    """Probability per attempt, and fidelity to the Bell state that is announced."""

    probability: float
    fidelity: float


@dataclass(frozen=True, slots=True)
class Arms:
    """The optics from both nodes to the detectors."""

    eta_a: float
    eta_b: float
    visibility: float = 1.0
    dark: float = 0.0

    @property
    def only_dark(self) -> float:
        """Exactly one detector clicks when no photon comes."""
        return 2 * self.dark * (1 - self.dark)

    def one_photon(self, eta: float) -> float:
        """Exactly one detector clicks when one node sent."""
        return eta * (1 - self.dark) + (1 - eta) * self.only_dark

    def two_photons(self) -> float:
        """Exactly one detector clicks when both nodes sent; photons that are alike leave together."""
        a, b = self.eta_a, self.eta_b
        on_one_side = a * (1 - b) + b * (1 - a) + a * b * (1 + self.visibility) / 2
        return on_one_side * (1 - self.dark) + (1 - a) * (1 - b) * self.only_dark


def single_click(alpha_a: float, alpha_b: float, arms: Arms) -> Heralding:
    """One photon heralds; a node sends one with probability `alpha_a`, `alpha_b`. Humphreys et al., Nature 558, 268."""
    both = alpha_a * alpha_b * arms.two_photons()
    only_a = alpha_a * (1 - alpha_b) * arms.one_photon(arms.eta_a)
    only_b = alpha_b * (1 - alpha_a) * arms.one_photon(arms.eta_b)
    none = (1 - alpha_a) * (1 - alpha_b) * arms.only_dark
    coherence = sqrt(alpha_a * (1 - alpha_a) * alpha_b * (1 - alpha_b) * arms.eta_a * arms.eta_b * arms.visibility)
    probability = both + only_a + only_b + none
    return _heralding(probability, only_a + only_b + 2 * coherence * (1 - arms.dark))


def double_click(arms: Arms) -> Heralding:
    """One click in each of two rounds, spins flipped between. Barrett and Kok, PRA 71, 060310."""
    opposite = arms.one_photon(arms.eta_a) * arms.one_photon(arms.eta_b) / 2
    alike = arms.two_photons() * arms.only_dark / 2
    coherence = arms.visibility * arms.eta_a * arms.eta_b * (1 - arms.dark) ** 2 / 4
    return _heralding(opposite + alike, opposite + 2 * coherence)


def _heralding(probability: float, twice_good: float) -> Heralding:
    return Heralding(probability, twice_good / (2 * probability) if probability else 0.0)
