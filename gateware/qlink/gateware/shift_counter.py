"""Counting by shift registers: two LUTs and no carry, however far."""

__all__ = ["ShiftCounter"]


class ShiftCounter:
    """A way to count from 0 to `most` by states of a shift register, which `count_of` tells apart.

    Where many count and few are read, it is smaller than adding.

    Attributes
    ----------
    bits : width of a state
    zero, one : the states that stand for 0 and 1; they differ in one bit
    """

    def __init__(self, most):
        self.bits, self._tap = _shortest(most + 1)
        self.zero = (1 << self.bits) - 1
        self.one = self.next(self.zero)

    def next(self, state):
        """Return the state, be it a signal or a number, after one event more."""
        return _shifted(state, self.bits, self._tap)

    def counts(self):
        """Return the count that each state stands for, by state. States that never come about have 0."""
        counts, state = [0] * (1 << self.bits), self.zero
        for count in range(_cycle(self.bits, self._tap)):
            counts[state] = count
            state = self.next(state)
        return counts


def _shortest(states):
    """Return bits and tap of the shortest register that has so many states before the first one comes again."""
    bits = 2
    while True:
        for tap in range(1, bits):
            if _cycle(bits, tap) >= states:
                return bits, tap
        bits += 1


def _shifted(state, bits, tap):
    feedback = (state >> (bits - 1) ^ state >> (tap - 1)) & 1
    return (state << 1 | feedback) & ((1 << bits) - 1)


def _cycle(bits, tap):
    zero = (1 << bits) - 1
    length, state = 1, _shifted(zero, bits, tap)
    while state != zero:
        length, state = length + 1, _shifted(state, bits, tap)
    return length
