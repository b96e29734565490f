"""What a board is to us: its pins, its clock, its USB chip."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qlink.firmware_bridge.registers import OUTPUTS, SYNC_LINES, TRIGGERS

from ..parameters import Parameters
from . import gearing, sampling
from .family import ECP5, Family

__all__ = ["OUTPUT_CLOCKS", "Fifo", "Latency", "Pin", "Profile", "SyncPins"]

#: The register in the herald pin's own IO cell, which makes clock-to-pin the same on every pin and in every build.
OUTPUT_CLOCKS = 1

FIFO_BYTES_PER_S = 40_000_000  # what an FT232H or FT2232H carries, as users of its synchronous FIFO report
UART_BITS = 10  # that a byte takes


@dataclass(frozen=True, slots=True)
class Pin:
    """A contact that the user wires, and the FPGA ball behind it."""

    connector: str
    contact: int | str
    ball: str

    def __str__(self) -> str:
        return f"{self.connector} pin {self.contact} (ball {self.ball})"


@dataclass(frozen=True, slots=True)
class Fifo:
    """The pins of an FT232H or FT2232H in synchronous FIFO mode. `clock` is CLKOUT, 60 MHz."""

    data: tuple[Pin, ...]
    clock: Pin
    txe_n: Pin
    rxf_n: Pin
    wr_n: Pin
    rd_n: Pin
    oe_n: Pin
    siwu_n: Pin

    @property
    def pins(self) -> tuple[Pin, ...]:
        return (*self.data, self.clock, self.txe_n, self.rxf_n, self.wr_n, self.rd_n, self.oe_n, self.siwu_n)


@dataclass(frozen=True, slots=True)
class SyncPins:
    """The lines to and from another board, each way: ready, trigger, success."""

    outputs: tuple[Pin, Pin, Pin]
    inputs: tuple[Pin, Pin, Pin]

    def __post_init__(self) -> None:
        if len(self.outputs) != SYNC_LINES or len(self.inputs) != SYNC_LINES:
            raise ValueError(f"there are {SYNC_LINES} lines each way to another board")


@dataclass(frozen=True)
class Latency:
    """From the clock in which a detector's edge is sampled to the edge at the herald pin; pads and wires not counted.

    `engine_clocks` is what the register `herald_latency` says: samples in the logic to herald in the logic.
    Patterns with forbidden channels are decided a window later.
    """

    engine_clocks: int
    pin_clocks: int
    clock_ns: float

    @property
    def clocks(self) -> int:
        return self.engine_clocks + self.pin_clocks

    @property
    def ns(self) -> float:
        return self.clocks * self.clock_ns


@dataclass(frozen=True)
class Profile:
    """One board as this project uses it.

    `detectors[c]` is the input of channel c, `heralds[b]` the output of outcome b, `actions[o]` output o of
    feed-forward. `samples` subticks a clock go through the gearing of inputs and actions, so one tick is
    1 / (clock_hz * samples). What has no pins here is not built: no more triggers and actions, PPS and 10 MHz inputs
    and lines to another board than are named. `sizes` are further `Parameters`. Bytes travel by UART at `baud`, or by
    `fifo` when there is one.

    `verified`: place and route of the whole engine has met the clock; otherwise nobody knows yet whether it does.
    """

    name: str
    platform: Callable[[], Any]
    detectors: tuple[Pin, ...]
    reference: Pin
    heralds: tuple[Pin, ...]
    clock_hz: int
    baud: int
    interface: int  # of the FTDI chip, from 1: the one that is the UART
    programmers: Mapping[str, str]  # FTDI chip on the board -> the board's name at openFPGALoader
    samples: int = 4
    patterns: int = 8
    actions: tuple[Pin, ...] = ()  # outputs of feed-forward; without any the board has none
    pulses: int = 2  # of an outcome's action table
    family: Family = ECP5
    sizes: Mapping[str, Any] = field(default_factory=dict)
    triggers: tuple[Pin, ...] = ()  # of the sequencer's outputs, from 0 on
    pps: Pin | None = None
    ten_mhz: Pin | None = None
    sync: SyncPins | None = None
    fifo: Fifo | None = None
    dedicated_clock: bool = False  # iCE40: the clock's pin is the one that the PLL takes its input from
    verified: bool = False

    def __post_init__(self) -> None:
        balls = [pin.ball for pin in self.pins]
        if len(balls) != len(set(balls)):
            raise ValueError(f"profile {self.name}: a ball is used twice")
        if len(self.heralds) != 4:
            raise ValueError(f"profile {self.name}: there are four outcomes, not {len(self.heralds)}")
        if len(self.actions) > OUTPUTS:
            raise ValueError(f"profile {self.name}: feed-forward has {OUTPUTS} outputs, not {len(self.actions)}")
        if len(self.triggers) > TRIGGERS:
            raise ValueError(f"profile {self.name}: a sequence has {TRIGGERS} triggers, not {len(self.triggers)}")

    @property
    def times(self) -> Mapping[str, Pin]:
        """The inputs of another clock, by the name of their port."""
        return {name: pin for name, pin in (("pps", self.pps), ("ten_mhz", self.ten_mhz)) if pin is not None}

    @property
    def sampled(self) -> tuple[Pin, ...]:
        """Inputs of which every subtick is looked at: what is geared, in this order."""
        return (*self.detectors, self.reference, *self.times.values())

    @property
    def pins(self) -> tuple[Pin, ...]:
        return (
            *(*self.sampled, *self.heralds, *self.triggers, *self.actions),
            *((*self.sync.outputs, *self.sync.inputs) if self.sync else ()),
            *(self.fifo.pins if self.fifo else ()),
        )

    @property
    def parameters(self) -> Parameters:
        return Parameters(
            channels=len(self.detectors),
            patterns=self.patterns,
            samples=self.samples,
            clock_hz=self.clock_hz,
            board=self.name[:4].upper(),
            pulses=self.pulses if self.actions else 0,
            triggers=len(self.triggers),
            outputs=len(self.actions),
            pps=self.pps is not None,
            ten_mhz=self.ten_mhz is not None,
            sync=self.sync is not None,
            **self.sizes,
        )

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the engine can do and this board does not, in words: a host that asks for it is told so."""
        p = self.parameters
        has = {
            "click stream": p.streams,
            "input delays": p.delay_depth,
            "forbidden channels": p.veto_depth,
            "multiplicities and guard times": p.multiplicity,
            "accidental counters": p.accidentals,
            "clicks near heralds": p.filter_depth,
            "histogram": p.histogram_bins,
            "triggers": p.triggers,
            "feed-forward": p.pulses,
            "lines to another board": p.sync,
            "PPS": p.pps,
            "10 MHz": p.ten_mhz,
        }
        return tuple(name for name, there in has.items() if not there)

    @property
    def device(self) -> str:
        return str(self.platform().device)

    @property
    def edge_hz(self) -> int:
        """The clock that both of its edges sample the inputs with."""
        return self.clock_hz * self.samples // 2

    @property
    def tick_ps(self) -> float:
        return 1e12 / (self.clock_hz * self.samples)

    @property
    def clock_ns(self) -> float:
        return 1e9 / self.clock_hz

    @property
    def shift_ns(self) -> float:
        """By how much any input can be shifted against the others, either way; 0: inputs have no delays."""
        ticks = (1 << self.parameters.delay_bits) - 1
        return ticks // 2 * self.tick_ps / 1000

    @property
    def latency(self) -> Latency:
        input_clocks = gearing.INPUT_CLOCKS if self.samples == gearing.SAMPLES else sampling.INPUT_CLOCKS[self.samples]
        return Latency(self.parameters.herald_latency, input_clocks + OUTPUT_CLOCKS, self.clock_ns)

    @property
    def link(self) -> str:
        """The name of the byte link's pins, as a resource of the platform."""
        return "fifo" if self.fifo else "uart"

    @property
    def transport(self) -> str:
        """The kind of byte link."""
        return "FT245 FIFO" if self.fifo else f"UART, {self.baud / 1e6:g} Mbaud"

    @property
    def bytes_per_s(self) -> float:
        """What the byte link carries."""
        return FIFO_BYTES_PER_S if self.fifo else self.baud / UART_BITS
