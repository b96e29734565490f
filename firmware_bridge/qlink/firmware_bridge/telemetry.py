"""What should have come from the board, what came, what is lost: "nothing happened" or "I missed it"."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .counters import Counters
from .decoder import Stats, count_clicks
from .events import Batch
from .wire import GROUP_SIZE, MAX_CHANNELS, TIMES_LOST, CounterGroup, TimeSource, counter_index

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Completeness:
    """Of one kind of event, since `Board.start`."""

    expected: int
    received: int
    bracketed: int  # lost on the board, which said so

    @property
    def missing(self) -> int:
        """Lost without a word from the board: on the link. Negative while what was counted is still on its way."""
        return self.expected - self.received - self.bracketed

    @property
    def ratio(self) -> float:
        """Received of expected, 1.0 when nothing was expected (M9)."""
        return min(1.0, self.received / self.expected) if self.expected else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Telemetry:
    """A board's account of losses.

    Frames, heralds and TIME records are numbered, so theirs is up to now. Clicks are counted on the board: theirs is up
    to `clicks_until`, the tick of the newest counter snapshot of which all clicks have come; per channel in the arrays,
    shape (MAX_CHANNELS,), where `expected == received + lost` unless the link lost frames.
    """

    frames: Completeness
    heralds: Completeness
    times: Completeness  # of PPS and of 10 MHz records together
    clicks: Completeness
    clicks_until: int
    clicks_expected: Counts
    clicks_received: Counts
    clicks_lost: Counts
    clicks_discarded: int  # clicks that came but were dropped by the host, because nobody called `Board.events`
    decoder: Stats


@dataclass(frozen=True, slots=True, eq=False)
class _Clicks:
    """An account of clicks by channel, up to a tick."""

    until: int
    expected: Counts
    received: Counts
    lost: Counts


@dataclass(slots=True)
class _Times:
    """An account of one input's TIME records. Those lost after the last that came are known by their bracket only."""

    numbered: int = 0  # from the first to the last that came
    received: int = 0
    bracketed: int = 0
    last: int = 0

    def take(self, numbers: NDArray[np.uint32]) -> None:
        if len(numbers):
            before = self.last if self.received else int(numbers[0]) - 1
            self.last = int(numbers[-1])
            self.numbered += (self.last - before) % 2**32
            self.received += len(numbers)

    @property
    def expected(self) -> int:
        return max(self.numbered, self.received + self.bracketed)


class Ledger:
    """Keeps a board's account from the batches and snapshots that come. Clicks have to come in the order of ticks.

    Ticks are compared modulo 2**64: an account does not mind that they wrap. One of a timebase that has ended is void.
    """

    def __init__(self) -> None:
        self.clicks_discarded = 0
        self._frames = (0, 0)
        self.open(None, None)

    def open(self, base: Counters | None, stats: Stats | None, late: int = 0) -> None:
        """Begin a new account: what was counted up to the snapshot `base` is not in it.

        A click is counted `late` ticks after its own.
        """
        self._base = base
        self._late = late
        self._until = (base.tick - late) % 2**64 if base else 0
        self._received = np.zeros(MAX_CHANNELS, np.uint64)  # since base, up to _until
        self._later = np.zeros(MAX_CHANNELS, np.uint64)  # after _until
        self._snapshot: Counters | None = None
        self._newest: Counters | None = None
        self._account = _Clicks(self._until, *np.zeros((3, MAX_CHANNELS), np.int64))
        self._first_herald = self._last_herald = self._heralds = self._heralds_lost = self._heralds_decided = 0
        self._times = {source: _Times() for source in TimeSource}
        self._frames = (stats.frames, stats.frames_missing) if stats else (0, 0)

    def take(self, batch: Batch, snapshots: Sequence[Counters], begun: int) -> None:
        """Account for a batch, the snapshots that became whole with it, and the tick of the one begun last."""
        if len(batch.heralds):
            self._take_heralds(batch.heralds)
        if len(batch.losses):
            groups = batch.losses["source"] // GROUP_SIZE
            self._heralds_lost += int(batch.losses["count"][groups == CounterGroup.HERALDS_LOST].sum())
        for source, times in self._times.items():
            times.take(batch.times["number"][batch.times["source"] == source])
            index = counter_index(CounterGroup.GLOBAL, TIMES_LOST[source])
            times.bracketed += int(batch.losses["count"][batch.losses["source"] == index].sum())
        clicks = batch.clicks
        for snapshot in snapshots:
            counted = self._counted(snapshot.tick)
            self._begin(counted)
            early = int(np.searchsorted(_since(clicks["tick"], counted), 0, side="right"))
            self._take_clicks(clicks[:early])
            self._close(snapshot)
            clicks = clicks[early:]
        self._begin(self._counted(begun))
        self._take_clicks(clicks)

    def _counted(self, tick: int) -> int:
        """The tick of the clicks that are counted at `tick`."""
        return (tick - self._late) % 2**64

    def _begin(self, tick: int) -> None:
        """A snapshot of `tick` has begun to come: clicks up to there belong to its account."""
        if 0 < (tick - self._until) % 2**64 < 2**63:
            self._settle()
            self._received += self._later
            self._later[:] = 0
            self._until = tick
            self._snapshot = None

    def _close(self, counters: Counters) -> None:
        """The snapshot is whole."""
        self._newest = counters
        if self._counted(counters.tick) == self._until:
            self._snapshot = counters

    def settle(self) -> bool:
        """Take the newest snapshot for final; whether all its clicks and heralds have come or are known to be lost.

        For a board at rest, where nothing of the snapshot is still on its way.
        """
        self._settle()
        account = self._account
        if self._base is not None and self._newest is not None:
            self._heralds_decided = int((self._newest.heralds - self._base.heralds).sum())
        heralds = self._heralds_decided <= self._heralds + self._heralds_lost
        return heralds and bool((account.expected <= account.received + account.lost).all())

    def telemetry(self, stats: Stats) -> Telemetry:
        account = self._account
        frames = stats.frames - self._frames[0]
        sums = (int(array.sum()) for array in (account.expected, account.received, account.lost))
        names, inputs = ("expected", "received", "bracketed"), self._times.values()
        times = (sum(getattr(of_input, name) for of_input in inputs) for name in names)
        expected = self._last_herald - self._first_herald + 1 if self._heralds else 0
        return Telemetry(
            frames=Completeness(frames + stats.frames_missing - self._frames[1], frames, 0),
            heralds=Completeness(
                max(expected, self._heralds, self._heralds_decided), self._heralds, self._heralds_lost
            ),
            times=Completeness(*times),
            clicks=Completeness(*sums),
            clicks_until=account.until,
            clicks_expected=account.expected,
            clicks_received=account.received,
            clicks_lost=account.lost,
            clicks_discarded=self.clicks_discarded,
            decoder=stats,
        )

    def _take_heralds(self, heralds: NDArray[np.void]) -> None:
        if not self._heralds:
            self._first_herald = int(heralds["sequence"][0])
        self._last_herald = int(heralds["sequence"][-1])
        self._heralds += len(heralds)

    def _take_clicks(self, clicks: NDArray[np.void]) -> None:
        if self._base is not None and len(clicks):
            clicks = clicks[np.searchsorted(_since(clicks["tick"], self._counted(self._base.tick)), 0, side="right") :]
        count_clicks(clicks, self._until, self._received, self._later)
        if self._later.any():
            self._settle()

    def _settle(self) -> None:
        if self._snapshot is None or self._base is None:
            return
        now, base = self._snapshot, self._base
        expected = (now.clicks - base.clicks) - (now.clicks_filtered - base.clicks_filtered)
        self._account = _Clicks(
            self._counted(now.tick),
            _padded(expected),
            self._received.astype(np.int64),
            _padded(now.clicks_lost - base.clicks_lost),
        )


def _since(ticks: NDArray[np.uint64], tick: int) -> NDArray[np.int64]:
    """Ticks after `tick`, negative before it."""
    return (ticks - np.uint64(tick)).view(np.int64)


def _padded(counts: NDArray[np.uint64]) -> Counts:
    return np.pad(counts.astype(np.int64), (0, MAX_CHANNELS - len(counts)))
