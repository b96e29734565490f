"""`qlinkctl demo`: the whole chain on this machine, from simulated photons to two applications."""

import asyncio
import io
import secrets
import signal
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from rich.console import Console, RenderableType
from rich.live import Live

from qlink.firmware_bridge.configuration import Configuration
from qlink.supervisor.client import open_client
from qlink.supervisor.errors import NoAnswer
from qlink.supervisor.keys import KeyStore, Right
from qlink.supervisor.messages import HERALD_TOPIC, PAIR_TOPIC, REQUEST_TOPIC
from qlink.supervisor.model import LinkModel
from qlink.supervisor.service import Outside, Service
from qlink.supervisor.settings import Endpoints

from .application import Experience, Wish, run_application
from .demo_state import Observer
from .link_setup import SIMULATED, LinkSetup, set_up
from .live_view import DemoState, render
from .output import BELL_STATES, amount, json_option, stderr, stdout, table, write_json
from .up import service_settings

Result = TypeVar("Result")

CHANNELS = 8
TOPICS = (HERALD_TOPIC, PAIR_TOPIC, REQUEST_TOPIC)
PICTURE_WIDTH = 100
MEMORIES = LinkModel(t2_s=(0.5, 0.5), memory_slots=64)
WISHES = (
    Wish("alice-qkd", number=4, min_fidelity=0.9, max_time_s=0.5, min_lifetime_s=0.005, pause_s=0.08),
    Wish("sensing", number=1, min_fidelity=0.97, max_time_s=0.5, min_lifetime_s=0.001, pause_s=0.15, priority=1),
)
REFRESH_S = 0.25
LINE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Show:
    """How the demo is shown, and for how long."""

    seed: int
    duration_s: float | None
    as_json: bool
    picture: Path | None


@click.command()
@click.option("--duration", type=click.FloatRange(min=1), default=10.0, help="Seconds to run.")
@click.option("--forever", is_flag=True, help="Run until Ctrl-C.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the photons' randomness.  [default: a new one, printed]")
@click.option("--board", "url", default=SIMULATED, help="Another link than the simulated one.")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Keep keys and journal here.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Save the last view as an SVG here.")
@json_option
def demo(
    url: str, home: Path | None, seed: int | None, duration: float, forever: bool, picture: Path | None, as_json: bool
) -> None:
    """Run a whole link on this machine, and watch it.

    Simulated photons of two nodes click in the gateware's own RTL, whose frames the C decoder reads; the supervisor
    turns heralds into pairs and gives them to two applications, over authenticated sockets. It ends by itself and
    sums up. The first time the RTL is compiled, which takes about a minute.

    \\b
    Example:
        qlinkctl demo
        qlinkctl demo --forever
        qlinkctl demo --duration 20 --seed 7 --json
    """
    chosen = secrets.randbelow(10**6) if seed is None else seed
    show = Show(chosen, None if forever else duration, as_json, picture)
    console = stderr() if as_json else stdout()
    console.print(f"seed {chosen} (the same photons again: qlinkctl demo --seed {chosen})")
    joined = f"{url}{'&' if '?' in url else '?'}seed={chosen}" if url.startswith("twin://") else url
    with _home(home) as place:
        link = set_up(joined, Configuration(), MEMORIES, lambda step: console.print(step, style="dim"))
        state = asyncio.run(_run(link, place, show, console))
    if as_json:
        write_json(asdict(state))
    else:
        console.print(summary(state))


def summary(state: DemoState) -> RenderableType:
    """Return what the demo comes to, as a table."""
    rows: list[tuple[object, ...]] = [
        ("clicks and heralds from the board", f"{state.received:,}", f"{state.lost} lost, {state.gaps} frames missing"),
        ("heralds", f"{sum(state.heralds):,}", ", ".join(_counts(zip(BELL_STATES, state.heralds, strict=True)))),
        ("pairs given", f"{dict(state.pairs)['given']:,}", ", ".join(_counts(state.pairs))),
    ]
    for tenant in state.tenants:
        quality = f"fidelity {tenant.mean_fidelity:.3f}, " if tenant.mean_fidelity is not None else ""
        wait = f"median wait {tenant.median_wait_ms:.1f} ms, " if tenant.median_wait_ms is not None else ""
        rows.append(
            (
                f"pairs of {tenant.name}",
                f"{tenant.pairs:,}",
                f"{quality}{wait}{tenant.expired} of {tenant.requests} requests late",
            )
        )
    for each in state.objectives:
        rows.append(
            (f"{each.id} {each.name}", each.value or "-", f"promised {each.target}, budget left {each.budget:.0%}")
        )
    return table(f"{state.elapsed_s:.1f} s of a link, seed {state.seed}", ("", "value>", ""), rows)


def _counts(named: Iterable[tuple[str, int]]) -> Iterator[str]:
    return (f"{count:,} {name}" for name, count in named if count)


async def _run(link: LinkSetup, home: Path, show: Show, console: Console) -> DemoState:
    """Run service, applications and view; return the last state."""
    store = KeyStore(home)
    for wish in WISHES:
        store.make_client(wish.tenant, wish.tenant, (Right.SUBSCRIBE, Right.REQUEST))
    endpoints = Endpoints("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", metrics_port=0)
    service = Service(service_settings(link, home, endpoints), Outside(link.open_board, link.nodes))
    experiences = [Experience(wish) for wish in WISHES]
    observer = Observer(show.seed, CHANNELS, show.duration_s)
    tasks = [asyncio.create_task(service.run())]
    try:
        await _first(service.started.wait(), tasks)
        begun = asyncio.get_running_loop().time()
        seeds = np.random.SeedSequence(show.seed).spawn(len(experiences))
        for experience, seed in zip(experiences, seeds, strict=True):
            tasks.append(asyncio.create_task(run_application(experience, home, np.random.default_rng(seed))))
        tasks.append(asyncio.create_task(_listen(observer, home, begun)))
        return await _first(_watch(service, experiences, observer, show, console), tasks)
    finally:
        service.stop()
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(work: Coroutine[Any, Any, Result], others: Iterable[asyncio.Task[None]]) -> Result:
    """Return what `work` returns; an error or an end of one of the others ends it too."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        return task.result()
    task.cancel()
    for other in done:
        other.result()
    raise NoAnswer("the supervisor ended before the demo was over: see what it logged above")


async def _listen(observer: Observer, home: Path, begun: float) -> None:
    """Hear what everybody is told, over the network like everybody."""
    loop = asyncio.get_running_loop()
    async with open_client(home) as client:
        async for news in client.subscribe(*TOPICS):
            observer.hear(news.body, loop.time() - begun)


async def _watch(
    service: Service, experiences: Sequence[Experience], observer: Observer, show: Show, console: Console
) -> DemoState:
    """Show how it goes until the time is up, or Ctrl-C."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    begun = loop.time()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    with _view(console, show) as update:
        while True:
            state = observer.look(loop.time() - begun, service.sight(), experiences)
            update(state)
            if ending.is_set() or (show.duration_s is not None and state.elapsed_s >= show.duration_s) or service.ended:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), REFRESH_S)
    if show.picture is not None:
        _save(state, show.picture)
    return state


@contextmanager
def _view(console: Console, show: Show) -> Iterator[Callable[[DemoState], None]]:
    """Yield how to show a state: a live picture on a terminal, else a line a second."""
    if console.is_terminal and not show.as_json:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda state: live.update(render(state, console.width, console.height), refresh=True)
        return
    next_s = LINE_EVERY_S

    def line(state: DemoState) -> None:
        nonlocal next_s
        if state.elapsed_s >= next_s:
            next_s += LINE_EVERY_S
            console.print(as_line(state), soft_wrap=True)

    yield line


def as_line(state: DemoState) -> str:
    """Write a state in one line."""
    tenants = ", ".join(f"{tenant.name} {tenant.pairs}" for tenant in state.tenants)
    rate = state.herald_rates[-1] if state.herald_rates else 0.0
    return (
        f"{state.elapsed_s:5.1f} s  {amount(sum(state.click_rates))} clicks/s  {amount(rate)} heralds/s  "
        f"pairs: {tenants}  lost: {state.lost}"
    )


def _save(state: DemoState, path: Path) -> None:
    console = Console(
        width=PICTURE_WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(render(state, PICTURE_WIDTH))
    console.save_svg(str(path), title="make demo")


@contextmanager
def _home(home: Path | None) -> Iterator[Path]:
    if home is not None:
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="qlink-demo-") as folder:
        yield Path(folder)
