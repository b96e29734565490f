"""What the memories do to a stored pair: dephasing and depolarizing on both nodes."""

from .bell import BellDiagonal, decay, dephased, depolarized
from .model import FOREVER_NS, LinkModel

_CACHED_LIFETIMES = 1024


class AgeingState:
    """A Bell-diagonal state as it was at birth, in memories of a given quality; ages are ns since then.

    Dephasing by exp(-t/T2A - t/T2B) and depolarizing by exp(-t/tauA - t/tauB) make the fidelity
    1/4 + steady exp(-beta t) + coherent exp(-(alpha + beta) t): monotone for every state above one half.
    """

    __slots__ = (
        "_at_birth",
        "_coherent",
        "_fast",
        "_lifetimes",
        "_slow",
        "_steady",
        "_t2_uncertainty",
        "state",
        "width",
    )

    def __init__(self, state: BellDiagonal, width: float, link: LinkModel) -> None:
        self.state = state
        self.width = width  # half width of the interval around the fidelity at birth
        self._slow = _rate(link.depolarizing_s)
        self._fast = _rate(link.t2_s) + self._slow
        self._steady = (state[0] + state[3]) / 2 - 0.25
        self._coherent = (state[0] - state[3]) / 2
        self._t2_uncertainty = link.t2_uncertainty
        self._lifetimes: dict[float, int] = {}
        self._at_birth = self._estimate(0)

    def fidelity(self, age_ns: int) -> float:
        return 0.25 + self._steady * decay(self._slow * age_ns) + self._coherent * decay(self._fast * age_ns)

    def estimate(self, age_ns: int) -> tuple[float, float, float]:
        """The fidelity with the lower and upper end of its interval.

        What is not known of the birth fades with the state; what is not known of T2 grows with age.
        """
        return self._estimate(age_ns) if age_ns else self._at_birth

    def _estimate(self, age_ns: int) -> tuple[float, float, float]:
        slow, fast = self._slow * age_ns, self._fast * age_ns
        steady, coherence = self._steady * decay(slow) if slow else self._steady, decay(fast)
        coherent = self._coherent * coherence
        middle = 0.25 + steady + coherent
        half = self.width * coherence + self._t2_uncertainty * abs(fast * coherent + slow * steady)
        return middle, max(0.0, middle - half), min(1.0, middle + half)

    def lifetime(self, fidelity: float) -> int:
        """The greatest age at which the state still has `fidelity`: -FOREVER_NS if never, FOREVER_NS if always."""
        known = self._lifetimes.get(fidelity)
        if known is None:
            if len(self._lifetimes) >= _CACHED_LIFETIMES:
                self._lifetimes.clear()
            known = self._lifetimes[fidelity] = self._solve(fidelity)
        return known

    def _solve(self, fidelity: float) -> int:
        if self.fidelity(0) < fidelity:
            return -FOREVER_NS
        low, high = 0, 1024
        while self.fidelity(high) >= fidelity:
            low, high = high, high * 4
            if high > FOREVER_NS:
                return FOREVER_NS
        while high - low > 1:
            middle = (low + high) // 2
            if self.fidelity(middle) >= fidelity:
                low = middle
            else:
                high = middle
        return low

    def aged(self, age_ns: int) -> BellDiagonal:
        """The whole state at that age."""
        slow = decay(self._slow * age_ns)
        coherence = decay((self._fast - self._slow) * age_ns)
        return depolarized(dephased(self.state, coherence), slow)


def _rate(times_s: tuple[float, float]) -> float:
    """Decay per ns of both nodes together."""
    return (1 / times_s[0] + 1 / times_s[1]) * 1e-9
