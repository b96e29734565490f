"""Keeping things in step."""

from amaranth.hdl import Signal


def delayed(m, value, clocks):
    """Return `value` so many clocks later."""
    if clocks < 0:
        raise ValueError(f"nothing can be {-clocks} clocks early")
    for _ in range(clocks):
        later = Signal(value.shape(), name="later")
        m.d.sync += later.eq(value)
        value = later
    return value
