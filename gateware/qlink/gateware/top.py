"""The engine with its way to the host: what stands between the pins of a chip."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, connect

from .engine import TimingEngine
from .ft245 import Ft245
from .uart import Uart

__all__ = ["Top", "ft245_top", "uart_top"]

STREAMS = ("upstream", "downstream")
ENGINE_INPUTS = ("samples", "reference", "pps", "ten_mhz")
UNSETTLED = ("sync_in", "skip")  # that the engine synchronises itself, or that no pin drives
ENGINE_OUTPUTS = ("heralds", "triggers", "actions", "sync_out")


class Top(wiring.Component):
    """A timing engine, and a `link` that carries its bytes: all ports are plain pins.

    `raw` inputs come straight from pins, one sample a clock, and are synchronised here (two clocks more); otherwise
    they come from input gearing, in the clock's domain.

    Members
    -------
    samples, reference, pps, ten_mhz : In, sync_in, skip : In, as in `TimingEngine`
    heralds, triggers, actions, sync_out : Out, likewise
    and those of `link` that are not its byte streams
    """

    def __init__(self, engine, link, raw=False):
        if raw and engine.parameters.samples != 1:
            raise ValueError(f"raw pins have one sample a clock, not {engine.parameters.samples}")
        self._engine = engine
        self._link = link
        self._raw = raw
        members = engine.signature.members
        own = {name: members[name] for name in (*ENGINE_INPUTS, *ENGINE_OUTPUTS, *UNSETTLED)}
        pins = {name: member for name, member in link.signature.members.items() if name not in STREAMS}
        self._pins = tuple(pins)
        super().__init__({**own, **pins})

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self._engine
        m.submodules.link = link = self._link
        connect(m, engine.upstream, link.upstream)
        connect(m, link.downstream, engine.downstream)
        for name in ENGINE_INPUTS:
            settled = getattr(self, name)
            if self._raw:
                settled = Signal.like(settled, name=f"{name}_settled")
                m.submodules[f"{name}_synchroniser"] = FFSynchronizer(getattr(self, name), settled)
            m.d.comb += getattr(engine, name).eq(settled)
        for name in ENGINE_OUTPUTS:
            m.d.comb += getattr(self, name).eq(getattr(engine, name))
        for name in UNSETTLED:
            m.d.comb += getattr(engine, name).eq(getattr(self, name))
        for name in self._pins:
            inner, outer = getattr(link, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if link.signature.members[name].flow is In else outer.eq(inner)
        return m


def uart_top(parameters, baud, raw=False):
    """Return an engine behind a UART."""
    return Top(TimingEngine(parameters), Uart(parameters.clock_hz, baud), raw)


def ft245_top(parameters, raw=False):
    """Return an engine behind an FT232H or FT2232H in synchronous FIFO mode; CLKOUT drives the domain `ft245`."""
    return Top(TimingEngine(parameters), Ft245(), raw)
