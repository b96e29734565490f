"""A board's FPGA from pin to pin: clocks, sampled inputs, a core, and its way to the host."""

from amaranth.build import Attrs, Clock, Pins, Resource, Subsignal
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from . import gearing
from .clocks import ArtixClocks, Ecp5Clocks, Ice40Clocks
from .family import ARTIX, ECP5, ICE40
from .profile import Profile
from .sampling import PlainInput

__all__ = ["BoardTop"]

FIFO_HZ = 60_000_000
FIFO_INPUTS = ("txe_n", "rxf_n")
FIFO_OUTPUTS = ("wr_n", "rd_n", "oe_n", "siwu_n")


class BoardTop(Elaboratable):
    """Connect `core` to the pins of `profile`.

    `core` is a component with the members `samples`, `reference`, `heralds`, `skip` and, as far as the profile has pins
    for them, `triggers` and `actions` of `TimingEngine`; and either `rx` and `tx`, the two wires of a UART, or the pins
    of `Ft245`, none of them synchronised. Its other inputs stay at their initial values. It runs in the domain `sync`
    at `profile.clock_hz`.
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

        pins = [platform.request("detector", c, dir="-") for c in range(len(profile.detectors))]
        pins.append(platform.request("reference", 0, dir="-"))
        geared = profile.samples == gearing.SAMPLES
        m.submodules.inputs = inputs = gearing.GearedInput(pins) if geared else PlainInput(pins, profile.samples)
        m.d.comb += [
            core.samples.eq(inputs.samples),
            core.reference.eq(inputs.samples[len(core.samples) :]),
            core.skip.eq(0),
        ]
        actions = [core.actions[o * profile.samples :][: profile.samples].any() for o in range(len(profile.actions))]
        triggers = [core.triggers[n] for n in range(len(profile.triggers))]
        for name, levels in (("herald", core.heralds), ("trigger", triggers), ("action", actions)):
            for n, level in enumerate(levels):
                m.submodules[f"{name}{n}"] = pin = io.FFBuffer("o", platform.request(name, n, dir="-"))
                m.d.comb += pin.o.eq(level)
        wires = dict.fromkeys((part.name for part in platform.lookup(profile.link, 0).ios), "-")
        attach = self._fifo if profile.fifo else self._uart
        attach(m, platform.request(profile.link, 0, dir=wires))
        return m

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
    detectors = [Resource("detector", c, Pins(p.ball, dir="i"), listening) for c, p in enumerate(profile.detectors)]
    heralds = [Resource("herald", b, Pins(p.ball, dir="o"), driving) for b, p in enumerate(profile.heralds)]
    heralds += [Resource("trigger", n, Pins(p.ball, dir="o"), driving) for n, p in enumerate(profile.triggers)]
    heralds += [Resource("action", o, Pins(p.ball, dir="o"), driving) for o, p in enumerate(profile.actions)]
    reference = Resource("reference", 0, Pins(profile.reference.ball, dir="i"), listening)
    return [*detectors, reference, *heralds, *([_fifo_resource(profile.fifo, driving)] if profile.fifo else [])]


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
