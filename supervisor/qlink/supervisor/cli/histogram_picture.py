"""A histogram as an SVG file."""

import numpy as np

from qlink.firmware_bridge.histogram import Histogram

WIDTH, HEIGHT = 900, 360  # of the plot
LEFT, TOP, RIGHT, BOTTOM = 80, 40, 20, 60
MARKS = 5  # of each axis


def drawn(counted: Histogram, tick_ps: float) -> str:
    """Return the picture: counts over delay in ns, every bin of its own."""
    settings, highest = counted.settings, max(int(counted.counts.max()), 1)
    edges_ns = np.append(counted.delays, counted.delays[-1] + settings.width) * tick_ps / 1000
    x = LEFT + WIDTH * np.linspace(0, 1, len(edges_ns))
    y = TOP + HEIGHT * (1 - counted.counts / highest)
    steps = " ".join(f"H{right:.2f}V{level:.2f}" for level, right in zip([*y[1:], TOP + HEIGHT], x[1:], strict=True))
    title = f"channel {settings.stop} after channel {settings.start}: {counted.starts:,} and {counted.stops:,} clicks"
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{TOP + HEIGHT + BOTTOM}" '
            'font-family="sans-serif" font-size="13">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="{LEFT}" y="24" font-size="15">{title}</text>',
            f'<path d="M{LEFT} {TOP + HEIGHT}V{y[0]:.2f}{steps}" fill="#9db8d9" stroke="#1f4e89"/>',
            *_marks(edges_ns, highest),
            f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 48}" text-anchor="middle">delay in ns</text>',
            "</svg>\n",
        )
    )


def _marks(edges_ns: np.ndarray, highest: int) -> list[str]:
    lines = []
    for share in np.linspace(0, 1, MARKS):
        x, y = LEFT + WIDTH * share, TOP + HEIGHT * (1 - share)
        delay_ns = edges_ns[0] + share * (edges_ns[-1] - edges_ns[0])
        lines += [
            f'<text x="{x}" y="{TOP + HEIGHT + 22}" text-anchor="middle">{delay_ns:.6g}</text>',
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{highest * share:.6g}</text>',
            f'<path d="M{LEFT} {y}H{LEFT + WIDTH}" stroke="black" stroke-opacity="0.15"/>',
        ]
    return lines
