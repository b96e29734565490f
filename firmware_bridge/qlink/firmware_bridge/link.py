"""Register requests and events over one byte pipe: the replies come in the midst of the events, and none is lost."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .decoder import EMPTY, Decoder, Stats, concatenate
from .encoding import encode_request
from .errors import BoardTimeout, BridgeError
from .events import Batch
from .transport import Transport
from .wire import REQUEST, Operation

READ_BYTES = 1 << 18
IN_FLIGHT = 16  # requests that the board is asked at once
SILENCE_S = 0.05  # the board sends a frame without a pause; after so long, half a frame is noise
PENDING_CLICKS = 1 << 24  # events that nobody fetches: beyond so many clicks (256 MB) the oldest are dropped


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a reply, and how often to ask. Every request may be repeated without harm."""

    reply_s: float = 1.0
    attempts: int = 4


class Link:
    """Owns a transport. Not thread-safe. `observe` is told of every batch, in order, before anyone can fetch it.

    `epoch` is the one of the board that was known last; 0: none.
    """

    def __init__(
        self,
        transport: Transport,
        patience: Patience,
        clock: Callable[[], float],
        observe: Callable[[Batch], None],
        epoch: int = 0,
    ) -> None:
        self._transport = transport
        self._patience = patience
        self._clock = clock
        self._observe = observe
        self._decoder = Decoder(epoch)
        self._pending: deque[Batch] = deque()
        self._pending_clicks = 0
        self._replies: list[NDArray[np.void]] = []
        self._id = 0
        self._silence_s = 0.0  # waited for in vain since the last byte, by the transport's time
        self.failure: BridgeError | None = None  # the transport's, to be raised once the events before it are fetched
        self.clicks_discarded = 0

    @property
    def stats(self) -> Stats:
        return self._decoder.stats

    @property
    def pending(self) -> bool:
        """Whether there are events to `take`."""
        return bool(self._pending)

    def exchange(self, operation: Operation, address: int, value: int = 0) -> np.void:
        """Send a request until it is answered; the reply (events.REPLY). Raises `BoardTimeout`."""
        asked: set[int] = set()
        self._replies.clear()
        self.failure = None
        for attempt in range(self._patience.attempts):
            self._id = (self._id + 1) % 256
            asked.add(self._id)
            if attempt:
                self.end_half_request()
            self._transport.write(encode_request(operation, self._id, address, value))
            reply = self._await_replies(asked, {address}).get(address)
            if reply is not None:
                return reply
        raise self._silence()

    def read_all(self, addresses: Sequence[int]) -> dict[int, np.void]:
        """Read registers, `IN_FLIGHT` of them at a time; the replies by address. Raises `BoardTimeout`."""
        replies: dict[int, np.void] = {}
        for first in range(0, len(addresses), IN_FLIGHT):
            replies |= self._read_some(addresses[first : first + IN_FLIGHT])
        return replies

    def _read_some(self, addresses: Sequence[int]) -> dict[int, np.void]:
        asked: set[int] = set()
        found: dict[int, np.void] = {}
        self._replies.clear()
        self.failure = None
        for attempt in range(self._patience.attempts):
            if attempt:
                self.end_half_request()
            requests = b""
            missing = [address for address in addresses if address not in found]
            for address in missing:
                self._id = (self._id + 1) % 256
                asked.add(self._id)
                requests += encode_request(Operation.READ, self._id, address, 0)
            self._transport.write(requests)
            found |= self._await_replies(asked, set(missing))
            if len(found) == len(addresses):
                return found
        raise self._silence()

    def end_half_request(self) -> None:
        """Let the board finish a request of which it has only a part: it takes the zeros for the rest, and drops it."""
        self._transport.write(bytes(REQUEST.bytes))

    def pump(self, timeout_s: float) -> bool:
        """Read once. True when events came. What the transport raises is raised once no events are pending."""
        try:
            data = self._transport.read(READ_BYTES, timeout_s)
        except BridgeError as error:
            self.failure = self.failure or error
            came = self._accept(self._decoder.resync())
            if self._pending:
                return came
            failure, self.failure = self.failure, None
            raise failure from None
        if data:
            self._silence_s, self.failure = 0.0, None
            return self._accept(self._decoder.feed(data))
        self._silence_s += timeout_s
        if self._decoder.incomplete and self._silence_s >= SILENCE_S:
            return self._accept(self._decoder.resync())
        return False

    def take(self) -> Batch:
        """All events that have come since the last call. `replies` is empty: they are for `exchange`."""
        batch = concatenate(self._pending) if self._pending else EMPTY
        self._pending.clear()
        self._pending_clicks = 0
        return batch

    def close(self) -> None:
        self._transport.close()

    def _silence(self) -> BoardTimeout:
        return BoardTimeout(
            f"the board did not answer {self._patience.attempts} requests within {self._patience.reply_s} s each: "
            "check cable, power and baud rate, and that the gateware is loaded"
        )

    def _await_replies(self, asked: set[int], addresses: set[int]) -> dict[int, np.void]:
        """Wait until all have answered or patience ends; the replies by address."""
        deadline = self._clock() + self._patience.reply_s
        found: dict[int, np.void] = {}
        while True:
            for replies in self._replies:
                for reply in replies[np.isin(replies["id"], list(asked))]:
                    if int(reply["address"]) in addresses:
                        found[int(reply["address"])] = reply
            self._replies.clear()
            remaining = deadline - self._clock()
            if len(found) == len(addresses) or remaining <= 0:
                return found
            self.pump(remaining)
            if self.failure is not None and not self._replies:
                raise self.failure

    def _accept(self, batch: Batch) -> bool:
        self._observe(batch)
        if len(batch.replies):
            self._replies.append(batch.replies)
        events = replace(batch, replies=EMPTY.replies)
        if not any(len(getattr(events, name)) for name in Batch.__slots__):
            return False
        self._pending.append(events)
        self._pending_clicks += len(events.clicks)
        if self._pending_clicks > PENDING_CLICKS:
            self._discard()
        return True

    def _discard(self) -> None:
        """Drop the oldest clicks that nobody fetched. Heralds, losses and counters are few, and kept."""
        for position, old in enumerate(self._pending):
            if self._pending_clicks <= PENDING_CLICKS // 2:
                break
            self._pending[position] = replace(old, clicks=EMPTY.clicks)
            self._pending_clicks -= len(old.clicks)
            self.clicks_discarded += len(old.clicks)
