"""Random configurations and pin edges, to compare gateware and model with."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from qlink.firmware_bridge.configuration import WINDOW_MAX, Configuration, Gate, Outcome, Pattern, Pulse
from qlink.firmware_bridge.registers import ACCIDENTAL_CLOCKS, OUTPUTS, VETO_CLOCKS, Mode

from .actions import lateness
from .coincidence import Edge


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a case is: of the board, and how many clocks from `begin` to `end`."""

    channels: int
    patterns: int
    samples: int
    begin: int
    end: int
    delay_ticks: int = 0  # the longest delay of an input
    pulses: int = 0  # of an outcome's action table
    action_latency: int = 0  # clocks
    multiplicity: bool = False  # patterns have multiplicities and guard times
    vetoes: bool = True  # and forbidden channels
    window_ticks: int = WINDOW_MAX


@dataclass(frozen=True, slots=True)
class Case:
    """What a board is set to, and the rising edges at its pins, sorted."""

    configuration: Configuration
    edges: list[Edge]
    references: list[int]  # ticks


def random_case(rng: Random, shape: Shape, mode: Mode) -> Case:
    """A case with patterns, rates, windows and gates of all sizes. The first reference comes at `begin`."""
    attempt_clocks = rng.choice([3, 10, 50, 200])
    delays = random_delays(rng, shape)
    longest = min(attempt_clocks * shape.samples, 60_000) if mode is Mode.GATED else rng.choice([3, 12, 100, 3000])
    patterns = tuple(random_pattern(rng, shape, longest) for _ in range(shape.patterns))
    configuration = Configuration(
        patterns=patterns,
        actions=random_actions(rng, shape, patterns),
        mode=mode,
        gates={c: random_gate(rng, attempt_clocks * shape.samples) for c in range(shape.channels)},
        attempt_clocks=attempt_clocks,
        reference_timeout=shape.begin + shape.delay_ticks + attempt_clocks * rng.randint(1, 4),
        delays=dict(enumerate(delays[1:])),
        reference_delay=delays[0],
        accidental_clocks=rng.choice([0, 1, 2, 3, rng.randint(4, 40), attempt_clocks, ACCIDENTAL_CLOCKS]),
    )
    densities = [rng.choice([0.003, 0.03, 0.1, 0.45]) for _ in range(shape.channels)]
    edges = [
        (tick, channel)
        for channel, density in enumerate(densities)
        for tick in rising_edges(rng, shape, density / rng.choice([1, 1, 4]))
    ]
    period = attempt_clocks * shape.samples
    first = shape.begin * shape.samples  # at once, so that it does not matter when the board began to wait
    references = rising_edges(rng, shape, min(0.45, rng.choice([0.3, 1, 3]) / period))
    return Case(configuration, sorted(edges), [first, *(tick for tick in references if tick > first + 1)])


def random_delays(rng: Random, shape: Shape) -> list[int]:
    """Signed delays of the reference and each channel, that differ by `delay_ticks` at most."""
    most = min(rng.choice([0, 3, 40, shape.delay_ticks]), shape.delay_ticks)
    least = rng.randint(-most, 0)
    return [rng.randint(least, least + most) if most else 0 for _ in range(shape.channels + 1)]


def random_pattern(rng: Random, shape: Shape, longest: int) -> Pattern:
    channels = list(range(shape.channels))
    rng.shuffle(channels)
    required = channels[: rng.choice([1, 2, 2, 2, 3, shape.channels, 0])]
    others = channels[len(required) :]
    forbidden = others[: rng.choice([0, 0, 1, 2])] if shape.vetoes else []
    limited = shape.multiplicity
    minimum = limited * rng.choice([0, 0, rng.randint(0, len(required))])
    maximum = limited * rng.choice([0, 0, rng.randint(minimum or len(required), len(required))])
    guarded = limited and rng.random() < 0.3
    vetoed = forbidden or maximum or guarded
    longest = min(longest, VETO_CLOCKS * shape.samples) if vetoed else longest
    longest = min(longest, shape.window_ticks)
    window = rng.choice([rng.randint(0, min(8, longest) if vetoed else 8), rng.randint(0, longest), longest])
    shifted = rng.sample(required, rng.randint(0, len(required)))
    return Pattern(
        required=frozenset(required),
        window=window,
        outcome=rng.choice(list(Outcome)),
        forbidden=frozenset(forbidden),
        shifted=frozenset(shifted),
        minimum=minimum,
        maximum=maximum,
        guard=rng.choice([window, rng.randint(window, longest)]) if guarded else 0,
    )


def random_actions(rng: Random, shape: Shape, patterns: Sequence[Pattern]) -> dict[Outcome, tuple[Pulse, ...]]:
    """Action tables, now and then of a pulse that is too soon."""

    def pulse(outcome: Outcome) -> Pulse:
        late = max((lateness(pattern, shape.samples) for pattern in patterns if pattern.outcome == outcome), default=0)
        soonest = (shape.action_latency + late) * shape.samples
        start = soonest + rng.choice([0, rng.randrange(8), rng.randrange(300), rng.randrange(-3, 3)])
        return Pulse(rng.randrange(OUTPUTS), start, rng.choice([1, rng.randint(1, 8), rng.randint(1, 500)]))

    sizes = range(shape.pulses + 1)
    return {outcome: tuple(pulse(outcome) for _ in range(rng.choice(sizes))) for outcome in Outcome}


def random_gate(rng: Random, length: int) -> Gate:
    start = rng.choice([0, rng.randrange(length), rng.randrange(length)])
    stop = rng.choice([length, start + rng.randint(0, 8), rng.randrange(2 * length)])
    return Gate(start, stop)


def rising_edges(rng: Random, shape: Shape, density: float) -> list[int]:
    """Ticks at which a pin rises; it is low for a tick at least before each."""
    ticks, tick = [], shape.begin * shape.samples
    while tick < shape.end * shape.samples:
        tick += 1 if rng.random() < density else 1 + int(rng.expovariate(density))
        ticks.append(tick)
        tick += 1
    return [tick for tick in ticks if tick < shape.end * shape.samples]


def levels(rng: Random, ticks: Sequence[int], length: int) -> list[int]:
    """A pin's level at each tick that rises at `ticks` and falls at random between."""
    pin = [0] * length
    for tick, coming in zip(ticks, [*ticks, length][1:], strict=True):
        stop = tick + 1 + (int(rng.random() ** 3 * (coming - tick - 1)) if coming > tick + 1 else 0)
        pin[tick:stop] = [1] * (stop - tick)
    return pin
