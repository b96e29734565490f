"""An application of the demo: asks for pairs again and again over its own authenticated sockets, and uses them up."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

import numpy as np

from qlink.supervisor.client import Client, News, open_client
from qlink.supervisor.effects import Allocated, Completed, RequestExpired
from qlink.supervisor.errors import RequestRefused
from qlink.supervisor.messages import REQUEST_TOPIC, Create, request_topic

from .live_view import Tenant

NS_PER_S = 1_000_000_000
REMEMBERED = 1000  # pairs that the means are over


@dataclass(frozen=True, slots=True)
class Wish:
    """What an application asks for each time, and how long it thinks between two requests, on average."""

    tenant: str
    number: int
    min_fidelity: float
    max_time_s: float
    min_lifetime_s: float
    pause_s: float
    priority: int = 0

    def __str__(self) -> str:
        pairs = "1 pair" if self.number == 1 else f"{self.number} pairs"
        return f"{pairs}, F ≥ {self.min_fidelity:g}, within {1000 * self.max_time_s:.0f} ms"

    def create(self, key: str) -> Create:
        return Create(
            key=key,
            number=self.number,
            min_fidelity=self.min_fidelity,
            max_time_ns=round(self.max_time_s * NS_PER_S),
            min_lifetime_ns=round(self.min_lifetime_s * NS_PER_S),
            priority=self.priority,
        )


@dataclass(slots=True)
class Experience:
    """How an application has fared."""

    wish: Wish
    requests: int = 0
    pairs: int = 0
    expired: int = 0
    refused: int = 0
    _fidelities: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _waits_ms: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def take(self, pair: Allocated) -> None:
        self.pairs += 1
        self._fidelities.append(pair.fidelity)
        self._waits_ms.append(pair.waited_ns / 1e6)

    def view(self) -> Tenant:
        return Tenant(
            name=self.wish.tenant,
            wish=str(self.wish),
            requests=self.requests,
            pairs=self.pairs,
            expired=self.expired,
            refused=self.refused,
            mean_fidelity=fmean(self._fidelities) if self._fidelities else None,
            median_wait_ms=median(self._waits_ms) if self._waits_ms else None,
        )


async def run_application(experience: Experience, home: Path, rng: np.random.Generator) -> None:
    """Ask, wait for the pairs, use them up, think, and begin anew, until cancelled."""
    wish = experience.wish
    async with open_client(home, wish.tenant) as client:
        story = client.subscribe(REQUEST_TOPIC, after={request_topic(wish.tenant): 0})
        try:
            while True:
                experience.requests += 1
                try:
                    await client.request(wish.create(f"{wish.tenant}-{experience.requests}"))
                except RequestRefused:
                    experience.refused += 1
                else:
                    await _served(client, story, experience)
                await asyncio.sleep(rng.exponential(wish.pause_s))
        finally:
            await story.aclose()


async def _served(client: Client, story: AsyncGenerator[News, None], experience: Experience) -> None:
    """Take the pairs of the request made last, until it is over."""
    async for news in story:
        match news.body:
            case Allocated() as pair:
                experience.take(pair)
                await client.confirm(pair.pair)
            case Completed():
                return
            case RequestExpired():
                experience.expired += 1
                return
