"""The loop around a real core and a real journal, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import chain
from pathlib import Path

import pytest

from qlink.supervisor.core import Core
from qlink.supervisor.effects import Acknowledged, Allocated, Effect, HeraldPublished, PairEnded, Purify, RequestExpired
from qlink.supervisor.engine import Decided, Engine
from qlink.supervisor.events import Heralded, Request, Requested
from qlink.supervisor.journal import Journal
from qlink.supervisor.model import LinkModel, PurificationPolicy, Settings
from qlink.supervisor.recovery import recover
from qlink.supervisor.settings import Pace

pytestmark = pytest.mark.looptime

PHASE_ERRORS = (0.75, 0.0, 0.0, 0.25)
MS = 1_000_000
PACE = Pace()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        yield journal


class Nodes:
    """Take `takes_s` for a round; `agree` may be an exception."""

    def __init__(self, agree: bool | Exception, takes_s: float = 0.001) -> None:
        self._agree = agree
        self._takes_s = takes_s
        self.rounds: list[tuple[int, int]] = []

    async def purify(self, keep: int, spend: int, success_probability: float) -> bool:
        self.rounds.append((keep, spend))
        await asyncio.sleep(self._takes_s)
        if isinstance(self._agree, Exception):
            raise self._agree
        return self._agree


class Visible:
    """An outlet that remembers what was made known, and that it was in the journal by then."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.batches: list[int] = []
        self.effects: list[Effect] = []

    def decided(self, first: int, batch: Decided, committed_s: float) -> None:
        assert self._journal.last == first + len(batch) - 1, "made known before it was durable"
        self.batches.append(len(batch))
        self.effects += chain.from_iterable(effects for _, effects in batch)

    def of(self, kind: type[Effect]) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


def now_ns() -> int:
    return 10**18 + int(asyncio.get_running_loop().time() * 1e9)


@asynccontextmanager
async def running(
    journal: Journal, settings: Settings, nodes: Nodes | None = None, pace: Pace = PACE
) -> AsyncIterator[tuple[Engine, Visible]]:
    visible = Visible(journal)
    core: Core = recover(journal, settings)
    engine = Engine(core, journal, nodes, visible, now_ns, pace)
    task = asyncio.create_task(engine.run())
    yield engine, visible
    engine.stop()
    await task


def herald(sequence: int) -> Heralded:
    return Heralded(now_ns(), sequence, 0, 0, 0, 0, 0)


def wish(number: int = 1, fidelity: float = 0.6, max_time_ns: int = 100 * MS) -> Requested:
    request = Request("k", "qkd", number=number, min_fidelity=fidelity, max_time_ns=max_time_ns)
    return Requested(now_ns(), request)


async def test_what_came_together_is_committed_together(journal: Journal) -> None:
    async with running(journal, Settings(), pace=Pace(max_batch=40)) as (engine, visible):
        for sequence in range(100):
            engine.tell(herald(sequence))
        await asyncio.sleep(0.001)
        assert visible.batches == [40, 40, 20]
        assert len(visible.of(HeraldPublished)) == 100


async def test_an_answer_comes_when_it_is_durable(journal: Journal) -> None:
    async with running(journal, Settings()) as (engine, _):
        answered: asyncio.Future[list[Effect]] = asyncio.get_running_loop().create_future()
        engine.tell(wish(), answered.set_result)
        effects = await answered
        assert isinstance(effects[0], Acknowledged)
        assert journal.answers("qkd", "k") == effects


async def test_time_passes_without_events(journal: Journal) -> None:
    async with running(journal, Settings()) as (engine, visible):
        engine.tell(wish(max_time_ns=100 * MS))
        await asyncio.sleep(0.099)
        assert visible.of(RequestExpired) == []
        await asyncio.sleep(0.003)
        assert len(visible.of(RequestExpired)) == 1


async def test_nothing_is_written_while_nothing_happens(journal: Journal) -> None:
    async with running(journal, Settings()):
        await asyncio.sleep(3600)
        assert journal.last == 0


class TestNodes:
    settings = Settings(
        link=LinkModel(states=(PHASE_ERRORS,) * 4, rate_hz=1000.0), purification=PurificationPolicy(min_success=0.4)
    )

    async def purified(self, journal: Journal, nodes: Nodes | None) -> Visible:
        async with running(journal, self.settings, nodes) as (engine, visible):
            engine.tell(wish(fidelity=0.8))
            engine.tell(herald(0))
            engine.tell(herald(1))
            await asyncio.sleep(0.05)
            return visible

    async def test_a_round_that_succeeds_serves_the_request(self, journal: Journal) -> None:
        nodes = Nodes(agree=True)
        visible = await self.purified(journal, nodes)
        command = visible.of(Purify)[0]
        assert isinstance(command, Purify)
        assert nodes.rounds == [(command.keep, command.spend)]
        grant = visible.of(Allocated)[0]
        assert isinstance(grant, Allocated)
        assert grant.pair == command.keep
        assert grant.fidelity == pytest.approx(0.75**2 / (0.75**2 + 0.25**2), abs=0.002)  # less what it aged meanwhile

    @pytest.mark.parametrize("agree", [False, RuntimeError("a laser lost its lock")])
    async def test_a_round_that_fails_costs_both_pairs(self, journal: Journal, agree: bool | Exception) -> None:
        visible = await self.purified(journal, Nodes(agree=agree))
        assert visible.of(Allocated) == []
        assert {effect.state for effect in visible.of(PairEnded) if isinstance(effect, PairEnded)} == {"DISCARDED"}

    async def test_without_an_answer_the_core_gives_up(self, journal: Journal) -> None:
        visible = await self.purified(journal, None)
        assert len(visible.of(PairEnded)) == 2

    async def test_rounds_under_way_do_not_hold_up_the_end(self, journal: Journal) -> None:
        nodes = Nodes(agree=True, takes_s=3600)
        async with running(journal, self.settings, nodes) as (engine, _):
            engine.tell(wish(fidelity=0.8))
            engine.tell(herald(0))
            engine.tell(herald(1))
            await asyncio.sleep(0.001)
            assert len(nodes.rounds) == 1
        assert asyncio.get_running_loop().time() < 10


async def test_what_waits_is_decided_before_the_end(journal: Journal) -> None:
    async with running(journal, Settings(), pace=Pace(max_batch=10)) as (engine, visible):
        for sequence in range(95):
            engine.tell(herald(sequence))
    assert sum(visible.batches) == 95


async def test_says_when_too_much_is_waiting(journal: Journal) -> None:
    async with running(journal, Settings(), pace=Pace(max_waiting=5)) as (engine, _):
        for sequence in range(5):
            assert not engine.busy
            engine.tell(herald(sequence))
        assert engine.busy
        await asyncio.sleep(0.001)
        assert not engine.busy


async def test_an_error_in_a_commit_ends_it_and_nothing_is_made_known(journal: Journal, tmp_path: Path) -> None:
    visible = Visible(journal)
    engine = Engine(recover(journal, Settings()), journal, None, visible, now_ns, Pace())
    engine.tell(herald(0))
    journal.connection.execute("DROP TABLE entries")
    with pytest.raises(Exception, match="entries"):
        await engine.run()
    assert visible.effects == []
