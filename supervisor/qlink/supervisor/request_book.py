"""The requests: answered once, kept until they are served, withdrawn or out of time."""

from heapq import heapify, heappop, heappush

import msgspec

from .admission import Buckets, Load, No, ObservedRate, Offer, admit, check_fields, link_offer
from .allocation import ClassTimes, Turns, share
from .effects import Acknowledged, Refused
from .events import Request
from .model import FOREVER_NS, RefusalCode, Settings, Tenant
from .pairs import ReadyPairs
from .requests import Answered, AnsweredRequests, WaitingRequest

Answer = Acknowledged | Refused

_OFFERS = 1024  # qualities whose offer is remembered


class BookState(msgspec.Struct, frozen=True, array_like=True):
    """The book as plain values."""

    requests_made: int
    requests: list[WaitingRequest]
    served: int
    virtual_times: list[ClassTimes]
    answered: list[Answered]
    buckets: list[tuple[str, float, int]]
    rate: tuple[int | None, int]


class RequestBook:
    """Admits requests, remembers what they were told, knows whose turn it is and when they run out of time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.turns = Turns(settings.lowest_class_every, self._cost)
        self.rate = ObservedRate(settings.link.rate_hz, settings.rate_window_s)
        self.gathering: dict[int, WaitingRequest] = {}  # atomic ones that have pairs reserved
        self._waiting: dict[int, WaitingRequest] = {}  # by create id
        self._deadlines: list[tuple[int, int]] = []  # heap of deadline, create id; closed ones are skipped
        self._answered = AnsweredRequests(settings.remembered_requests)
        self._buckets = Buckets()
        self._offers: dict[tuple[float, int], Offer] = {}
        self._made = 0

    def answer(
        self, wish: Request, ready: ReadyPairs, now_ns: int
    ) -> tuple[Acknowledged | Refused, WaitingRequest | None]:
        """What to tell the tenant, the same again for the same key; and the request if it is a new one to serve."""
        known = self._answered.find(wish)
        if known is not None:
            if known.wish == wish:
                return known.answer, None
            reason = f"key {wish.key!r} was used for another request: choose a new key"
            return _refused(wish, No(RefusalCode.KEY_REUSED, reason)), None
        verdict = self._admit(wish, ready, now_ns)
        request = None
        answer: Answer
        if isinstance(verdict, No):
            answer = _refused(wish, verdict)
        else:
            self._made += 1
            request = WaitingRequest(self._made, wish, now_ns)
            self._wait(request)
            answer = Acknowledged(wish.tenant, wish.key, request.create_id, verdict)
        self._answered.add(Answered(wish, answer), self._waiting)
        return answer, request

    def find(self, tenant: str, create_id: int) -> WaitingRequest | None:
        """The tenant's waiting request of that number."""
        request = self._waiting.get(create_id)
        return request if request is not None and request.wish.tenant == tenant else None

    def close(self, request: WaitingRequest) -> None:
        """It waits no longer."""
        self.turns.close(request)
        del self._waiting[request.create_id]
        self.gathering.pop(request.create_id, None)

    def expired(self, now_ns: int) -> list[WaitingRequest]:
        """Close those whose deadline has come, the earliest first."""
        late = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            request = self._waiting.get(heappop(self._deadlines)[1])
            if request is not None:
                self.close(request)
                late.append(request)
        return late

    def next_deadline_ns(self) -> int:
        """No request runs out of time before; may be too early."""
        return self._deadlines[0][0] if self._deadlines else FOREVER_NS

    def state(self) -> BookState:
        return BookState(
            requests_made=self._made,
            requests=[self._waiting[create_id] for create_id in sorted(self._waiting)],
            served=self.turns.served,
            virtual_times=self.turns.virtual_times(),
            answered=self._answered.all(),
            buckets=sorted((name, *level) for name, level in self._buckets.levels.items()),
            rate=(self.rate.since_ns, self.rate.count),
        )

    def restore(self, state: BookState) -> None:
        """Only for a new book."""
        self._made = state.requests_made
        for request in state.requests:
            self._wait(request)
            if request.reserved:
                self.gathering[request.create_id] = request
        self.turns.restore(state.served, state.virtual_times)
        self._answered.replace(state.answered)
        self._buckets.levels = {name: (tokens, then_ns) for name, tokens, then_ns in state.buckets}
        self.rate.since_ns, self.rate.count = state.rate

    def _wait(self, request: WaitingRequest) -> None:
        self._waiting[request.create_id] = request
        self.turns.add(request)
        heappush(self._deadlines, (request.deadline_ns, request.create_id))
        if len(self._deadlines) > 4 * len(self._waiting) + 1024:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._waiting]
            heapify(self._deadlines)

    def _admit(self, wish: Request, ready: ReadyPairs, now_ns: int) -> No | float:
        """The predicted probability of being served, and the tenant's tokens are taken; or why not."""
        tenant = self._tenant(wish.tenant)
        if tenant is None:
            reason = f"tenant {wish.tenant!r} is not known here: have the operator enter it in the settings"
            return No(RefusalCode.UNKNOWN_TENANT, reason)
        refusal = check_fields(wish, self._settings)
        if refusal is not None:
            return refusal
        quality = wish.min_fidelity, wish.min_lifetime_ns
        load = Load(
            ready=ready.serving(*quality, now_ns),
            missing=self.turns.missing(wish.tenant, wish.priority),
            rate_hz=self.rate.hz(now_ns),
            tokens=self._buckets.tokens(wish.tenant, tenant, now_ns),
        )
        verdict = admit(wish, tenant, self._link_offer(quality), load, self._settings)
        if not isinstance(verdict, No):
            self._buckets.take(wish.tenant, tenant, wish.number, now_ns)
        return verdict

    def _link_offer(self, quality: tuple[float, int]) -> Offer:
        known = self._offers.get(quality)
        if known is None:
            if len(self._offers) >= _OFFERS:
                self._offers.clear()
            settings = self._settings
            known = self._offers[quality] = link_offer(*quality, settings.link, settings.purification)
        return known

    def _tenant(self, name: str) -> Tenant | None:
        return self._settings.tenants.get(name, self._settings.default_tenant)

    def _cost(self, name: str) -> int:
        return share(self._tenant(name) or Tenant())


def _refused(wish: Request, no: No) -> Refused:
    return Refused(wish.tenant, wish.key, no.code, no.reason, no.probability)
