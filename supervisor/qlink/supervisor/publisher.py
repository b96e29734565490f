"""The publication socket: decisions to whoever may hear of them, and heartbeats in between."""

import logging
from collections import deque
from collections.abc import Iterable
from itertools import islice

import zmq

from .archive import Archive, Run
from .authentication import Clients
from .keys import Client, Right
from .messages import (
    MAX_REPLAY,
    REQUEST_TOPIC,
    SLO_TOPIC,
    TOPICS,
    VERSION,
    Body,
    Publication,
    SloReport,
    encode,
    request_topic,
)
from .sockets import Frames, LoopSocket, user_id

log = logging.getLogger(__name__)

SUBSCRIBE, UNSUBSCRIBE = 1, 0  # first byte of what an XPUB socket receives


def filter_for(topic: str, client: Client) -> str | None:
    """What a client that asks for `topic` is really subscribed to; None: nothing.

    Of requests it hears its own tenant's, as an admin everyone's.
    """
    if topic not in TOPICS:
        return None
    if topic == REQUEST_TOPIC:
        return f"{REQUEST_TOPIC}/" if Right.ADMIN in client.rights else request_topic(client.tenant)
    return topic


class Publisher:
    """Sends publications and answers subscriptions, on an XPUB socket that is bound and authenticated already.

    A slow subscriber loses messages when its backlog (`SNDHWM`) is full; numbers and heartbeats tell it so.
    """

    def __init__(self, socket: zmq.Socket[bytes], archive: Archive, clients: Clients) -> None:
        socket.XPUB_VERBOSE = 1
        socket.setsockopt(zmq.XPUB_MANUAL, 1)  # subscriptions are granted here, one by one
        self._archive = archive
        self._clients = clients
        self._slo_number = 0
        self._reports: deque[Body] = deque(maxlen=MAX_REPLAY)
        self._socket = LoopSocket(socket, self._on_subscription)

    def publish(self, publications: Iterable[Run]) -> None:
        for topic, first, bodies in publications:
            self._socket.send((topic.encode(), encode(Publication(VERSION, first, bodies))))

    def report(self, number: int, report: SloReport) -> None:
        """Publish how the objectives stand at window `number`, which counts windows since 1970."""
        if number != self._slo_number + 1:
            self._reports.clear()  # they have to follow each other to be found by number
        self._slo_number = number
        self._reports.append(report)
        self.publish([Run(SLO_TOPIC, number, [report])])

    def beat(self) -> None:
        """Tell every topic's next number, so that silence is not taken for loss nor loss for silence."""
        for topic in sorted({*TOPICS, *self._archive.topics} - {REQUEST_TOPIC}):
            if topic != SLO_TOPIC or self._reports:
                self._beat(topic)

    def last(self, topic: str) -> int:
        return self._slo_number if topic == SLO_TOPIC else self._archive.last(topic)

    def find(self, topic: str, first: int, limit: int) -> list[Body] | None:
        """Publications from number `first` on; None when they are no longer there."""
        if topic != SLO_TOPIC:
            return self._archive.find(topic, first, limit)
        begin = self._slo_number - len(self._reports) + 1
        return list(islice(self._reports, first - begin, first - begin + limit)) if first >= begin else None

    def close(self) -> None:
        self._socket.close()

    def _beat(self, topic: str) -> None:
        self.publish([Run(topic, self.last(topic) + 1, [])])

    def _on_subscription(self, frames: Frames) -> None:
        message = frames[0].bytes
        if message[:1] not in (b"\x00", b"\x01"):
            return  # not a subscription
        client = self._clients.by_name(user_id(frames[0]))
        granted = filter_for(message[1:].decode(errors="replace"), client) if client else None
        if message[0] == UNSUBSCRIBE:
            if granted:
                self._socket.socket.setsockopt(zmq.UNSUBSCRIBE, granted.encode())
        elif granted is None:
            log.warning("refused a subscription to %r: topics are %s", message[1:], ", ".join(TOPICS))
        else:
            self._socket.socket.setsockopt(zmq.SUBSCRIBE, granted.encode())  # for the one that this message is from
            everyone = granted == f"{REQUEST_TOPIC}/"
            for topic in (
                [topic for topic in self._archive.topics if topic.startswith(granted)] if everyone else [granted]
            ):
                self._beat(topic)
