"""Whose turn it is: priority classes, weighted fair shares inside a class, earliest deadline first inside a tenant.

Fair shares are virtual times: a tenant's advances by 1/weight with each pair, and who is furthest behind is next. A
tenant that comes back from idleness starts at the class's virtual time: it has saved nothing up.
"""

from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace

from .model import PRIORITIES, Tenant
from .pairs import Pair
from .purification import Goal, Quality
from .requests import WaitingRequest

_GLANCE = 16  # requests of one quality that a glance at what is missing counts

SHARE = 1 << 40  # virtual time of one pair at weight 1: integers, so that nothing rounds differently anywhere

Entry = tuple[int, int, WaitingRequest]  # deadline, create id
ClassTimes = tuple[int, int, list[tuple[str, int]]]  # priority, its virtual time, each tenant's


@dataclass(frozen=True, slots=True)
class Missing:
    """Pairs that are asked for and not given yet."""

    higher: int  # in higher classes
    same_tenant: int  # in this class, this tenant's
    same_class: int  # in this class, everyone's
    share: float  # of this tenant among those who wait in this class
    tenant: int  # this tenant's, in all classes


def share(tenant: Tenant) -> int:
    """Virtual time that one pair costs this tenant."""
    return max(1, int(SHARE / tenant.weight))


class Lane:
    """One tenant's requests in one priority class: an earliest-deadline heap for each quality asked."""

    __slots__ = ("cost", "missing", "queues", "tenant", "virtual", "waiting")

    def __init__(self, tenant: str, cost: int) -> None:
        self.tenant = tenant
        self.cost = cost
        self.virtual = 0
        self.waiting = 0  # requests
        self.missing = 0  # pairs
        self.queues: dict[Quality, list[Entry]] = {}

    def add(self, request: WaitingRequest) -> None:
        wish = request.wish
        queue = self.queues.setdefault((wish.min_fidelity, wish.min_lifetime_ns), [])
        heappush(queue, (request.deadline_ns, request.create_id, request))
        self.waiting += 1
        self.missing += wish.number - request.given

    def head(self, key: Quality) -> Entry | None:
        """The open request of this quality with the earliest deadline."""
        queue = self.queues[key]
        while queue and queue[0][2].closed:
            heappop(queue)
        return queue[0] if queue else None

    def pick(self, pair: Pair, now_ns: int) -> WaitingRequest | None:
        """The request with the earliest deadline that `pair` serves."""
        best: Entry | None = None
        spent: Quality | None = None
        for key in self.queues:
            if pair.serves(key[0], key[1], now_ns):
                entry = self.head(key)
                if entry is None:
                    spent = key
                elif best is None or entry < best:
                    best = entry
        if spent is not None:
            del self.queues[spent]
        return best[2] if best else None


class PriorityClass:
    """The lanes of one priority, and whose turn it is."""

    def __init__(self, priority: int, cost: Callable[[str], int]) -> None:
        self.priority = priority
        self._cost = cost
        self.virtual = 0  # of who was served last
        self.lanes: dict[str, Lane] = {}
        self.order: list[tuple[int, str]] = []  # heap of lanes with requests; entries that no longer fit are skipped
        self.waiting = 0  # requests
        self.missing = 0  # pairs

    def lane(self, tenant: str) -> Lane:
        known = self.lanes.get(tenant)
        if known is None:
            known = self.lanes[tenant] = Lane(tenant, self._cost(tenant))
        return known

    def add(self, request: WaitingRequest) -> None:
        lane = self.lane(request.wish.tenant)
        if lane.waiting == 0:
            lane.virtual = max(lane.virtual, self.virtual)
            self._queue_up(lane)
        lane.add(request)
        self.waiting += 1
        self.missing += request.wish.number - request.given

    def close(self, request: WaitingRequest) -> None:
        missing = request.wish.number - request.given
        lane = self.lanes[request.wish.tenant]
        lane.missing -= missing
        self.missing -= missing
        lane.waiting -= 1
        self.waiting -= 1
        if lane.waiting == 0:
            lane.queues.clear()

    def pick(self, pair: Pair, now_ns: int) -> WaitingRequest | None:
        order = self.order
        passed: list[tuple[int, str]] = []
        found = None
        while order and found is None:
            virtual, tenant = order[0]
            lane = self.lanes[tenant]
            if lane.waiting == 0 or lane.virtual != virtual:
                heappop(order)
                continue
            found = lane.pick(pair, now_ns)
            if found is None:
                passed.append(heappop(order))
        for entry in passed:
            heappush(order, entry)
        return found

    def charge(self, tenant: str) -> None:
        """One pair has gone to `tenant`."""
        lane = self.lanes[tenant]
        if lane.virtual > self.virtual:
            self.virtual = lane.virtual
        before = (lane.virtual, tenant)
        lane.virtual += lane.cost
        lane.missing -= 1
        self.missing -= 1
        if self.order and self.order[0] == before:
            heapreplace(self.order, (lane.virtual, tenant))
        elif lane.waiting:
            self._queue_up(lane)

    def goals(self) -> Iterator[tuple[Goal, int]]:
        """What is missing of each quality, and by when the first of it is due, in order of turn."""
        busy = [lane for lane in self.lanes.values() if lane.waiting]
        for lane in sorted(busy, key=lambda lane: (lane.virtual, lane.tenant)):
            for key in list(lane.queues):
                if entry := lane.head(key):
                    waiting = (other[2] for other in lane.queues[key][:_GLANCE])
                    missing = sum(request.missing for request in waiting if not request.closed)
                    yield Goal(key, entry[0]), missing

    def requeue(self) -> None:
        """Build the order anew."""
        self.order = [(lane.virtual, lane.tenant) for lane in self.lanes.values() if lane.waiting]
        heapify(self.order)

    def _queue_up(self, lane: Lane) -> None:
        heappush(self.order, (lane.virtual, lane.tenant))
        if len(self.order) > 2 * len(self.lanes) + 64:
            self.requeue()


class Turns:
    """All waiting requests in the order in which they are served. `cost` is what a pair costs a tenant, by name."""

    def __init__(self, lowest_class_every: int, cost: Callable[[str], int]) -> None:
        self._every = lowest_class_every
        self._classes = [PriorityClass(priority, cost) for priority in range(PRIORITIES)]
        self.busy: list[int] = []  # negated priorities that have requests, highest first
        self.served = 0

    def add(self, request: WaitingRequest) -> None:
        priority = request.wish.priority
        one = self._classes[priority]
        if one.waiting == 0:
            insort(self.busy, -priority)
        one.add(request)

    def close(self, request: WaitingRequest) -> None:
        """It waits no longer: served, expired or withdrawn."""
        request.closed = True
        priority = request.wish.priority
        one = self._classes[priority]
        one.close(request)
        if one.waiting == 0:
            self.busy.remove(-priority)

    def pick(self, pair: Pair, now_ns: int) -> WaitingRequest | None:
        """Whose turn it is for `pair`. Every so often the lowest class is asked first, so that it does not starve."""
        busy = self.busy
        if self._every and len(busy) > 1 and self.served % self._every == self._every - 1:
            busy = busy[::-1]
        for negated in busy:
            request = self._classes[-negated].pick(pair, now_ns)
            if request is not None:
                return request
        return None

    def charge(self, request: WaitingRequest) -> None:
        """The request has got a pair; `given` counts it already."""
        self.served += 1
        self._classes[request.wish.priority].charge(request.wish.tenant)

    def goals(self) -> Iterator[tuple[Goal, int]]:
        """What is missing by priority, tenant and quality, in order of turn."""
        for negated in self.busy:
            yield from self._classes[-negated].goals()

    def missing(self, tenant: str, priority: int) -> Missing:
        """Pairs asked for and not given, as a request of `tenant` finds them."""
        one = self._classes[priority]
        own = one.lane(tenant)
        weights = sum(1 / lane.cost for lane in one.lanes.values() if lane.waiting or lane is own)
        return Missing(
            higher=sum(other.missing for other in self._classes[priority + 1 :]),
            same_tenant=own.missing,
            same_class=one.missing,
            share=1 / own.cost / weights,
            tenant=sum(other.lanes[tenant].missing for other in self._classes if tenant in other.lanes),
        )

    def virtual_times(self) -> list[ClassTimes]:
        """What the waiting requests themselves do not tell, for `restore`."""
        return [
            (one.priority, one.virtual, sorted((lane.tenant, lane.virtual) for lane in one.lanes.values()))
            for one in self._classes
            if one.lanes
        ]

    def restore(self, served: int, virtual_times: list[ClassTimes]) -> None:
        """Set what `virtual_times` told, after the waiting requests have been added."""
        self.served = served
        for priority, virtual, lanes in virtual_times:
            one = self._classes[priority]
            one.virtual = virtual
            for tenant, lane_virtual in lanes:
                one.lane(tenant).virtual = lane_virtual
            one.requeue()
