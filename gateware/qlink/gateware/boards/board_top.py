"""A board's FPGA from pin to pin: clocks, geared inputs, a core, and its UART."""

from amaranth.build import Attrs, Pins, Resource
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io

from .gearing import INPUT_CLOCKS, ClockTree, GearedInput, clock_domains
from .profile import Profile

__all__ = ["OUTPUT_CLOCKS", "PIN_CLOCKS", "BoardTop"]

#: The register in the herald pin's own IO cell, which makes clock-to-pin the same on every pin and in every build.
OUTPUT_CLOCKS = 1

#: What a board adds to the engine's own herald latency.
PIN_CLOCKS = INPUT_CLOCKS + OUTPUT_CLOCKS


class BoardTop(Elaboratable):
    """Connect `core` to the pins of `profile`.

    `core` is a component with the members `samples`, `reference`, `heralds`, `actions` and `skip` of `TimingEngine`,
    and `rx` and `tx`, the two wires of a UART, neither of them synchronised. Its other inputs stay at their initial
    values. It runs in the domain `sync` at `profile.clock_hz`.
    """

    def __init__(self, profile: Profile, core) -> None:
        self._profile = profile
        self._core = core

    def elaborate(self, platform):
        m = Module()
        profile, core = self._profile, self._core
        platform.add_resources(_resources(profile))
        m.domains += clock_domains()
        m.submodules.core = core
        self._clocks(m, platform)

        pins = [platform.request("detector", c, dir="-") for c in range(len(profile.detectors))]
        m.submodules.inputs = inputs = GearedInput([*pins, platform.request("reference", 0, dir="-")])
        m.d.comb += [
            core.samples.eq(inputs.samples),
            core.reference.eq(inputs.samples[len(core.samples) :]),
            core.skip.eq(0),
        ]
        for outcome in range(len(profile.heralds)):
            port = platform.request("herald", outcome, dir="-")
            m.submodules[f"herald{outcome}"] = pin = io.FFBuffer("o", port)
            m.d.comb += pin.o.eq(core.heralds[outcome])
        for output in range(len(profile.actions)):
            port = platform.request("action", output, dir="-")
            m.submodules[f"action{output}"] = pin = io.FFBuffer("o", port)
            m.d.comb += pin.o.eq(core.actions[output * profile.samples :][: profile.samples].any())

        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-"})
        m.submodules.rx_pin = rx = io.Buffer("i", uart.rx)
        m.submodules.tx_pin = tx = io.FFBuffer("o", uart.tx)
        m.d.comb += [core.rx.eq(rx.i), tx.o.eq(core.tx)]
        return m

    def _clocks(self, m, platform):
        board_hz = round(platform.default_clk_frequency)
        m.submodules.clocks = clocks = ClockTree(board_hz, self._profile.edge_hz)
        m.submodules.board = clock = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        m.submodules.reset = reset = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
        m.d.comb += [clocks.board_clock.eq(clock.i), clocks.board_reset.eq(reset.i)]


def _resources(profile):
    """An open detector input reads 0, and a slow edge is one edge."""
    listening = Attrs(IO_TYPE=profile.io_type, PULLMODE="DOWN", HYSTERESIS="ON")
    driving = Attrs(IO_TYPE=profile.io_type)
    detectors = [Resource("detector", c, Pins(p.ball, dir="i"), listening) for c, p in enumerate(profile.detectors)]
    heralds = [Resource("herald", b, Pins(p.ball, dir="o"), driving) for b, p in enumerate(profile.heralds)]
    actions = [Resource("action", o, Pins(p.ball, dir="o"), driving) for o, p in enumerate(profile.actions)]
    return [*detectors, *actions, Resource("reference", 0, Pins(profile.reference.ball, dir="i"), listening), *heralds]
