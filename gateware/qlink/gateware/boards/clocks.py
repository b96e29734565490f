"""System clocks without gearing: a PLL, and nothing runs before it is locked."""

from dataclasses import dataclass
from itertools import product

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In

from .gearing import ecp5_pll

__all__ = ["ArtixClocks", "Ecp5Clocks", "Ice40Clocks", "Ice40Settings", "artix_settings", "ice40_settings"]

START_CLOCKS = 512  # after lock; block RAMs of an iCE40 read 0 for its first microseconds
ICE40_FILTERS = (17, 26, 44, 66, 101)  # MHz of the phase detector from which on the next filter is taken


def system_domain(*, reset_less: bool) -> ClockDomain:
    """Return the domain `sync`, whose clock is `system_clock` in timing reports."""
    domain = ClockDomain("sync", reset_less=reset_less)
    domain.clk = Signal(name="system_clock")
    return domain


class Ecp5Clocks(wiring.Component):
    """Drive `sync` at `clock_hz`. It does not run before the PLL is locked; the chip's global reset holds registers.

    Members
    -------
    board_clock, board_reset : In(1), from their pins; the reset is active high
    """

    board_clock: In(1)
    board_reset: In(1)

    def __init__(self, board_hz: int, clock_hz: int) -> None:
        self._rates = board_hz, clock_hz
        super().__init__()

    def domains(self) -> list[ClockDomain]:
        """Return the domains that are driven, for the module that holds this."""
        return [ClockDomain("start", reset_less=True), system_domain(reset_less=True)]

    def elaborate(self, platform):
        m = Module()
        m.d.comb += ClockSignal("start").eq(self.board_clock)
        clock, locked = ecp5_pll(m, self.board_clock, *self._rates)
        m.submodules.global_reset = Instance("GSR", i_GSR=locked & ~self.board_reset)  # active low
        running = _after_lock(m, locked & ~self.board_reset)
        m.submodules.gate = Instance("DCCA", i_CLKI=clock, i_CE=running, o_CLKO=ClockSignal())
        return m


class ArtixClocks(wiring.Component):
    """Drive `sync` at `clock_hz` by a PLLE2_BASE. It does not run before the PLL is locked.

    Members
    -------
    board_clock, board_reset : In(1), from their pins; the reset is active high, and restarts the PLL
    """

    board_clock: In(1)
    board_reset: In(1)

    def __init__(self, board_hz: int, clock_hz: int) -> None:
        self._rates = board_hz, clock_hz
        super().__init__()

    def domains(self) -> list[ClockDomain]:
        """Return the domains that are driven, for the module that holds this."""
        return [ClockDomain("start", reset_less=True), system_domain(reset_less=False)]

    def elaborate(self, platform):
        m = Module()
        m.d.comb += ClockSignal("start").eq(self.board_clock)
        board_hz, clock_hz = self._rates
        multiply, divide = artix_settings(board_hz, clock_hz)
        feedback, clock, locked = Signal(), Signal(), Signal()
        m.submodules.pll = Instance(
            "PLLE2_BASE",
            p_CLKIN1_PERIOD=1e9 / board_hz,
            p_DIVCLK_DIVIDE=1,
            p_CLKFBOUT_MULT=multiply,
            p_CLKOUT0_DIVIDE=divide,
            i_CLKIN1=self.board_clock,
            i_CLKFBIN=feedback,
            i_RST=self.board_reset,
            i_PWRDWN=Const(0),
            o_CLKFBOUT=feedback,
            o_CLKOUT0=clock,
            o_LOCKED=locked,
        )
        running = _after_lock(m, locked)
        m.submodules.gate = Instance("BUFGCE", i_I=clock, i_CE=running, o_O=ClockSignal())
        m.submodules.reset = ResetSynchronizer(self.board_reset, domain="sync")
        return m


class Ice40Clocks(wiring.Component):
    """Drive `sync` from the clock pin `port`, through a PLL unless the rates are the same. Reset until all is steady.

    `dedicated`: the pin is the one that the PLL takes its input from, and which nothing else can take it from then.
    """

    def __init__(self, port, board_hz: int, clock_hz: int, *, dedicated: bool) -> None:
        self._port = port
        self._rates = board_hz, clock_hz
        self._dedicated = dedicated
        self._sync = system_domain(reset_less=False)
        super().__init__({})

    def domains(self) -> list[ClockDomain]:
        """Return the domains that are driven, for the module that holds this: `start` has the same clock."""
        start = ClockDomain("start", reset_less=True)
        start.clk = self._sync.clk
        return [start, self._sync]

    def elaborate(self, platform):
        m = Module()
        board_hz, clock_hz = self._rates
        locked = Signal(init=1)
        pin = {"p_PIN_TYPE": Const(0b000001, 6), "io_PACKAGE_PIN": self._port.io}
        if board_hz == clock_hz:
            m.submodules.pin = Instance("SB_GB_IO", **pin, o_GLOBAL_BUFFER_OUTPUT=ClockSignal())
        elif self._dedicated:
            self._pll(m, "SB_PLL40_PAD", locked, io_PACKAGEPIN=self._port.io)
        else:
            board_clock = Signal()
            m.submodules.pin = Instance("SB_IO", **pin, o_D_IN_0=board_clock)
            self._pll(m, "SB_PLL40_CORE", locked, i_REFERENCECLK=board_clock)
        m.d.comb += ResetSignal("sync").eq(~_after_lock(m, locked))
        platform.add_clock_constraint(self._sync.clk, clock_hz)
        return m

    def _pll(self, m, cell, locked, **source):
        settings = ice40_settings(*self._rates)
        m.submodules.pll = Instance(
            cell,
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(settings.reference, 4),
            p_DIVF=Const(settings.feedback, 7),
            p_DIVQ=Const(settings.output, 3),
            p_FILTER_RANGE=Const(settings.filter, 3),
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=ClockSignal(),
            o_LOCK=locked,
            **source,
        )


@dataclass(frozen=True, slots=True)
class Ice40Settings:
    """The fields of an SB_PLL40: output = input / (reference + 1) * (feedback + 1) / 2**output."""

    reference: int
    feedback: int
    output: int
    filter: int


def ice40_settings(input_hz: int, output_hz: int) -> Ice40Settings:
    """Return the settings that give exactly `output_hz`, with VCO and phase detector in the data sheet's ranges."""
    for reference, feedback, output in product(range(16), range(128), range(1, 7)):
        compared_hz, vco_hz = input_hz / (reference + 1), output_hz * 2**output
        exact = input_hz * (feedback + 1) == vco_hz * (reference + 1)
        if exact and 10e6 <= compared_hz <= 133e6 and 533e6 <= vco_hz <= 1066e6:
            return Ice40Settings(reference, feedback, output, 1 + sum(compared_hz >= 1e6 * f for f in ICE40_FILTERS))
    raise ValueError(f"the PLL cannot make {output_hz} Hz of {input_hz} Hz; choose another system clock")


def artix_settings(input_hz: int, output_hz: int) -> tuple[int, int]:
    """Return multiplier and output divider of a PLLE2 that give exactly `output_hz` at 800 to 1600 MHz in between."""
    for multiply, divide in product(range(2, 65), range(1, 129)):
        if input_hz * multiply == output_hz * divide and 800_000_000 <= input_hz * multiply <= 1_600_000_000:
            return multiply, divide
    raise ValueError(f"the PLL cannot make {output_hz} Hz of {input_hz} Hz; choose another system clock")


def _after_lock(m, locked):
    """Return a register that is high from `START_CLOCKS` clocks of the domain `start` after lock on."""
    stable, running = Signal(), Signal()
    m.submodules.locked = FFSynchronizer(locked, stable, o_domain="start")
    count = Signal(range(START_CLOCKS))
    m.d.start += [count.eq(Mux(stable, count + ~count.all(), 0)), running.eq(count.all())]
    return running
