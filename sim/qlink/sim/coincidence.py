"""What the gateware decides, in plain Python: the authority for what is a click, an attempt and a herald.

Ticks are integers, `tick = clock * samples + subtick`. `observe` is the whole of it; the steps stand below it in
the order in which the gateware takes them. It looks at a finished recording, so it may look ahead; the gateware waits.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from qlink.firmware_bridge.configuration import Configuration, Gate, Pattern
from qlink.firmware_bridge.registers import Mode
from qlink.firmware_bridge.wire import CounterGroup, GlobalCounter, HeraldFlag, counter_index

Edge = tuple[int, int]  # tick, channel
ALL_TIME = 2**64
NO_GATE = Gate(0, 0)
DEAD_CLOCKS = 3


@dataclass(frozen=True, slots=True)
class Herald:
    """The fields of the wire's herald record, with the tick whole and ages by contributing channel."""

    tick: int
    sequence: int
    attempt: int
    pattern: int
    outcome: int
    flags: int
    position: int
    ages: dict[int, int]


@dataclass(frozen=True, slots=True)
class Observation:
    """What a recording comes to: heralds in order of decision, and counters by `wire.counter_index`."""

    heralds: list[Herald]
    counts: Counter[int]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: from its reference's tick on, until the tick `end`, which is no part of it."""

    number: int
    reference: int
    end: int
    doubled: tuple[int, ...] = ()  # first ticks of the clocks in which another reference came


@dataclass(frozen=True, slots=True)
class Completion:
    """Enough required channels clicked within the window; `decided` is the clock of the verdict."""

    decided: int
    pattern: int
    tick: int
    clicks: dict[int, int]  # the contributing clicks' ticks by channel
    vetoed: bool
    attempt: Attempt


def observe(
    configuration: Configuration, samples: int, edges: Sequence[Edge], references: Sequence[int], end: int
) -> Observation:
    """Decide a recording of rising `edges` (sorted) and `references` (sorted ticks) that ends at clock `end`."""
    counts: Counter[int] = Counter()
    edges, references = late(configuration, edges, references)
    clicks = sample(edges, samples, counts)
    tries, missed = [Attempt(0, 0, ALL_TIME)], []
    if configuration.mode is Mode.GATED:
        tries = attempts(configuration, samples, references, counts)
        missed = timeouts(configuration.reference_timeout, [tick // samples for tick in references], end, counts)
    completed: list[Completion] = []
    all_counted: list[Edge] = []
    for attempt in tries:
        counted = gated(configuration, attempt, clicks)
        all_counted += counted
        counts.update(counter_index(CounterGroup.GATED, channel) for _, channel in counted)
        for number, pattern in enumerate(configuration.patterns):
            completed.extend(complete(number, pattern, samples, attempt, counted))
    completed = [judge(configuration.patterns[c.pattern], c, all_counted) for c in completed]
    completed = [completion for completion in completed if completion.decided < end]
    heralds = list(announce(configuration, samples, completed, missed, counts))
    for number, pattern in enumerate(configuration.patterns):
        found = accidentals(pattern, configuration.accidental_clocks, samples, all_counted)
        counts[counter_index(CounterGroup.ACCIDENTALS, number)] += sum(tick // samples < end for tick in found)
    return Observation(heralds, counts)


def late(
    configuration: Configuration, edges: Sequence[Edge], references: Sequence[int]
) -> tuple[list[Edge], list[int]]:
    """Delay each input. From here on, a tick is one of a delayed edge."""
    common = configuration.common_delay
    delayed = ((tick + common + configuration.delays.get(channel, 0), channel) for tick, channel in edges)
    return sorted(delayed), [tick + common + configuration.reference_delay for tick in references]


def sample(edges: Sequence[Edge], samples: int, counts: Counter[int]) -> list[Edge]:
    """Keep a channel's first edge of each clock: that is a click. The others are merged into it."""
    clicks: list[Edge] = []
    last: dict[int, int] = {}
    for tick, channel in edges:
        merged = last.get(channel) == tick // samples
        counts[counter_index(CounterGroup.MERGED if merged else CounterGroup.CLICKS, channel)] += 1
        if not merged:
            clicks.append((tick, channel))
        last[channel] = tick // samples
    return clicks


def attempts(
    configuration: Configuration, samples: int, references: Sequence[int], counts: Counter[int]
) -> list[Attempt]:
    """Start an attempt at each reference that finds none running; the others double it, at most once a clock."""
    found: list[Attempt] = []
    for clock, group in groupby(references, lambda tick: tick // samples):
        ticks = list(group)
        if not found or ticks[0] >= found[-1].end:
            stop = (clock + configuration.attempt_clocks) * samples
            found.append(Attempt(len(found) + 1, ticks.pop(0), stop))
            counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.ATTEMPTS)] += 1
        if ticks:
            running = found[-1]
            doubled = (*running.doubled, clock * samples)
            found[-1] = Attempt(running.number, running.reference, running.end, doubled)
            counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.REFERENCES_DOUBLED)] += 1
    return found


def timeouts(timeout: int, references: Sequence[int], end: int, counts: Counter[int]) -> list[int]:
    """The clocks at which a reference is missed: `timeout` clocks after the last one, or after the last miss."""
    missed: list[int] = []
    for last, coming in zip((0, *references), (*references, end), strict=True):
        if timeout:
            missed.extend(range(last + timeout, coming, timeout))
    counts[counter_index(CounterGroup.GLOBAL, GlobalCounter.REFERENCES_MISSED)] += len(missed)
    return missed


def gated(configuration: Configuration, attempt: Attempt, clicks: Sequence[Edge]) -> list[Edge]:
    """Those clicks that count: all in free-running mode, else those in their gate and in the attempt."""
    begin, end = (bisect_left(clicks, (tick, 0)) for tick in (attempt.reference, attempt.end))
    if configuration.mode is Mode.FREE_RUNNING:
        return list(clicks[begin:end])
    gate = configuration.gates
    return [
        (tick, channel)
        for tick, channel in clicks[begin:end]
        if gate.get(channel, NO_GATE).start <= tick - attempt.reference < gate.get(channel, NO_GATE).stop
    ]


def complete(
    number: int, pattern: Pattern, samples: int, attempt: Attempt, clicks: Sequence[Edge]
) -> Iterator[Completion]:
    """Find one pattern in one attempt's clicks: greedy, one to one, the newest unconsumed click of each channel.

    With a minimum below the number of channels, none completes in the clock of a completion and in the two after it.
    """
    forbidden = [tick for tick, channel in clicks if channel in pattern.forbidden]
    delay = -(-pattern.reach // samples) if pattern.vetoed else 0
    least = pattern.minimum or len(pattern.required)
    dead_clocks = DEAD_CLOCKS if least < len(pattern.required) else 0
    held: dict[int, int] = {}
    alive_from = 0  # clock
    for tick, group in groupby(clicks, lambda click: click[0]):
        arrived = {channel: tick for _, channel in group if channel in pattern.required}
        held = {channel: at for channel, at in (held | arrived).items() if tick - at <= pattern.window}
        if arrived and len(held) >= least and tick // samples >= alive_from:
            first = min(held.values())
            vetoed = any(abs(click - first) <= pattern.reach for click in _near(forbidden, first))
            yield Completion(tick // samples + delay, number, tick, held, vetoed, attempt)
            held, alive_from = {}, tick // samples + dead_clocks


def judge(pattern: Pattern, completion: Completion, clicks: Sequence[Edge]) -> Completion:
    """Veto a completion with too many channels, or with clicks in its guard time, whatever attempt these are of."""
    if completion.vetoed or not (pattern.maximum or pattern.guard):
        return completion
    first, last = min(completion.clicks.values()), completion.tick
    around = (bisect_left(clicks, (tick, 0)) for tick in (first - pattern.guard, last + pattern.reach + 1))
    own = [(tick, channel) for tick, channel in clicks[slice(*around)] if channel in pattern.required]
    crowded = pattern.maximum and any(
        len({channel for tick, channel in own if start <= tick <= start + pattern.reach}) > pattern.maximum
        for start in completion.clicks.values()
    )
    near = pattern.guard and any(tick < first or last < tick <= last + pattern.guard for tick, _ in own)
    return replace(completion, vetoed=bool(crowded or near))


def _near(ticks: Sequence[int], tick: int) -> Sequence[int]:
    """The last one before `tick` and the first one from it on."""
    place = bisect_left(ticks, tick)
    return ticks[max(place - 1, 0) : place + 1]


def accidentals(pattern: Pattern, clocks: int, samples: int, clicks: Sequence[Edge]) -> list[int]:
    """The ticks at which `pattern` completes when its shifted channels' clicks are late by `clocks`.

    All clicks that count take part, whatever their attempts, and nothing vetoes. No offset or no shifted channel: none.
    """
    if not clocks or not pattern.shifted:
        return []
    late = sorted((tick + clocks * samples * (channel in pattern.shifted), channel) for tick, channel in clicks)
    plain = replace(pattern, forbidden=frozenset(), maximum=0, guard=0)
    return [completion.tick for completion in complete(0, plain, samples, Attempt(0, 0, ALL_TIME), late)]


def announce(
    configuration: Configuration,
    samples: int,
    completed: Sequence[Completion],
    missed: Sequence[int],
    counts: Counter[int],
) -> Iterator[Herald]:
    """Number the heralds by the clock of their decision, then by pattern."""
    sequence, before = 0, -1
    for completion in sorted(completed, key=lambda c: (c.decided, c.pattern)):
        group = CounterGroup.VETOED if completion.vetoed else CounterGroup.HERALDS
        counts[counter_index(group, completion.pattern)] += 1
        if completion.vetoed:
            continue
        attempt, flags = completion.attempt, HeraldFlag(0)
        if configuration.mode is Mode.GATED:
            flags |= HeraldFlag.GATED
            if any(clock <= completion.tick for clock in attempt.doubled):
                flags |= HeraldFlag.REFERENCE_DOUBLED
            if any(before < clock <= completion.decided for clock in missed):
                flags |= HeraldFlag.REFERENCE_MISSED
        yield Herald(
            tick=completion.tick,
            sequence=sequence,
            attempt=attempt.number,
            pattern=completion.pattern,
            outcome=configuration.patterns[completion.pattern].outcome,
            flags=flags,
            position=completion.tick - attempt.reference if configuration.mode is Mode.GATED else 0,
            ages={channel: completion.tick - tick for channel, tick in completion.clicks.items()},
        )
        sequence, before = sequence + 1, completion.decided
