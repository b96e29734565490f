"""A twin where a board's transport is expected, and something that makes edges on its pins."""

from collections.abc import Sequence

import numpy as np
from tests.hil.rig import Edge

from qlink.firmware_bridge.events import CLICK
from qlink.firmware_bridge.registers import TRIGGERS
from qlink.sim.actions import captured
from qlink.sim.twin import Twin

CLOCK_HZ = 200_000_000
SETTLE_CLOCKS = 400


class TwinPort:
    """A twin as a transport whose time passes while it is read, and as a stimulus."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._last: list[int] = []
        self._tick = 0
        self._triggers = 0  # their levels, as `triggers` saw them last
        self._early = b""  # came up while edges were made

    def read(self, size: int, timeout_s: float) -> bytes:
        if self._early:
            data, self._early = self._early[:size], self._early[size:]
            return data
        until = self._twin.now + max(1000, round(timeout_s * CLOCK_HZ))
        return self._twin.work(until, 10**6, size, until_answered=True)

    def now_s(self) -> float:
        return self._twin.now / CLOCK_HZ

    def write(self, data: bytes) -> None:
        self._twin.request(data)

    def close(self) -> None:
        """Nothing to give up."""

    def edges(self, edges: Sequence[Edge]) -> None:
        self.feed(edges)
        self._early += self._twin.run(self._last[-1] - self._twin.now + SETTLE_CLOCKS)

    def feed(self, edges: Sequence[Edge]) -> None:
        """Have these edges come, and let no time pass."""
        samples = self._twin.samples
        start = (self._twin.now + 100) * samples
        clicks = np.zeros(len(edges), CLICK)
        clicks["tick"] = [start + tick for tick, _ in edges]
        clicks["channel"] = [channel for _, channel in edges]
        self._tick = int(clicks["tick"][-1])
        self._last.append(self._tick // samples)
        self._twin.feed(clicks)

    def latencies(self) -> list[int]:
        last, self._last = self._last, []
        heralds = self._twin.pulses()
        heralds = heralds[heralds["pins"] != 0]
        return [int(pulse["clock"]) - edge for pulse, edge in zip(heralds, last, strict=True)]

    def actions(self) -> list[tuple[int, int, int]]:
        changes = captured(self._twin.pulses(), self._twin.samples)
        return [(tick - self._tick, output, level) for tick, output, level in changes]

    def triggers(self) -> list[tuple[int, int, int]]:
        changes = []
        for pulse in self._twin.pulses():
            before, self._triggers = self._triggers, int(pulse["triggers"])
            changed = [trigger for trigger in range(TRIGGERS) if (before ^ self._triggers) >> trigger & 1]
            since = int(pulse["clock"]) - self._tick // self._twin.samples
            changes += [(since, trigger, self._triggers >> trigger & 1) for trigger in changed if since > 0]
        return changes
