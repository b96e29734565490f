"""Edges of a clock that is not the board's, timed by the board's: what the host compares the two by."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.wire import Kind, TimeSource

from .interface import ClickSlot
from .layouts import stamped
from .parameters import TICK_BITS
from .pipeline import delayed
from .sampler import Sampler

__all__ = ["TimeCapture"]

SAMPLED = 1  # clocks that a `Sampler` takes
EDGE_BITS = 64
NUMBER_BITS = 32


class TimeCapture(wiring.Component):
    """Note the tick of every PPS edge, and of one of so many 10 MHz edges.

    `lost` and `merged` belong to `clock`. One record of each source may wait for `times`; one that finds no room is
    lost, and shown so, and numbered all the same.

    Members
    -------
    pps, ten_mhz : In(samples), the inputs at each subtick, 0 the oldest
    every_pps : In(1), PPS edges are noted
    every_ten_mhz : In(32), how many 10 MHz edges make a record; 0: none does
    rearm : In(1), the next record is of the `every_ten_mhz`th edge from here on
    clock : In, the number of the clock that the inputs showed `latency` clocks ago
    times : Out(stream of a time)
    lost : Out(2), there is no room for the record of this source
    merged : Out(1), an input rose twice in `clock`: the second edge is not counted
    idle : Out(1), if no input changes, nothing will happen
    """

    def __init__(self, parameters, latency):
        self._parameters = parameters
        self._latency = latency
        super().__init__(
            {
                "pps": In(parameters.samples),
                "ten_mhz": In(parameters.samples),
                "every_pps": In(1),
                "every_ten_mhz": In(32),
                "rearm": In(1),
                "clock": In(parameters.clock_bits),
                "times": Out(stream.Signature(stamped(Kind.TIME))),
                "lost": Out(len(TimeSource)),
                "merged": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pps, pps_merged, pps_edge = self._sample(m, "pps", self.pps)
        ten_mhz, ten_mhz_merged, ten_mhz_edge = self._sample(m, "ten_mhz", self.ten_mhz)
        m.d.comb += self.merged.eq(pps_merged | ten_mhz_merged)

        edges = Signal(EDGE_BITS)  # before `clock`
        m.d.sync += edges.eq(edges + ten_mhz.valid)
        due = {TimeSource.PPS: pps.valid & self.every_pps, TimeSource.TEN_MHZ: self._count_down(m, ten_mhz.valid)}
        clicks = {TimeSource.PPS: pps, TimeSource.TEN_MHZ: ten_mhz}
        slots = {}
        for source, click in clicks.items():
            counted = ten_mhz.valid & (ten_mhz.sub <= click.sub)  # in this clock, up to this edge
            slots[source] = self._note(m, source, due[source], Cat(click.sub, self.clock), Cat(counted, edges))
        waiting = self._send(m, slots)
        self._rest(m, pps_edge | ten_mhz_edge, waiting)
        return m

    def _sample(self, m, name, samples):
        """Return the edge of `clock`, whether there was a second, and whether one is coming right now."""
        m.submodules[name] = sampler = Sampler(self._parameters)
        m.d.comb += [sampler.samples.eq(samples), sampler.run.eq(1)]
        click = Signal(ClickSlot(self._parameters), name=f"{name}_click")
        m.d.comb += click.eq(delayed(m, sampler.click.as_value(), self._latency - SAMPLED))
        return click, delayed(m, sampler.merged, self._latency - SAMPLED), sampler.edge

    def _count_down(self, m, edge):
        """Return whether `edge` is the last of so many."""
        wanted, fires = Signal(), Signal()
        left = Signal(signed(33))  # negative: the next edge fires
        after = Signal(signed(33))
        rearm = delayed(m, self.rearm, 1)
        m.d.sync += [wanted.eq(self.every_ten_mhz != 0), after.eq(self.every_ten_mhz - 2)]
        m.d.comb += fires.eq(edge & wanted & (left < 0) & ~rearm)
        with m.If(rearm | fires):
            m.d.sync += left.eq(after)
        with m.Elif(edge):
            m.d.sync += left.eq(left - 1)
        return fires

    def _note(self, m, source, due, tick, edges):
        """Return the record that waits: `edges` before its clock, and one more if `counted`."""
        shape = {"valid": 1, "taken": 1, "tick": TICK_BITS, "counted": 1, "edges": EDGE_BITS, "number": NUMBER_BITS}
        slot = Signal(data.StructLayout(shape), name=f"slot{source}")
        number = Signal(NUMBER_BITS, name=f"number{source}")
        m.d.comb += self.lost[source].eq(due & slot.valid)
        with m.If(slot.taken):
            m.d.sync += slot.valid.eq(0)
        with m.If(due):
            m.d.sync += number.eq(number + 1)
        with m.If(~slot.valid):
            m.d.sync += [
                slot.valid.eq(due),
                slot.tick.eq(tick),
                Cat(slot.counted, slot.edges).eq(edges),
                slot.number.eq(number),
            ]
        return slot

    def _send(self, m, slots):
        """Take what waits, PPS first. Returns whether anything does."""
        pps, ten_mhz = slots[TimeSource.PPS], slots[TimeSource.TEN_MHZ]
        time, turn, both = self.times.payload, Signal(TimeSource), Cat(pps.valid, ten_mhz.valid)
        free = Signal()
        m.d.comb += [
            turn.eq(Mux(pps.valid, TimeSource.PPS, TimeSource.TEN_MHZ)),
            free.eq(~self.times.valid),
        ]
        taken = {source: Signal(name=f"taken{source}") for source in slots}
        for source, slot in slots.items():
            m.d.comb += taken[source].eq(free & slot.valid & (turn == source) & ~slot.taken)
            m.d.sync += slot.taken.eq(taken[source])
        with m.If(self.times.valid & self.times.ready):
            m.d.sync += self.times.valid.eq(0)
        with m.If(free):
            chosen = {name: Mux(turn == TimeSource.PPS, pps[name], ten_mhz[name]) for name in pps.shape().members}
            m.d.sync += [
                self.times.valid.eq(Cat(taken.values()).any()),
                time.tick.eq(chosen["tick"]),
                time.source.eq(turn),
                time.number.eq(chosen["number"]),
                time.edges.eq(chosen["edges"] + chosen["counted"]),
            ]
        return both.any() | self.times.valid

    def _rest(self, m, edge, waiting):
        """Be idle when no edge is under way."""
        most = self._latency + 3
        settling = Signal(range(most + 1), init=most)
        with m.If(edge | waiting):
            m.d.sync += settling.eq(most)
        with m.Elif(settling != 0):
            m.d.sync += settling.eq(settling - 1)
        m.d.comb += self.idle.eq((settling == 0) & ~edge & ~waiting)
