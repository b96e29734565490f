"""Drive Amaranth components in simulation."""

from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Any

from amaranth.sim import Simulator

CLOCK = 5e-9  # s

Bench = Callable[[Any], Awaitable[None]]


def simulate(dut: Any, *benches: Bench, background: Iterable[Bench] = (), limit: int = 10_000) -> None:
    """Run `benches` to their end; fail if that takes more than `limit` clocks."""

    async def watchdog(ctx: Any) -> None:
        await ctx.delay(limit * CLOCK)
        raise TimeoutError(f"no end after {limit} clocks")

    sim = Simulator(dut)
    sim.add_clock(CLOCK)
    for bench in benches:
        sim.add_testbench(bench)
    for bench in (*background, watchdog):
        sim.add_testbench(bench, background=True)
    sim.run()


def sender(stream: Any, payloads: Iterable[Any], rng: Random, pause: float = 0.3) -> Bench:
    """A bench that offers `payloads` in order, pausing before each with the probability `pause`, again and again."""

    async def bench(ctx: Any) -> None:
        for payload in payloads:
            while rng.random() < pause:
                await ctx.tick()
            ctx.set(stream.payload, payload)
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

    return bench


def receiver(stream: Any, into: list[Any], rng: Random, stall: float = 0.3) -> Bench:
    """A background bench that appends each payload to `into`, stalling with the probability `stall` in each clock."""

    async def bench(ctx: Any) -> None:
        while True:
            ready = rng.random() >= stall
            ctx.set(stream.ready, ready)
            _, _, payload, valid = await ctx.tick().sample(stream.payload, stream.valid)
            if ready and valid:
                into.append(payload)

    return bench
