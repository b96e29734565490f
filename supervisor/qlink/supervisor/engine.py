"""The loop around the core: decide on what has come in, commit it, and only then make it known."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .core import Core
from .effects import Effect, Purify
from .events import Event, Purified, Ticked
from .journal import Journal
from .link_clock import Clock
from .model import FOREVER_NS
from .settings import Pace

log = logging.getLogger(__name__)

Decided = Sequence[tuple[Event, list[Effect]]]
Answer = Callable[[list[Effect]], None]
NS_PER_S = 1_000_000_000


class NodeController(Protocol):
    """Both nodes of the link. They do what they are told and say how it went; they decide nothing."""

    async def purify(self, keep: int, spend: int, success_probability: float) -> bool:
        """Purify pair `keep` by measuring pair `spend`; whether both nodes saw the same."""
        ...


class Outlet(Protocol):
    """Where decisions go once they are durable. Called in the loop, in the journal's order; must not wait."""

    def decided(self, first: int, batch: Decided, committed_s: float) -> None:
        """`first`: the journal's number of the batch's first event; `committed_s`: how long the commit took."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """An event on its way to the core, and who waits for the answer."""

    event: Event
    answer: Answer | None = None


class Engine:
    """Group commit: what has come in while the last batch was committed is the next batch.

    An exception in `run` leaves nothing half done: what was not committed was not made known, and a new start recovers
    all that was.
    """

    def __init__(
        self, core: Core, journal: Journal, nodes: NodeController | None, outlet: Outlet, clock: Clock, pace: Pace
    ) -> None:
        self._core = core
        self._journal = journal
        self._nodes = nodes
        self._outlet = outlet
        self._clock = clock
        self._pace = pace
        self._waiting: list[Told] = []
        self._wake = asyncio.Event()
        self._ending = False
        self._missed_nodes = False
        self._timer: asyncio.TimerHandle | None = None
        self._rounds: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """More is waiting than may: requests have to be turned away."""
        return len(self._waiting) >= self._pace.max_waiting

    def tell(self, event: Event, answer: Answer | None = None) -> None:
        """Hand in an event; `answer` is called with what it led to, once that is durable."""
        self._waiting.append(Told(event, answer))
        self._wake.set()

    def stop(self) -> None:
        """Decide on what is waiting, then end `run`."""
        self._ending = True
        self._wake.set()

    async def run(self) -> None:
        try:
            self._watch_the_time()
            while not self._ending or self._waiting:
                await self._wake.wait()
                self._turn()
                self._watch_the_time()
                await asyncio.sleep(0)  # let the sockets have their turn between two batches
        finally:
            self._close()

    def _turn(self) -> None:
        """Decide on one batch."""
        batch, self._waiting = self._waiting[: self._pace.max_batch], self._waiting[self._pace.max_batch :]
        if not self._waiting and not self._ending:
            self._wake.clear()
        if not batch:
            return
        step = self._core.step
        decided = [(told.event, step(told.event)) for told in batch]
        begun = asyncio.get_running_loop().time()
        first = self._journal.append(decided)
        self._outlet.decided(first, decided, asyncio.get_running_loop().time() - begun)
        for told, (_, effects) in zip(batch, decided, strict=True):
            if told.answer is not None:
                told.answer(effects)
            for effect in effects:
                if isinstance(effect, Purify):
                    self._purify(effect)

    def _watch_the_time(self) -> None:
        """See to it that the core hears of the time when something falls due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ns = self._core.next_deadline_ns
        if due_ns < FOREVER_NS and not self._ending:
            delay_s = max((due_ns - self._clock()) / NS_PER_S, self._pace.min_tick_s)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.tell(Ticked(self._clock()))

    def _purify(self, command: Purify) -> None:
        if self._nodes is None:
            if not self._missed_nodes:
                log.warning("there are no nodes to purify pairs: switch purification off in the settings")
            self._missed_nodes = True
            return  # the core takes no answer for a failure
        task = asyncio.get_running_loop().create_task(self._round(self._nodes, command))
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)

    async def _round(self, nodes: NodeController, command: Purify) -> None:
        try:
            success = await nodes.purify(command.keep, command.spend, command.success_probability)
        except Exception:
            log.exception("the nodes could not purify pair %d: it counts as failed", command.keep)
            success = False
        self.tell(Purified(self._clock(), command.keep, command.spend, success))

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._rounds:
            task.cancel()
