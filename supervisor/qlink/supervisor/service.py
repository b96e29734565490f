"""One supervisor for one link: the core, and everything around it, from start to clean end."""

import asyncio
import logging
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain

import zmq

from .addresses import Addresses, write_addresses
from .archive import Archive
from .authentication import PUBLICATIONS, REQUESTS, Authenticator, Clients
from .boards import (
    READ_AHEAD,
    Arrived,
    Board,
    BoardGone,
    BoardReader,
    BoardRefused,
    BoardUp,
    LinkState,
    News,
    Reading,
    SequenceOver,
)
from .engine import NS_PER_S, Decided, Engine, NodeController
from .errors import SettingsError
from .events import BoardStarted, TelemetryLost
from .journal import Journal
from .keys import Client, KeyStore
from .link_clock import link_clock
from .messages import SLO_TOPIC, SloReport, Standing, Status
from .metrics import MetricsServer, Sight
from .objectives import Objectives
from .publisher import Publisher
from .recovery import checkpoint_when_due, recover
from .request_server import Desk, RequestServer, may_hear
from .settings import ServiceSettings
from .slo import Observed
from .sockets import server_socket
from .tally import Tally
from .telemetry import BoardAccount, account

log = logging.getLogger(__name__)

SWITCH_S = 0.0005  # how long the reader may have to wait for the loop; Python's 5 ms would be the herald's latency
JOIN_S = 5.0  # how long the board may take to stop


@dataclass(frozen=True, slots=True)
class Outside:
    """What a service is connected to."""

    open_board: Callable[[], Board]
    nodes: NodeController | None = None  # None: nobody purifies


class Service:
    """Runs until it is stopped: by `stop`, SIGINT, SIGTERM or an admin. One at a time per home.

    After any end, kill -9 included, the next one goes on where the journal ends.
    """

    def __init__(self, settings: ServiceSettings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        self.state = LinkState.STARTING
        self.reason = "the board was not opened yet"
        self.board = ""
        self.addresses: Addresses | None = None
        self.tally = Tally(settings.contract)
        self.objectives = Objectives(settings.contract)
        self.lost: Counter[str] = Counter()
        self._accounts: list[BoardAccount] = []  # one per connection; the last one is current
        self._up_throughout = False
        self._alerts: dict[str, Standing] = {}
        self._refusal = ""
        self._stopping = asyncio.Event()
        self.started = asyncio.Event()

    def stop(self) -> None:
        """Have `run` end. For the loop's thread."""
        self._stopping.set()

    async def run(self, signals: bool = True) -> None:
        """Serve until stopped. Raises `SupervisorError` when it cannot start or go on."""
        with ExitStack() as stack:
            stack.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(SWITCH_S)
            self._open(stack)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
                loop.add_signal_handler(number, self.stop)
                stack.callback(loop.remove_signal_handler, number)
            self._reader.start()
            self.started.set()
            await self._serve()
        if self._refusal:
            raise SettingsError(f"the board cannot be set to its configuration: {self._refusal}")

    @property
    def ended(self) -> bool:
        """Whether the board's stream came to its end and everything in it is decided."""
        return self.state is LinkState.ENDED

    # -- opening

    def _open(self, stack: ExitStack) -> None:
        settings, endpoints = self._settings, self._settings.endpoints
        store = KeyStore(settings.home)
        self._journal = Journal(settings.journal)
        stack.callback(self._journal.close)
        self._core = recover(self._journal, settings.decisions)
        self._archive = Archive(self._journal)
        stack.callback(self._archive.save)
        self._clock = link_clock(not_before_ns=self._core.now_ns)
        self._since_ns = self._clock()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.destroy, linger=100)
        clients = Clients(store)
        stack.callback(Authenticator(context, clients).close)
        publications = server_socket(context, zmq.XPUB, store.server, PUBLICATIONS)
        publications.SNDHWM = settings.pace.subscriber_backlog
        requests = server_socket(context, zmq.ROUTER, store.server, REQUESTS)
        self._publisher = Publisher(publications, self._archive, clients)
        stack.callback(self._publisher.close)
        self._engine = Engine(self._core, self._journal, self._outside.nodes, self, self._clock, settings.pace)
        desk = Desk(self._engine, self._journal, self._publisher, clients, self._clock, self.status, self.stop)
        stack.callback(RequestServer(requests, desk).close)
        addresses = Addresses(bound(publications, endpoints.publications), bound(requests, endpoints.requests))
        self.addresses = self._open_metrics(addresses, stack)
        write_addresses(settings.home, self.addresses)
        self._open_reader(stack)

    def _open_metrics(self, addresses: Addresses, stack: ExitStack) -> Addresses:
        endpoints = self._settings.endpoints
        if endpoints.metrics_port is None:
            return addresses
        server = MetricsServer(endpoints.metrics_host, endpoints.metrics_port, self.sight)
        stack.callback(server.close)
        return Addresses(addresses.publications, addresses.requests, server.url)

    def _open_reader(self, stack: ExitStack) -> None:
        settings = self._settings
        room = threading.Semaphore(READ_AHEAD)
        loop = asyncio.get_running_loop()

        def take(news: News) -> None:
            room.release()
            self._on_news(news)

        def deliver(news: News) -> None:  # in the reader's thread
            while not room.acquire(timeout=1.0):
                if loop.is_closed():
                    return
            if not loop.is_closed():
                loop.call_soon_threadsafe(take, news)

        pace = settings.pace
        reading = Reading(settings.configuration, settings.backoff, pace.poll_s, pace.silence_s, settings.first_attempt)
        self._reader = BoardReader(self._outside.open_board, reading, self._clock, deliver)
        stack.callback(self._reader.stop)

    # -- serving

    async def _serve(self) -> None:
        engine = asyncio.create_task(self._engine.run())
        tasks = [asyncio.create_task(work) for work in (self._beat(), self._judge(), self._stopping.wait())]
        try:
            await asyncio.wait([engine, *tasks], return_when=asyncio.FIRST_COMPLETED)
            await self._end_reader()
            self._engine.stop()
            await engine
        finally:
            for task in [engine, *tasks]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome

    async def _end_reader(self) -> None:
        """Have the board stopped, and take in what it still sends."""
        self._reader.stop()
        if not await asyncio.to_thread(self._reader.join, JOIN_S):
            log.warning("the board did not stop within %g s: leaving it as it is", JOIN_S)

    async def _beat(self) -> None:
        while True:
            self._publisher.beat()
            await asyncio.sleep(self._settings.pace.heartbeat_s)

    async def _judge(self) -> None:
        """Judge each window when it ends. The first one is not judged: it was not seen whole."""
        await self._end_of_window()
        self.objectives.begin(self._total())
        while True:
            await self._end_of_window()
            window = self.objectives.close(self._clock() / NS_PER_S, self._total())
            standings = self.objectives.standings()
            self._publisher.report(window.number, SloReport(self._clock(), standings))
            self._tell_alerts(standings)

    def _tell_alerts(self, standings: list[Standing]) -> None:
        """Log alerts that begin and that end."""
        alerts = {standing.id: standing for standing in standings if standing.alert}
        for id, standing in alerts.items():
            if id not in self._alerts or standing.alert != self._alerts[id].alert:
                log.warning("%s: %s %s burns its budget %.1f times too fast", *_words(standing), standing.burn_rate)
        for id in self._alerts.keys() - alerts.keys():
            log.info("over: %s %s", *_words(self._alerts[id])[1:])
        self._alerts = alerts

    async def _end_of_window(self) -> None:
        now_s = self._clock() / NS_PER_S
        await asyncio.sleep(self.objectives.end_of_window_s(now_s) - now_s)

    def _total(self) -> Observed:
        up, self._up_throughout = self._up_throughout, self.state is LinkState.UP
        return self.tally.observed(up, *self._telemetry())

    def _on_news(self, news: News) -> None:
        match news:
            case Arrived():
                for event in self._accounts[-1].events(news.batch, news.time_ns):
                    if isinstance(event, TelemetryLost):
                        self.lost[event.kind] += event.count
                    self._engine.tell(event)
            case BoardUp():
                self._accounts.append(account(news.identity.tick_fs, self._settings.time_source))
                self.state, self.reason, self.board = LinkState.UP, "", news.identity.board
                self._engine.tell(BoardStarted(self._clock()))
            case BoardGone():
                self.state, self.reason = news.state, news.reason
                self._up_throughout = False
            case BoardRefused():
                self._refusal = news.reason
                self.stop()
            case SequenceOver():
                ended = f"its sequence has ended after {news.status.attempts} attempts: {news.status.end.name}"
                log.warning("no attempts any more: %s", ended)
                self.reason = ended

    def decided(self, first: int, batch: Decided, committed_s: float) -> None:
        """Make known what is durable (engine.Outlet)."""
        decided = [effects for _, effects in batch]
        self._publisher.publish(self._archive.take(first, decided))
        self.tally.commit_s.observe(committed_s)
        self.tally.take(chain.from_iterable(decided), self._clock())
        checkpoint_when_due(self._journal, self._core)

    # -- telling how it is

    def _telemetry(self) -> tuple[int, int]:
        """Clicks and heralds received and lost since the start."""
        return sum(each.received for each in self._accounts), sum(each.lost for each in self._accounts)

    def _published(self) -> dict[str, int]:
        topics = sorted({*self._archive.topics, SLO_TOPIC})
        return {topic: self._publisher.last(topic) for topic in topics}

    def status(self, client: Client) -> Status:
        """What `client` may know."""
        return Status(
            time_ns=self._clock(),
            since_ns=self._since_ns,
            epoch=self._journal.epoch,
            link=self.state,
            reason=self.reason,
            board=self.board,
            heralds=self._archive.last("herald"),
            pairs=dict(self.tally.pairs),
            requests=dict(self.tally.requests),
            lost=dict(self.lost),
            published={topic: number for topic, number in self._published().items() if may_hear(client, topic)},
            slos=self.objectives.standings(),
        )

    def sight(self) -> Sight:
        """What a scrape sees; called from its thread."""
        received, _ = self._telemetry()
        return Sight(
            tally=self.tally,
            up=self.state is LinkState.UP,
            received=received,
            lost=dict(self.lost),
            counters=self._accounts[-1].counters if self._accounts else {},
            published=self._published(),
            totals=self.objectives.totals,
            standings=self.objectives.standings(),
        )


def _words(standing: Standing) -> tuple[str, str, str]:
    return standing.alert, standing.id, standing.name


def bound(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind; the address that it has then. Raises `SettingsError`."""
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise SettingsError(f"cannot listen at {endpoint} ({error.strerror}): choose another address") from error
    address = socket.LAST_ENDPOINT
    return address.rstrip(b"\0").decode() if isinstance(address, bytes) else str(address)
