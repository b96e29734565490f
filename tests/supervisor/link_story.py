"""A seeded stream of events such as a link sees, for the journal's tests and the process that they kill."""

import random
from collections.abc import Iterator

from qlink.supervisor.effects import Allocated, Effect, Purify
from qlink.supervisor.events import (
    BoardStarted,
    Cancelled,
    Confirmed,
    Event,
    Heralded,
    Purified,
    Request,
    Requested,
    Ticked,
)
from qlink.supervisor.model import LinkModel, Settings, Tenant

MS = 1_000_000
SETTINGS = Settings(
    link=LinkModel(states=((0.92, 0.01, 0.02, 0.05), (0.75, 0.02, 0.03, 0.20)) * 2, t2_s=(0.1, 0.2), memory_slots=12),
    tenants={"ann": Tenant(weight=2.0)},
)


class LinkStory:
    """Events that depend on the seed and on the effects so far, as applications and nodes depend on them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._now_ns = 0
        self._heralds = 0
        self._requests = 0
        self._answers: list[Event] = []

    def next(self) -> Event:
        draw = self._random
        self._now_ns += draw.randrange(400_000)
        if self._answers and draw.random() < 0.5:
            return self._answers.pop(draw.randrange(len(self._answers)))
        kind = draw.random()
        if kind < 0.6:
            self._heralds += 1
            outcome, flags = draw.randrange(4), draw.choice((0, 0, 0, 2, 4, 8))
            number = self._heralds
            return Heralded(
                self._now_ns - draw.randrange(1 + self._now_ns % 500), number, number, number, 0, outcome, flags
            )
        if kind < 0.85:
            self._requests += 1
            return Requested(self._now_ns, self._wish())
        if kind < 0.9 and self._requests:
            return Cancelled(self._now_ns, draw.choice(("ann", "bob")), draw.randrange(1, self._requests + 1))
        if kind < 0.91:
            self._heralds = 0
            return BoardStarted(self._now_ns)
        return Ticked(self._now_ns, draw.randrange(1000))

    def hear(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Allocated) and self._random.random() < 0.8:
                self._answers.append(Confirmed(self._now_ns, effect.tenant, effect.pair, consumed=True))
            elif isinstance(effect, Purify):
                self._answers.append(Purified(self._now_ns, effect.keep, effect.spend, self._random.random() < 0.7))

    def _wish(self) -> Request:
        draw = self._random
        return Request(
            key=f"k{draw.randrange(1, self._requests + 1)}",  # some keys come twice
            tenant=draw.choice(("ann", "bob")),
            number=draw.randrange(1, 4),
            min_fidelity=draw.choice((0.55, 0.7, 0.8, 0.9)),
            max_time_ns=draw.randrange(1, 60) * MS,
            priority=draw.randrange(3),
            atomic=draw.random() < 0.2,
            measure_directly=draw.random() < 0.3,
        )


def batches(seed: int, sizes: tuple[int, ...] = (1, 2, 5, 9)) -> Iterator[int]:
    """Endless batch sizes."""
    draw = random.Random(seed)
    while True:
        yield draw.choice(sizes)
