"""What a board's batches mean to the core: events with a time, and an account of what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from qlink.firmware_bridge.events import Batch
from qlink.firmware_bridge.wire import GROUP_SIZE, CounterGroup, GlobalCounter, counter_index

from .events import BoardStarted, Event, Heralded, TelemetryLost, Ticked
from .link_clock import TickClock, TimeSource

ATTEMPTS = counter_index(CounterGroup.GLOBAL, GlobalCounter.ATTEMPTS)
CLICK_LOSSES = CounterGroup.CLICKS_LOST
COLUMNS = ("tick", "sequence", "attempt", "pattern", "outcome", "flags")


@dataclass(slots=True)
class BoardAccount:
    """Turns batches of one connection into events for the core, and counts what came and what did not.

    Lost heralds are known by their sequence numbers, lost clicks by the board's brackets, lost frames by theirs.
    """

    clock: TickClock
    received: int = 0  # clicks and heralds
    lost: int = 0  # clicks and heralds known to be missing; a lost frame counts as one at least
    counters: dict[int, int] = field(default_factory=dict)  # newest values by index, see wire.CounterGroup
    _sequence: int = -1  # of the last herald; -1: none yet
    _attempts: int = 0

    def events(self, batch: Batch, arrival_ns: int) -> Iterator[Event]:
        """What the core has to hear of a batch that came in at `arrival_ns`, in order."""
        newest = [int(a["tick"][-1]) for a in (batch.clicks, batch.heralds, batch.counters) if len(a)]
        if newest:
            self.clock.observe(max(newest), arrival_ns)
        self.received += len(batch.clicks) + len(batch.heralds)
        if len(batch.gaps):
            yield from self._lost(arrival_ns, "frame", int(batch.gaps["frames"].sum()))
        if len(batch.losses):
            clicks = batch.losses[batch.losses["source"] // GROUP_SIZE == CLICK_LOSSES]
            yield from self._lost(arrival_ns, "click", int(clicks["count"].sum()))
        if len(batch.heralds):
            yield from self._heralds(batch, arrival_ns)
        if len(batch.counters):
            yield from self._counters(batch, arrival_ns)

    def _heralds(self, batch: Batch, arrival_ns: int) -> Iterator[Event]:
        columns = (batch.heralds[name].tolist() for name in COLUMNS)
        for tick, sequence, attempt, pattern, outcome, flags in zip(*columns, strict=True):
            if self._sequence >= 0 and sequence > self._sequence + 1:
                yield from self._lost(arrival_ns, "herald", sequence - self._sequence - 1)
            elif sequence <= self._sequence:
                self.clock = self.clock.restarted(tick, arrival_ns)
                yield BoardStarted(arrival_ns)
            self._sequence = sequence
            yield Heralded(self.clock.time_ns(tick), sequence, attempt, tick, pattern, outcome, flags)

    def _counters(self, batch: Batch, arrival_ns: int) -> Iterator[Event]:
        self.counters.update(zip(batch.counters["index"].tolist(), batch.counters["value"].tolist(), strict=True))
        attempts = self.counters.get(ATTEMPTS, 0)
        if attempts != self._attempts:
            yield Ticked(arrival_ns, max(attempts - self._attempts, 0))
            self._attempts = attempts

    def _lost(self, time_ns: int, kind: str, count: int) -> Iterator[Event]:
        if count:
            self.lost += count
            yield TelemetryLost(time_ns, kind, count)


def account(tick_fs: int, source: TimeSource) -> BoardAccount:
    """A new account, for a board that has just been started."""
    return BoardAccount(TickClock(tick_fs, source))
