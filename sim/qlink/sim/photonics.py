"""Clicks from physics: a heralded entanglement link, and a pair source.

Every draw comes from the generator passed in; the same seed gives the same clicks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, exp

import numpy as np
from numpy.typing import NDArray

from qlink.firmware_bridge.configuration import Configuration, Gate, Outcome, Pattern
from qlink.firmware_bridge.registers import Mode

from .midpoint import Arms, Heralding, double_click, single_click
from .sources import REFERENCE, Clicks, Source, Stretch, clicks_of, detected

PS_PER_S = 10**12
_SIGMAS = 4  # jitter is cut off there
_ATTEMPTS = 4096  # in a stretch
_PAIR_STRETCH_S = 0.005


class Scheme(StrEnum):
    SINGLE = "single"  # one photon heralds
    DOUBLE = "double"  # Barrett and Kok: two rounds, a photon in each


@dataclass(frozen=True, slots=True)
class HeraldedLink:
    """Two nodes and a midpoint with two detectors, which tries again and again.

    The single-click scheme has its detectors on channels 0 and 1. In the double-click scheme each detector is wired to
    two inputs, 0 and 1 gated to the first round, 2 and 3 to the second. An attempt begins with a reference edge.
    """

    attempt_hz: float = 1_000.0
    scheme: Scheme = Scheme.SINGLE
    alpha: float = 0.1  # single click: probability that a node sends
    efficiency_a: float = 0.1  # that a photon that the first node sent is detected within the window
    efficiency_b: float = 0.1
    visibility: float = 0.9
    offset_ps: int = 200_000  # from the reference to the first window
    window_ps: int = 50_000
    round_ps: int = 400_000  # double click: from the first window's start to the second's
    lifetime_ps: int = 10_000  # of the emitter
    dark_hz: float = 100.0  # per detector
    jitter_ps: float = 150.0  # standard deviation
    dead_ps: int = 60_000

    @property
    def arms(self) -> Arms:
        dark = 1 - exp(-self.dark_hz * self.window_ps / PS_PER_S)
        return Arms(self.efficiency_a, self.efficiency_b, self.visibility, dark)

    @property
    def heralding(self) -> Heralding:
        """What the closed form says of an attempt."""
        return (
            single_click(self.alpha, self.alpha, self.arms) if self.scheme is Scheme.SINGLE else double_click(self.arms)
        )

    @property
    def channels(self) -> int:
        return 2 * self.rounds

    @property
    def rounds(self) -> int:
        return 1 if self.scheme is Scheme.SINGLE else 2

    def gate(self, round_: int, tick_ps: float) -> Gate:
        """Ticks after the reference in which the photons of a round come."""
        start = self.offset_ps + round_ * self.round_ps
        return Gate(int(start / tick_ps), ceil((start + self.window_ps) / tick_ps))

    def configuration(self, tick_ps: float, samples: int) -> Configuration:
        """What a board has to be set to, to herald this link."""
        gates = [self.gate(round_, tick_ps) for round_ in range(self.rounds)]
        window = gates[-1].stop - gates[0].start
        if self.scheme is Scheme.SINGLE:
            wanted = [({0}, Outcome.PSI_PLUS), ({1}, Outcome.PSI_MINUS)]
        else:  # the same detector twice, or one each
            plus, minus = Outcome.PSI_PLUS, Outcome.PSI_MINUS
            wanted = [({0, 2}, plus), ({1, 3}, plus), ({0, 3}, minus), ({1, 2}, minus)]
        used = range(2 * self.rounds)
        return Configuration(
            patterns=tuple(
                Pattern(frozenset(channels), window, outcome, frozenset(used) - channels)
                for channels, outcome in wanted
            ),
            mode=Mode.GATED,
            gates={channel: gates[channel // 2] for channel in used},
            attempt_clocks=ceil(gates[-1].stop / samples) + 1,
            reference_timeout=ceil(10 * PS_PER_S / self.attempt_hz / tick_ps / samples),
        )

    def clicks(self, tick_ps: float, rng: np.random.Generator) -> Source:
        """Return the link's clicks and references, for ever."""
        return detected(self._attempts(tick_ps, rng), ceil(self.dead_ps / tick_ps))

    def _attempts(self, tick_ps: float, rng: np.random.Generator) -> Iterator[Stretch]:
        period = round(PS_PER_S / self.attempt_hz / tick_ps)
        start = period
        while True:
            references = start + period * np.arange(_ATTEMPTS, dtype=np.int64)
            end = start + period * _ATTEMPTS
            parts = [clicks_of(references, REFERENCE)]
            for round_, (attempt, detector) in enumerate(self._photons(rng)):
                delay = (self.offset_ps + round_ * self.round_ps + self._arrival(rng, len(attempt))) / tick_ps
                parts += self._wired(references[attempt] + delay.astype(np.int64), detector)
            for dark_detector in range(2):
                dark = poisson(self.dark_hz, start, end, tick_ps, rng)
                parts += self._wired(dark, np.full(len(dark), dark_detector))
            yield Stretch(np.concatenate(parts), end)
            start = end

    def _photons(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64]]]:
        """Draw a stretch of attempts: for each round, which attempts have a photon, and at which detector."""
        if self.scheme is Scheme.SINGLE:
            sent = rng.random((1, 2, _ATTEMPTS)) < self.alpha
        else:  # each node sends in one round or the other
            early = rng.random((2, _ATTEMPTS)) < 0.5
            sent = np.stack([early, ~early])
        efficiency = np.array([[self.efficiency_a], [self.efficiency_b]])
        for a, b in sent & (rng.random(sent.shape) < efficiency):
            first = rng.integers(0, 2, _ATTEMPTS)
            together = rng.random(_ATTEMPTS) < (1 + self.visibility) / 2
            second = np.where(a & b, np.where(together, first, 1 - first), rng.integers(0, 2, _ATTEMPTS))
            attempt_a, attempt_b = np.flatnonzero(a), np.flatnonzero(b)
            yield np.concatenate([attempt_a, attempt_b]), np.concatenate([first[attempt_a], second[attempt_b]])

    def _arrival(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw times of photons within their window, in ps: exponential decay, then the detector's jitter."""
        margin = _SIGMAS * self.jitter_ps
        length = self.window_ps - 2 * margin
        decay = -self.lifetime_ps * np.log1p(-rng.random(count) * -np.expm1(-length / self.lifetime_ps))
        return np.asarray(margin + decay + jitter(self.jitter_ps, rng, count))

    def _wired(self, ticks: NDArray[np.int64], detector: NDArray[np.int64]) -> list[Clicks]:
        return [clicks_of(ticks, detector + 2 * copy) for copy in range(self.rounds)]


@dataclass(frozen=True, slots=True)
class PairSource:
    """Photon pairs, as of SPDC: the two of a pair go to channels `i` and `arms + i`. Some are lost, darkness counts."""

    pair_hz: float = 100_000.0  # pairs made, on all channel pairs together
    arms: int = 4
    efficiency: float = 0.2  # that one photon of a pair is detected
    dark_hz: float = 500.0  # per channel
    jitter_ps: float = 350.0  # standard deviation
    dead_ps: int = 50_000

    @property
    def channels(self) -> int:
        return 2 * self.arms

    def clicks(self, tick_ps: float, rng: np.random.Generator) -> Source:
        """Return the source's clicks, for ever."""
        return detected(self._pairs(tick_ps, rng), ceil(self.dead_ps / tick_ps))

    def _pairs(self, tick_ps: float, rng: np.random.Generator) -> Iterator[Stretch]:
        length, start = ceil(_PAIR_STRETCH_S * PS_PER_S / tick_ps), 0
        while True:
            end = start + length
            made = poisson(self.pair_hz, start, end, tick_ps, rng)
            arm = rng.integers(0, self.arms, len(made))
            parts = []
            for side in range(2):
                arrived = np.flatnonzero(rng.random(len(made)) < self.efficiency)
                delay = _SIGMAS * self.jitter_ps + jitter(self.jitter_ps, rng, len(arrived))
                ticks = made[arrived] + (delay / tick_ps).astype(np.int64)
                parts.append(clicks_of(ticks, arm[arrived] + side * self.arms))
            for channel in range(2 * self.arms):
                parts.append(clicks_of(poisson(self.dark_hz, start, end, tick_ps, rng), channel))
            yield Stretch(np.concatenate(parts), end)
            start = end


def poisson(rate_hz: float, start: int, end: int, tick_ps: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the ticks, in [start, end), of events that come at random at `rate_hz`. Not sorted."""
    count = rng.poisson(rate_hz * (end - start) * tick_ps / PS_PER_S)
    return rng.integers(start, end, count)


def jitter(sigma_ps: float, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw Gaussian times in ps, cut off at four standard deviations."""
    return np.clip(rng.normal(0.0, sigma_ps, count), -_SIGMAS * sigma_ps, _SIGMAS * sigma_ps)
