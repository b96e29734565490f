"""The whole service on real sockets: a real board process or bytes of one, journal on disk, CURVE."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import msgspec
import pytest

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.errors import TransportError
from qlink.firmware_bridge.socket_transport import open_url
from qlink.supervisor import model
from qlink.supervisor.boards import LinkState
from qlink.supervisor.client import Client, News, open_client
from qlink.supervisor.effects import Allocated, Completed, HeraldPublished, RequestExpired
from qlink.supervisor.errors import AccessDenied, JournalLocked, NoAnswer, RequestRefused, SettingsError
from qlink.supervisor.journal import Journal
from qlink.supervisor.keys import KeyStore, Right
from qlink.supervisor.messages import Create, SloReport
from qlink.supervisor.recovery import verify
from qlink.supervisor.service import Outside, Service
from qlink.supervisor.settings import Backoff, Endpoints, Pace, ServiceSettings

from .running import Processes

FREE = Endpoints("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", metrics_port=None)
FROM_THE_BEGINNING = {"herald": 0, "request/local/": 0}
WISH = Create(key="wish", number=3, min_fidelity=0.6, max_time_ns=10**10)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


@pytest.fixture
def settings(processes: Processes) -> ServiceSettings:
    link = model.LinkModel(rate_hz=300)
    return ServiceSettings(
        home=processes.home,
        decisions=model.Settings(link=link),
        endpoints=FREE,
        backoff=Backoff(0.05, 2.0, 0.2),
        pace=Pace(heartbeat_s=0.05),
    )


@asynccontextmanager
async def running(settings: ServiceSettings, url: str) -> AsyncIterator[Service]:
    """A service in this loop, on the board at `url`; ended in the end."""
    service = Service(settings, Outside(lambda: Board(open_url(urlsplit(url)))))
    task = asyncio.create_task(service.run(signals=False))
    started = asyncio.create_task(service.started.wait())
    await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    try:
        if task.done():
            await task
        yield service
    finally:
        service.stop()
        await task


@pytest.fixture
async def service(processes: Processes, settings: ServiceSettings) -> AsyncIterator[Service]:
    processes.start_board(300)
    async with running(settings, processes.url) as service:
        yield service


@pytest.fixture
async def client(service: Service, settings: ServiceSettings) -> AsyncIterator[Client]:
    async with open_client(settings.home) as client:
        yield client


async def until(news: AsyncIterator[News], kind: type, count: int = 1) -> list[News]:
    """Everything up to the `count`-th body of a kind."""
    heard: list[News] = []
    async with asyncio.timeout(20):
        async for item in news:
            heard.append(item)
            if sum(isinstance(each.body, kind) for each in heard) >= count:
                break
    return heard


async def link_is(state: LinkState, service: Service) -> None:
    async with asyncio.timeout(20):
        while service.state is not state:
            await asyncio.sleep(0.02)


async def test_heralds_and_grants_reach_the_application(client: Client) -> None:
    acknowledged = await client.request(WISH)
    news = await until(client.subscribe("herald", "request", after=FROM_THE_BEGINNING), Completed)
    grants = [item.body for item in news if isinstance(item.body, Allocated)]
    assert [(grant.create_id, grant.number) for grant in grants] == [(acknowledged.create_id, n) for n in (1, 2, 3)]
    assert len({grant.pair for grant in grants}) == 3
    heralds = [item for item in news if isinstance(item.body, HeraldPublished)]
    assert [item.number for item in heralds] == [item.body.pair for item in heralds]  # type: ignore[union-attr]


async def test_the_same_key_is_answered_alike_and_served_once(client: Client) -> None:
    first = await client.request(WISH)
    await until(client.subscribe("request", after=FROM_THE_BEGINNING), Completed)
    assert await client.request(WISH) == first
    said = await client.recall(WISH.key)
    assert [type(each).__name__ for each in said] == ["Acknowledged", *["Allocated"] * 3, "Completed"]


async def test_a_refusal_says_why(client: Client) -> None:
    await client.request(WISH)
    with pytest.raises(RequestRefused, match="was used for another request: choose a new key"):
        await client.request(replace_wish(number=4))


async def test_a_pair_is_confirmed_once(client: Client) -> None:
    await client.request(WISH)
    news = await until(client.subscribe("request", after=FROM_THE_BEGINNING), Allocated)
    grant = next(item.body for item in news if isinstance(item.body, Allocated))
    await client.confirm(grant.pair, consumed=False)
    await client.confirm(grant.pair)
    with pytest.raises(RequestRefused, match=f"pair {grant.pair}"):
        await client.confirm(grant.pair)


async def test_a_request_is_cancelled_once(client: Client) -> None:
    acknowledged = await client.request(replace_wish(number=1000))
    await client.cancel(acknowledged.create_id)
    with pytest.raises(RequestRefused, match=f"request {acknowledged.create_id} .*was served, expired or never made"):
        await client.cancel(acknowledged.create_id)


async def test_a_request_whose_time_is_up_is_told_so(client: Client) -> None:
    news = client.subscribe("request", after=FROM_THE_BEGINNING)
    await client.request(replace_wish(number=25, min_fidelity=0.9, max_time_ns=200_000_000))
    heard = await until(news, (RequestExpired, Completed))  # type: ignore[arg-type]
    assert isinstance(heard[-1].body, (RequestExpired, Completed))


async def test_status_and_objectives_are_told(client: Client, service: Service) -> None:
    report = (await until(client.subscribe("slo"), SloReport))[-1].body
    assert isinstance(report, SloReport)
    assert [standing.id for standing in report.standings] == ["M1", "M2", "M3", "M4", "M9"]
    status = await client.status()
    assert (status.link, status.board, status.epoch) == ("up", "PAPR", 1)
    assert status.heralds > 0
    assert set(status.published) >= {"herald", "slo"}


class TestRights:
    async def test_tenants_hear_of_their_own_requests_alone(self, service: Service, settings: ServiceSettings) -> None:
        store = KeyStore(settings.home)
        for name, rights in (("alice", [Right.SUBSCRIBE, Right.REQUEST]), ("bob", [Right.SUBSCRIBE, Right.REQUEST])):
            store.make_client(name, name, rights)
        async with AsyncExitStack() as stack:
            alice, bob, admin = [
                await stack.enter_async_context(open_client(settings.home, name)) for name in ("alice", "bob", "local")
            ]
            await alice.request(WISH)
            await bob.request(WISH)
            both = {"request/alice/": 0, "request/bob/": 0}
            of_alice, of_bob, of_both = await asyncio.gather(
                until(alice.subscribe("request", after=both), Completed),
                until(bob.subscribe("request", after=both), Completed),
                until(admin.subscribe("request", after=both), Completed, count=2),
            )
            assert {news.topic for news in of_alice} == {"request/alice/"}
            assert {news.topic for news in of_bob} == {"request/bob/"}
            assert {news.topic for news in of_both} == {"request/alice/", "request/bob/"}
            with pytest.raises(RequestRefused, match="no topic 'request/alice/' for this client"):
                await bob.replay("request/alice/", 1)
            assert (await admin.replay("request/alice/", 1)).last == len(of_alice)
            assert "request/alice/" not in (await bob.status()).published

    async def test_a_subscriber_may_not_ask_for_pairs(self, service: Service, settings: ServiceSettings) -> None:
        KeyStore(settings.home).make_client("eve", "eve", [Right.SUBSCRIBE])
        async with open_client(settings.home, "eve") as eve:
            with pytest.raises(AccessDenied, match="'eve' may not do this: it needs the right 'request'"):
                await eve.request(WISH)
            with pytest.raises(AccessDenied, match="needs the right 'admin'"):
                await eve.stop_supervisor()

    async def test_who_was_taken_out_is_refused_at_once(self, service: Service, settings: ServiceSettings) -> None:
        store = KeyStore(settings.home)
        store.make_client("eve", "eve", [Right.REQUEST])
        async with open_client(settings.home, "eve") as eve:
            await eve.status()
            store.remove("eve")
            with pytest.raises(AccessDenied, match="taken out of the table"):
                await eve.request(WISH)

    async def test_a_stranger_is_told_that_nobody_knows_it(self, service: Service, settings: ServiceSettings) -> None:
        store = KeyStore(settings.home)
        store.make_client("eve", "eve", list(Right))
        store.remove("eve")
        async with open_client(settings.home, "eve") as eve:
            with pytest.raises(AccessDenied, match="turns us away: enter the public key"):
                await eve.status()
            with pytest.raises(AccessDenied, match="turns us away"):
                await anext(eve.subscribe("herald"))

    async def test_an_admin_may_stop_it(self, processes: Processes, settings: ServiceSettings) -> None:
        processes.start_board(300)
        service = Service(settings, Outside(lambda: Board(open_url(urlsplit(processes.url)))))
        task = asyncio.create_task(service.run(signals=False))
        await service.started.wait()
        async with open_client(settings.home) as client:
            await client.stop_supervisor()
        async with asyncio.timeout(10):
            await task


class TestBoard:
    async def test_it_is_tried_until_it_is_there(self, processes: Processes, settings: ServiceSettings) -> None:
        async with running(settings, processes.url) as service, open_client(settings.home) as client:
            await link_is(LinkState.DOWN, service)
            assert "no board at unix://" in (await client.status()).reason
            processes.start_board(300)
            await until(client.subscribe("herald"), HeraldPublished, count=5)

    async def test_when_it_is_gone_the_link_is_unavailable_until_it_is_back(
        self, processes: Processes, settings: ServiceSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        board = processes.start_board(300)
        async with running(settings, processes.url) as service, open_client(settings.home) as client:
            news = client.subscribe("herald", after={"herald": 0})
            before = await until(news, HeraldPublished, count=20)
            board.kill()
            await link_is(LinkState.DOWN, service)
            assert "the link is unavailable" in caplog.text
            processes.start_board(300)
            await link_is(LinkState.UP, service)
            after = (await client.status()).heralds
            again = client.subscribe("herald", after={"herald": before[-1].number})
            heard = await until(again, HeraldPublished, count=after + 20 - before[-1].number)
            assert [item.number for item in before + heard] == list(range(1, len(before) + len(heard) + 1))

    async def test_one_that_falls_silent_is_noticed(self, processes: Processes, settings: ServiceSettings) -> None:
        board = processes.start_board(300)
        impatient = replace(settings, pace=replace(settings.pace, silence_s=0.1))
        async with running(impatient, processes.url) as service:
            await link_is(LinkState.UP, service)
            os.kill(board.pid, signal.SIGSTOP)
            await link_is(LinkState.DOWN, service)
            assert "the board did not answer" in service.reason
            os.kill(board.pid, signal.SIGCONT)
            await link_is(LinkState.UP, service)

    async def test_one_that_has_nothing_to_say_is_left_in_peace(
        self, processes: Processes, settings: ServiceSettings
    ) -> None:
        processes.start_board(0)
        impatient = replace(settings, pace=replace(settings.pace, silence_s=0.05))
        async with running(impatient, processes.url) as service, open_client(settings.home) as client:
            await link_is(LinkState.UP, service)
            for _ in range(3):
                await until(client.subscribe("slo"), SloReport)
                assert service.state is LinkState.UP

    async def test_without_it_calls_are_answered(self, processes: Processes, settings: ServiceSettings) -> None:
        def no_board() -> Board:
            raise TransportError("no board is plugged in: plug one in")

        service = Service(settings, Outside(no_board))
        task = asyncio.create_task(service.run(signals=False))
        await service.started.wait()
        async with open_client(settings.home) as client:
            await link_is(LinkState.DOWN, service)
            status = await client.status()
            assert (status.link, status.reason) == ("down", "no board is plugged in: plug one in")
        service.stop()
        await task


class TestStart:
    async def test_one_supervisor_at_a_time(self, service: Service, settings: ServiceSettings) -> None:
        with pytest.raises(JournalLocked):
            await Service(settings, Outside(lambda: pytest.fail("opened"))).run(signals=False)

    async def test_an_address_that_is_taken_is_named(self, service: Service, settings: ServiceSettings) -> None:
        assert service.addresses is not None
        other = replace(
            settings, home=settings.home / "other", endpoints=replace(FREE, requests=service.addresses.requests)
        )
        with pytest.raises(SettingsError, match=r"cannot listen at tcp://127\.0\.0\.1"):
            await Service(other, Outside(lambda: pytest.fail("opened"))).run(signals=False)

    async def test_without_a_supervisor_there_is_no_answer(
        self, processes: Processes, settings: ServiceSettings
    ) -> None:
        with pytest.raises(NoAnswer, match="start one with `qlinkctl up`"):
            async with open_client(settings.home):
                pass
        async with running(settings, processes.url):
            pass
        async with open_client(settings.home, patience_s=0.3) as client:
            with pytest.raises(NoAnswer, match=r"no answer from tcp://127\.0\.0\.1"):
                await client.status()

    async def test_numbers_go_on_after_a_restart(self, processes: Processes, settings: ServiceSettings) -> None:
        processes.start_board(300)
        last = 0
        for _ in range(3):
            async with running(settings, processes.url), open_client(settings.home) as client:
                news = await until(client.subscribe("herald", after={"herald": last}), HeraldPublished, count=15)
                assert [item.number for item in news] == list(range(last + 1, last + 16))
                last = news[-1].number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(processes: Processes, number: signal.Signals) -> None:
    supervisor = processes.start_all(300)
    os.kill(supervisor.process.pid, number)
    assert supervisor.process.wait(timeout=120) == 0


async def test_kill_9_loses_and_doubles_nothing(processes: Processes) -> None:
    """Killed at random moments: every number comes once, and the request gets its pairs, each one once."""
    random, heralds, grants = Random(7), [], []
    wish = Create(key="long", number=900, min_fidelity=0.55, max_time_ns=60 * 10**9, measure_directly=True)
    after = dict(FROM_THE_BEGINNING)
    processes.start_board(300)
    for life in range(5):
        supervisor = processes.start_supervisor(300)
        lifetime_s = random.uniform(0.3, 0.8) if life < 4 else 20.0
        async with open_client(processes.home) as client:
            assert (await client.request(wish)).create_id == 1
            news = client.subscribe("herald", "request", after=after)
            try:
                async with asyncio.timeout(lifetime_s):
                    async for item in news:
                        after[item.topic] = item.number
                        if isinstance(item.body, HeraldPublished):
                            heralds.append(item.body.pair)
                        elif isinstance(item.body, Allocated):
                            grants.append(item.body)
                        elif isinstance(item.body, Completed):
                            break
            except TimeoutError:
                pass
            if life < 4:
                supervisor.process.kill()
                supervisor.process.wait()
    assert heralds == list(range(1, len(heralds) + 1))
    assert [grant.number for grant in grants] == list(range(1, 901))
    assert len({grant.pair for grant in grants}) == 900
    supervisor.process.terminate()
    assert supervisor.process.wait(timeout=120) == 0
    with closing(Journal(processes.home / "journal.sqlite")) as journal:
        assert verify(journal) > 900


def replace_wish(**changes: int | float) -> Create:

    return msgspec.structs.replace(WISH, **changes)
