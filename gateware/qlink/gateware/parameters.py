"""What is fixed when a board's gateware is built."""

from dataclasses import dataclass, replace

from qlink.firmware_bridge.registers import (
    MAX_BINS,
    MAX_PULSES,
    OUTPUTS,
    TRIGGERS,
    VETO_CLOCKS,
    WINDOW_BITS,
    Feature,
)
from qlink.firmware_bridge.wire import MAX_CHANNELS, MAX_PATTERNS, Coding

TICK_BITS = 64
COMPACT = {
    **{"compact": True, "veto_depth": 0, "click_depth": 0, "filter_depth": 0, "accidentals": False},
    **{"delay_depth": 0, "histogram_bins": 0, "sequencer": False},
}
"""`Parameters` of a board with gates, patterns and counters only, of as few cells as there is a way to."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Size and speed of one board's timing engine.

    `tick_fs` is one tick in femtoseconds, 0: derived from `clock_hz` and `samples`. Memory depths are powers of two:
    `veto_depth` in clocks (the longest window of a pattern with forbidden channels), `pattern_depth` in heralds of one
    pattern that may wait for their record, `herald_depth` in records that may wait for the link, `click_depth` in
    clocks with clicks that may wait to be put in order (0: clicks are counted and matched, and not streamed),
    `record_depth` in words of click records that may wait for the link, `frame_depth` in words of frames being filled
    and sent, `delay_depth` in clocks by which an input can be delayed (0: inputs have no delays), `filter_depth` in
    clocks that clicks may wait until it is known whether there is a herald near them (0: no such choice).
    `histogram_bins` is a power of two, too (0: there is no histogram). `sequencer`: whether there are trigger outputs.
    `sync`: whether there are lines to another board. `accidentals`: whether patterns have accidental counters, which
    take a matcher of their own each. `multiplicity`: whether they have multiplicities and guard times. `tag_coding`:
    whether clicks can be coded (wire.Coding.RICE), in frames of `frame_depth` of their own. `pulses` is the length of
    an outcome's action table (0: no feed-forward).

    `window_bits` are those of a window in ticks. `compact`: made of few logic cells, for a slow clock. Nothing can veto
    there, so that patterns are decided at once and all together: `herald_depth` is in clocks with heralds.

    `triggers` and `outputs` of feed-forward lead to pins, and so do the inputs `pps` and `ten_mhz`, or they do not: the
    board says so, and its host asks for nothing else.
    """

    channels: int = 8
    patterns: int = 8
    samples: int = 4
    clock_hz: int = 200_000_000
    tick_fs: int = 0
    board: str = "TWIN"
    veto_depth: int = VETO_CLOCKS
    pattern_depth: int = 16
    herald_depth: int = 256
    click_depth: int = 512
    record_depth: int = 8192
    frame_depth: int = 1024
    delay_depth: int = 4096
    sequencer: bool = True
    sync: bool = True
    accidentals: bool = True
    histogram_bins: int = 1024
    pulses: int = 4
    filter_depth: int = 4096
    multiplicity: bool = False
    tag_coding: bool = True
    window_bits: int = WINDOW_BITS
    compact: bool = False
    triggers: int = TRIGGERS
    outputs: int = OUTPUTS
    pps: bool = True
    ten_mhz: bool = True

    def __post_init__(self):
        _check_range("channels", self.channels, 1, MAX_CHANNELS)
        _check_range("patterns", self.patterns, 1, MAX_PATTERNS)
        _check_range("pulses", self.pulses, 0, MAX_PULSES)
        _check_range("triggers", self.triggers, 0, TRIGGERS)
        _check_range("outputs", self.outputs, 0, OUTPUTS)
        if self.samples not in (1, 2, 4):
            raise ValueError(f"samples must be 1, 2 or 4 per clock, not {self.samples}")
        if len(self.board) != 4 or not self.board.isascii():
            raise ValueError(f"board must be four ASCII letters, not {self.board!r}")
        _check_range("clock_hz", self.clock_hz, 1, 10**9)
        _check_range("window_bits", self.window_bits, 3, WINDOW_BITS)
        for name in ("pattern_depth", "herald_depth", "record_depth", "frame_depth"):
            _check_depth(name, getattr(self, name))
        for name in ("veto_depth", "click_depth", "delay_depth"):
            _check_depth(name, getattr(self, name), optional=True)
        absent = ("veto_depth", "multiplicity", "accidentals", "filter_depth", "click_depth", "sync")
        if self.compact and any(getattr(self, name) for name in absent):
            raise ValueError(f"a compact board has none of {', '.join(absent)}")
        if not self.compact and not self.veto_depth:
            raise ValueError("veto_depth is 0 on compact boards only")
        depth = self.filter_depth
        if depth and (depth < self.veto_depth + 64 or depth & (depth - 1)):
            raise ValueError(f"filter_depth must be 0 or a power of two above veto_depth + 64, not {depth}")
        bins = self.histogram_bins
        if bins and (not 16 <= bins <= MAX_BINS or bins & (bins - 1)):
            raise ValueError(f"histogram_bins must be 0 or a power of two from 16 to {MAX_BINS}, not {bins}")
        if not self.tick_fs:
            object.__setattr__(self, "tick_fs", round(10**15 / (self.clock_hz * self.samples)))

    def lean(self) -> "Parameters":
        """The same board with nothing but clicks, gates, patterns, counters and their stream: quicker to simulate."""
        less = {"delay_depth": 0, "histogram_bins": 0, "filter_depth": 0, "pulses": 0}
        return replace(self, sequencer=False, sync=False, accidentals=False, multiplicity=False, **less)

    @property
    def herald_latency(self) -> int:
        """Clocks from the one in which `samples` shows the completing click to the one in which the pin is high.

        A pattern with forbidden channels takes its window, rounded up to clocks, and six clocks more.
        """
        return 5 if self.compact else 6

    @property
    def streams(self) -> bool:
        """Whether clicks are streamed, and not only counted and matched."""
        return self.click_depth > 0

    @property
    def times(self) -> bool:
        """Whether there are inputs of another clock."""
        return self.pps or self.ten_mhz

    @property
    def delay_bits(self) -> int:
        """Bits of an input's delay in ticks."""
        return (self.delay_depth * self.samples).bit_length() - 1 if self.delay_depth else 0

    @property
    def trigger_latency(self) -> int:
        """Clocks from the one in which `reference` shows an accepted edge to the first one of its triggers."""
        return 3

    @property
    def branch_latency(self) -> int:
        """Clocks from a herald's pin to the first one of the triggers of the soonest attempt that plays its branch."""
        return 8

    @property
    def features(self) -> Feature:
        """What patterns can have."""
        features = Feature.ACCIDENTALS if self.accidentals else Feature(0)
        return features | (Feature.MULTIPLICITY if self.multiplicity else Feature(0))

    @property
    def codings(self) -> int:
        """Bit n: clicks can be sent in the coding of number n."""
        return (1 << Coding.PLAIN | self.tag_coding << Coding.RICE) if self.streams else 0

    @property
    def action_latency(self) -> int:
        """Clocks likewise to the one in which the first tick of a pulse of feed-forward may be at the outputs."""
        return self.herald_latency + 8

    @property
    def vicinity_bits(self) -> int:
        """Bits of the ticks that a click may be from a herald to be chosen by it."""
        return ((self.filter_depth - self.veto_depth - 32) * self.samples).bit_length() - 1 if self.filter_depth else 0

    @property
    def sub_bits(self) -> int:
        """Bits of a subtick: the lowest bits of a tick, `tick = clock * samples + sub`."""
        return self.samples.bit_length() - 1

    @property
    def clock_bits(self) -> int:
        """Bits of a clock number: the upper bits of a tick."""
        return TICK_BITS - self.sub_bits


def _check_range(name, value, low, high):
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


def _check_depth(name, depth, optional=False):
    if not (optional and depth == 0) and (depth < 8 or depth & (depth - 1)):
        raise ValueError(f"{name} must be {'0 or ' * optional}a power of two from 8 up, not {depth}")
