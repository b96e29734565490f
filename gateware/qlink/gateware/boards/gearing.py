"""ECP5 clocks and 4:1 gearing: both edges of an edge clock at twice the system clock.

The chain is `EHXPLLL -> ECLKSYNCB -> CLKDIVF(2.0)` for the clocks, `IB -> IDDRX2F` for an input and `ODDRX2F -> OB` for
an output. nextpnr places both cells only in left and right IO banks, knows no `ALIGNWD` there, and routes an edge clock
to the banks of one side of the chip, 2 and 3 or 6 and 7: all that is geared has to be there.
"""

from dataclasses import dataclass
from itertools import product

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = [
    "INPUT_CLOCKS",
    "SAMPLES",
    "ClockTree",
    "GearedInput",
    "GearedOutput",
    "PllSettings",
    "clock_domains",
    "ecp5_pll",
    "pll_settings",
]

SAMPLES = 4

#: Clocks by which `GearedInput.samples` lags: IDDRX2F's own output register.
INPUT_CLOCKS = 1

_VCO_HZ = range(400_000_000, 800_000_001)
_PHASE_DETECTOR_HZ = range(10_000_000, 400_000_001)
_GUARD_HZ = 1  # rounding of a quotient


@dataclass(frozen=True, slots=True)
class PllSettings:
    """Dividers of an EHXPLLL whose feedback is CLKOP: output = input / reference * feedback."""

    reference: int
    feedback: int
    output: int


def pll_settings(input_hz: int, output_hz: int) -> PllSettings:
    """Return the settings that give exactly `output_hz` with the fastest phase detector and VCO."""
    for reference, feedback in product(range(1, 33), range(1, 81)):
        if input_hz * feedback != output_hz * reference or input_hz // reference not in _PHASE_DETECTOR_HZ:
            continue
        outputs = [divider for divider in range(1, 129) if output_hz * divider in _VCO_HZ]
        if outputs:
            return PllSettings(reference, feedback, max(outputs))
    raise ValueError(f"the PLL cannot make {output_hz} Hz of {input_hz} Hz; choose another system clock")


def clock_domains() -> list[ClockDomain]:
    """Return the domains that `ClockTree` drives, for the module that holds it.

    None resets its registers: the chip's global reset does, on wires of its own.
    """
    sync = ClockDomain("sync", reset_less=True)
    sync.clk = Signal(name="system_clock")  # by this name it stands in the timing report
    return [ClockDomain("start", reset_less=True), ClockDomain("edge"), sync]


def ecp5_pll(m, board_clock, board_hz, output_hz):
    """Make `output_hz` of `board_clock`. Returns the clock and whether it is locked."""
    settings = pll_settings(board_hz, output_hz)
    fast, locked = Signal(), Signal()
    m.submodules.pll = Instance(
        "EHXPLLL",
        a_FREQUENCY_PIN_CLKI=f"{board_hz / 1e6:g}",
        a_FREQUENCY_PIN_CLKOP=f"{output_hz / 1e6:g}",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_CLKI_DIV=settings.reference,
        p_CLKFB_DIV=settings.feedback,
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=settings.output,
        p_CLKOP_CPHASE=settings.output - 1,
        p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH="CLKOP",
        i_CLKI=board_clock,
        i_CLKFB=fast,
        i_RST=Const(0),
        i_STDBY=Const(0),
        i_PHASESEL0=Const(0),
        i_PHASESEL1=Const(0),
        i_PHASEDIR=Const(1),
        i_PHASESTEP=Const(1),
        i_PHASELOADREG=Const(1),
        i_PLLWAKESYNC=Const(0),
        i_ENCLKOP=Const(0),
        o_CLKOP=fast,
        o_LOCK=locked,
    )
    return fast, locked


class ClockTree(wiring.Component):
    """Drive the `clock_domains`: `edge`, `sync` (half of `edge`) and `start`, the board clock of `board_hz`.

    After lock, the edge clock is stopped while the dividers and all gearing are held in reset, so that every pin's
    gearing and the divider start at the same edge: a tick means the same on all channels. While there is no lock, all
    registers are held at their initial values; `sync` does not run until long after.

    Members
    -------
    board_clock, board_reset : In(1), from their pins; the reset is active high
    """

    board_clock: In(1)
    board_reset: In(1)

    def __init__(self, board_hz: int, edge_hz: int) -> None:
        self._board_hz = board_hz
        self._edge_hz = edge_hz
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += ClockSignal("start").eq(self.board_clock)

        stop = Signal()
        fast, locked = ecp5_pll(m, self.board_clock, self._board_hz, self._edge_hz)
        m.submodules.global_reset = Instance("GSR", i_GSR=locked & ~self.board_reset)  # active low
        self._start_up(m, locked, stop)
        m.submodules.stopper = Instance("ECLKSYNCB", i_ECLKI=fast, i_STOP=stop, o_ECLKO=ClockSignal("edge"))
        m.submodules.divider = Instance(
            "CLKDIVF",
            p_DIV="2.0",
            i_CLKI=ClockSignal("edge"),
            i_RST=ResetSignal("edge"),
            i_ALIGNWD=Const(0),
            o_CDIVX=ClockSignal(),
        )
        return m

    def _start_up(self, m, locked, stop):
        """Count board clocks since lock; each step lasts eight of them."""
        stable = Signal()
        m.submodules.locked = FFSynchronizer(locked & ~self.board_reset, stable, o_domain="start")
        count = Signal(6)
        step = count[3:]
        reset = Signal(init=1)
        with m.If(~stable):
            m.d.start += count.eq(0)
        with m.Elif(~count.all()):
            m.d.start += count.eq(count + 1)
        m.d.start += [  # registered: a glitch on a clock gate would be a clock
            stop.eq((step >= 2) & (step < 5)),
            reset.eq(step < 4),
        ]
        m.d.comb += ResetSignal("edge").eq(reset)


class GearedInput(wiring.Component):
    """Sample `ports[i]`, a single pin each, four times a clock.

    Members
    -------
    samples : Out(4 * pins), bit 4 * i + s is pin i, subtick s; s=0 is the oldest. Lags `INPUT_CLOCKS` clocks.
    """

    def __init__(self, ports) -> None:
        self._ports = tuple(ports)
        super().__init__({"samples": Out(SAMPLES * len(self._ports))})

    def elaborate(self, platform):
        m = Module()
        words = []
        for i, port in enumerate(self._ports):
            m.submodules[f"buffer{i}"] = buffer = io.Buffer("i", port)
            word = Signal(SAMPLES, name=f"word{i}")
            m.submodules[f"gear{i}"] = Instance(
                "IDDRX2F",
                i_D=buffer.i,
                i_ECLK=ClockSignal("edge"),
                i_SCLK=ClockSignal("sync"),
                i_RST=ResetSignal("edge"),
                **{f"o_Q{s}": word[s] for s in range(SAMPLES)},  # Q0 is what came first
            )
            words.append(word)
        m.d.comb += self.samples.eq(Cat(words))
        return m


class GearedOutput(wiring.Component):
    """Drive `port`, a single pin, with four levels a clock.

    Members
    -------
    levels : In(4), one a subtick; 0 is the first at the pin
    """

    levels: In(SAMPLES)

    def __init__(self, port) -> None:
        self._port = port
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = io.Buffer("o", self._port)
        m.submodules.gear = Instance(
            "ODDRX2F",
            **{f"i_D{s}": self.levels[s] for s in range(SAMPLES)},  # D0 is what goes first
            i_ECLK=ClockSignal("edge"),
            i_SCLK=ClockSignal("sync"),
            i_RST=ResetSignal("edge"),
            o_Q=buffer.o,
        )
        return m
