"""What a board is to us: its pins, its clock, its USB chip."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qlink.firmware_bridge.registers import OUTPUTS

from ..parameters import Parameters

__all__ = ["Pin", "Profile"]


@dataclass(frozen=True, slots=True)
class Pin:
    """A contact that the user wires, and the FPGA ball behind it."""

    connector: str
    contact: int
    ball: str

    def __str__(self) -> str:
        return f"{self.connector} pin {self.contact} (ball {self.ball})"


@dataclass(frozen=True)
class Profile:
    """One board as this project uses it.

    `detectors[c]` is the input of channel c, `heralds[b]` the output of outcome b. All of them are of the IO type
    `io_type`, and so are the `actions`, outputs with the resolution of a clock. `samples` subticks a clock come from
    the input gearing, so one tick is 1 / (clock_hz * samples).
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
    io_type: str = "LVCMOS33"
    samples: int = 4
    patterns: int = 8
    actions: tuple[Pin, ...] = ()  # outputs of feed-forward; without any the board has none
    pulses: int = 2  # of an outcome's action table

    def __post_init__(self) -> None:
        balls = [pin.ball for pin in self.pins]
        if len(balls) != len(set(balls)):
            raise ValueError(f"profile {self.name}: a ball is used twice")
        if len(self.heralds) != 4:
            raise ValueError(f"profile {self.name}: there are four outcomes, not {len(self.heralds)}")
        if len(self.actions) > OUTPUTS:
            raise ValueError(f"profile {self.name}: feed-forward has {OUTPUTS} outputs, not {len(self.actions)}")

    @property
    def pins(self) -> tuple[Pin, ...]:
        return (*self.detectors, self.reference, *self.heralds, *self.actions)

    @property
    def parameters(self) -> Parameters:
        return Parameters(
            channels=len(self.detectors),
            patterns=self.patterns,
            samples=self.samples,
            clock_hz=self.clock_hz,
            board=self.name[:4].upper(),
            pulses=self.pulses if self.actions else 0,
        )

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
