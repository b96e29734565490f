"""Bell-diagonal states, and what local operations make of them.

A state is its four weights in the order of Deutsch et al., PRL 77, 2818 (1996): phi+, psi-, psi+, phi-. Seen from the
target outcome after its Pauli correction they are: right, Y error, X error, Z error. Every function is pure arithmetic:
IEEE 754 gives the same bits on every machine, which the C library's `exp` does not promise.
"""

from decimal import Decimal, localcontext

BellDiagonal = tuple[float, float, float, float]

MIXED: BellDiagonal = (0.25, 0.25, 0.25, 0.25)

_STEPS = 32  # table entries per unit
_REACH = 32  # beyond it decay is zero


def _table() -> tuple[float, ...]:
    with localcontext(prec=40):  # decimal's exp is correctly rounded everywhere
        return tuple(float((-Decimal(step) / _STEPS).exp()) for step in range(_STEPS * _REACH))


_DECAY = _table()


def decay(x: float) -> float:
    """Return exp(-x) for x >= 0, to 2e-14 and bit for bit the same on every machine."""
    if x >= _REACH:
        return 0.0
    step = int(x * _STEPS)
    r = x - step / _STEPS
    series = 1.0 - r * (1.0 - r * (0.5 - r * (1 / 6 - r * (1 / 24 - r * (1 / 120 - r * (1 / 720))))))
    return _DECAY[step] * series


def fidelity(state: BellDiagonal, outcome: int = 0) -> float:
    """Overlap with the Bell state `outcome` (squared)."""
    return state[outcome]


def werner(fidelity: float) -> BellDiagonal:
    """The state of this fidelity whose errors are equally likely."""
    rest = (1 - fidelity) / 3
    return fidelity, rest, rest, rest


def dephased(state: BellDiagonal, coherence: float) -> BellDiagonal:
    """Turn the phase of one half with probability (1 - coherence) / 2: phi+ and phi-, psi+ and psi- mix."""
    a, b, c, d = state
    keep, flip = (1 + coherence) / 2, (1 - coherence) / 2
    return keep * a + flip * d, keep * b + flip * c, keep * c + flip * b, keep * d + flip * a


def depolarized(state: BellDiagonal, intact: float) -> BellDiagonal:
    """Replace by the maximally mixed state with probability 1 - intact."""
    a, b, c, d = state
    mixed = (1 - intact) / 4
    return intact * a + mixed, intact * b + mixed, intact * c + mixed, intact * d + mixed


def dejmps(first: BellDiagonal, second: BellDiagonal) -> tuple[BellDiagonal, float]:
    """One round of Deutsch et al. on two pairs: the kept pair's state if it succeeds, and the chance that it does.

    The circuit: Rx(+pi/2) on one side and Rx(-pi/2) on the other, bilateral CNOT, Z on the second pair, keep if equal.
    It cures X and Z errors and is blind to Y (psi-) of both pairs.
    """
    a1, b1, c1, d1 = first
    a2, b2, c2, d2 = second
    success = (a1 + b1) * (a2 + b2) + (c1 + d1) * (c2 + d2)
    if success <= 0:
        return MIXED, 0.0
    state = (
        (a1 * a2 + b1 * b2) / success,
        (c1 * d2 + d1 * c2) / success,
        (c1 * c2 + d1 * d2) / success,
        (a1 * b2 + b1 * a2) / success,
    )
    return state, success


def bbpssw(first: float, second: float) -> tuple[float, float]:
    """One round of Bennett et al., PRL 76, 722 (1996) on two Werner pairs: fidelity, and the chance of success."""
    e1, e2 = (1 - first) / 3, (1 - second) / 3
    success = first * second + first * e2 + e1 * second + 5 * e1 * e2
    return (first * second + e1 * e2) / success, success


def bilateral_cnot(first: BellDiagonal, second: BellDiagonal) -> tuple[BellDiagonal, float]:
    """Purify without rotation or twirl: cures X and Y errors, adds up the phase errors. For comparison only."""
    a1, b1, c1, d1 = first
    a2, b2, c2, d2 = second
    success = (a1 + d1) * (a2 + d2) + (b1 + c1) * (b2 + c2)
    if success <= 0:
        return MIXED, 0.0
    state = (
        (a1 * a2 + d1 * d2) / success,
        (b1 * c2 + c1 * b2) / success,
        (c1 * c2 + b1 * b2) / success,
        (a1 * d2 + d1 * a2) / success,
    )
    return state, success


def epl(odd: float, coherence: float, both_dark: float) -> tuple[float, float]:
    """Purify two single-click pairs by Campbell & Benjamin, PRL 101, 130502 (2008): fidelity to psi+, success.

    Each pair: weight `odd` of |01>,|10> with `coherence` between them, `both_dark` of |00>, the rest |11>; the unknown
    phase, alike in both, cancels.
    """
    both_bright = max(0.0, 1 - odd - both_dark)
    right = odd * odd / 2
    success = right + 2 * both_dark * both_bright
    if success <= 0:
        return 0.25, 0.0
    return right * (1 + coherence * coherence) / 2 / success, success


def swap(first: BellDiagonal, second: BellDiagonal) -> BellDiagonal:
    """Join two pairs by a perfect Bell measurement in the middle: their Pauli errors multiply."""
    a1, b1, c1, d1 = first
    a2, b2, c2, d2 = second
    return (
        a1 * a2 + b1 * b2 + c1 * c2 + d1 * d2,
        a1 * b2 + b1 * a2 + c1 * d2 + d1 * c2,
        a1 * c2 + c1 * a2 + b1 * d2 + d1 * b2,
        a1 * d2 + d1 * a2 + b1 * c2 + c1 * b2,
    )


def from_qber(x: float, y: float, z: float) -> float:
    """Fidelity to phi+ from error rates in the three bases (Dahlberg et al., SIGCOMM 2019)."""
    return 1 - (x + y + z) / 2
