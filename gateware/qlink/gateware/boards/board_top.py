"""A board's FPGA from pin to pin: clocks, sampled inputs, a core, and its way to the host."""

from amaranth.build import Attrs, Clock, Pins, Resource, Subsignal
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from . import gearing
from .clocks import ArtixClocks, Ecp5Clocks, Ice40Clocks
from .family import ARTIX, ECP5, ICE40
from .profile import Profile
from .sampling import PlainInput, PlainOutput

__all__ = ["BoardTop"]

FIFO_HZ = 60_000_000
FIFO_INPUTS = ("txe_n", "rxf_n")
FIFO_OUTPUTS = ("wr_n", "rd_n", "oe_n", "siwu_n")


class BoardTop(Elaboratable):
    """Connect `core` to the pins of `profile`.

    `core` is a component with the members `samples`, `reference`, `heralds`, `skip` and, as far as the profile has pins
    for them, `triggers`, `actions`, `pps`, `ten_mhz`, `sync_in` and `sync_out` of `TimingEngine`; and either `rx` and
    `tx`, the two wires of a UART, or the pins of `Ft245`, none of them synchronised. Its other inputs stay at their
    initial values. It runs in the domain `sync` at `profile.clock_hz`.
    """

    def __init__(self, profile: Profile, core) -> None:
        self._profile = profile
        self._core = core

    def elaborate(self, platform):
        m = Module()
        profile, core = self._profile, self._core
        platform.add_resources(_resources(profile))
        m.submodules.core = core
        self._clocks(m, platform)

        m.d.comb += core.skip.eq(0)
        self._inputs(m, platform)
        self._outputs(m, platform)
        wires = dict.fromkeys((part.name for part in platform.lookup(profile.link, 0).ios), "-")
        attach = self._fifo if profile.fifo else self._uart
        attach(m, platform.request(profile.link, 0, dir=wires))
        return m

    def _inputs(self, m, platform):
        """Everything that is timed goes through the same gearing: a tick means the same on all of these pins."""
        profile, core = self._profile, self._core
        names = [("detector", c) for c in range(len(profile.detectors))]
        names += [(name, 0) for name in ("reference", *profile.times)]
        pins = [platform.request(name, n, dir="-") for name, n in names]
        geared = profile.samples == gearing.SAMPLES
        m.submodules.inputs = inputs = gearing.GearedInput(pins) if geared else PlainInput(pins, profile.samples)
        place = 0
        for word in (core.samples, core.reference, *(getattr(core, name) for name in profile.times)):
            m.d.comb += word.eq(inputs.samples[place : place + len(word)])
            place += len(word)

    def _outputs(self, m, platform):
        """Levels of a clock have registers in their pins, those of a tick gearing."""
        profile, core = self._profile, self._core
        levels = [("herald", n, level) for n, level in enumerate(core.heralds)]
        levels += [("trigger", n, core.triggers[n]) for n in range(len(profile.triggers))]
        if profile.sync:
            levels += [("sync_out", n, level) for n, level in enumerate(core.sync_out)]
            for n, level in enumerate(core.sync_in):
                m.submodules[f"sync_in{n}"] = pin = io.FFBuffer("i", platform.request("sync_in", n, dir="-"))
                m.d.comb += level.eq(pin.i)
        for name, n, level in levels:
            m.submodules[f"{name}{n}"] = pin = io.FFBuffer("o", platform.request(name, n, dir="-"))
            m.d.comb += pin.o.eq(level)
        for n in range(len(profile.actions)):
            port = platform.request("action", n, dir="-")
            geared = profile.samples == gearing.SAMPLES
            m.submodules[f"action{n}"] = output = (
                gearing.GearedOutput(port) if geared else PlainOutput(port, profile.samples)
            )
            m.d.comb += output.levels.eq(core.actions[n * profile.samples :][: profile.samples])

    def _clocks(self, m, platform):
        profile = self._profile
        board_hz = round(platform.default_clk_frequency)
        pin = platform.request(platform.default_clk, dir="-")
        if profile.family is ICE40:
            clocks = Ice40Clocks(pin, board_hz, profile.clock_hz, dedicated=profile.dedicated_clock)
            m.domains += clocks.domains()
            m.submodules.clocks = clocks
            return
        if profile.samples == gearing.SAMPLES:
            clocks = gearing.ClockTree(board_hz, profile.edge_hz)
            m.domains += gearing.clock_domains()
        else:
            clocks = {ECP5.name: Ecp5Clocks, ARTIX.name: ArtixClocks}[profile.family.name](board_hz, profile.clock_hz)
            m.domains += clocks.domains()
        m.submodules.clocks = clocks
        m.submodules.board = clock = io.Buffer("i", pin)
        m.d.comb += clocks.board_clock.eq(clock.i)
        if platform.default_rst is not None:
            m.submodules.reset = reset = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
            m.d.comb += clocks.board_reset.eq(reset.i)

    def _uart(self, m, uart):
        m.submodules.rx_pin = rx = io.Buffer("i", uart.rx)
        m.submodules.tx_pin = tx = io.FFBuffer("o", uart.tx)
        m.d.comb += [self._core.rx.eq(rx.i), tx.o.eq(self._core.tx)]

    def _fifo(self, m, fifo):
        """The chip clocks its bus itself; that domain leaves its reset after `sync` has."""
        core = self._core
        m.domains += ClockDomain("ft245")
        m.submodules.fifo_reset = ResetSynchronizer(ResetSignal("sync", allow_reset_less=True), domain="ft245")
        m.submodules.fifo_clock = clock = io.Buffer("i", fifo.clock)
        m.submodules.fifo_data = bus = io.Buffer("io", fifo.data)
        m.d.comb += [
            ClockSignal("ft245").eq(clock.i),
            core.data_i.eq(bus.i),
            bus.o.eq(core.data_o),
            bus.oe.eq(core.data_oe),
        ]
        for name in FIFO_INPUTS:
            m.submodules[f"fifo_{name}"] = pin = io.Buffer("i", getattr(fifo, name))
            m.d.comb += getattr(core, name).eq(pin.i)
        for name in FIFO_OUTPUTS:
            m.submodules[f"fifo_{name}"] = pin = io.Buffer("o", getattr(fifo, name))
            m.d.comb += pin.o.eq(getattr(core, name))


def _resources(profile):
    listening, driving = Attrs(**profile.family.listening), Attrs(**profile.family.driving)
    inputs = {"detector": profile.detectors, "reference": (profile.reference,)}
    inputs |= {name: (pin,) for name, pin in profile.times.items()}
    outputs = {"herald": profile.heralds, "trigger": profile.triggers, "action": profile.actions}
    if profile.sync:
        inputs["sync_in"], outputs["sync_out"] = profile.sync.inputs, profile.sync.outputs
    kinds = ((inputs, "i", listening), (outputs, "o", driving))
    return [
        *(
            Resource(name, n, Pins(pin.ball, dir=direction), attributes)
            for several, direction, attributes in kinds
            for name, pins in several.items()
            for n, pin in enumerate(pins)
        ),
        *([_fifo_resource(profile.fifo, driving)] if profile.fifo else []),
    ]


def _fifo_resource(fifo, attributes):
    """Levels as they are: the core's names say which are active low."""
    return Resource(
        "fifo",
        0,
        Subsignal("data", Pins(" ".join(pin.ball for pin in fifo.data), dir="io")),
        Subsignal("clock", Pins(fifo.clock.ball, dir="i"), Clock(FIFO_HZ)),
        *(Subsignal(name, Pins(getattr(fifo, name).ball, dir="i")) for name in FIFO_INPUTS),
        *(Subsignal(name, Pins(getattr(fifo, name).ball, dir="o")) for name in FIFO_OUTPUTS),
        attributes,
    )
