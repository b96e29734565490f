"""The whole timing engine: from sampled pins to heralds and to the host."""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.registers import OUTPUTS, SYNC_LINES, TRIGGERS

from .actions import Actions
from .detection import Detection, decided, fired
from .reporting import Reporting
from .time_capture import TimeCapture

__all__ = ["TimingEngine", "source_hash"]

SOURCES = ("qlink.gateware", "qlink.firmware_bridge.wire", "qlink.firmware_bridge.registers")


class TimingEngine(wiring.Component):
    """Time clicks, find heralds, and tell the host.

    A level on `samples` is that of the pin at one subtick, synchronised to the clock.

    Members
    -------
    samples : In(channels * samples), bit `c * samples + s` is channel `c` at subtick `s`, 0 the oldest
    reference : In(samples), the same for the reference
    pps, ten_mhz : In(samples), the same for the inputs of another clock, see `TimeCapture`
    heralds : Out(4), one pin per outcome, high for one clock
    triggers : Out(8), of the sequence of attempts
    actions : Out(outputs * samples), feed-forward: bit `o * samples + s` is output o at subtick s
    sync_in : In(3), sync_out : Out(3), lines ready, trigger, success from and to another board
    skip : In(32), at the coming edge let `1 + skip` clocks pass; only when `idle`, and at most `deadline`. For the twin
        only: 0 on a board
    idle : Out(1), if no input changes, nothing will happen for `deadline` clocks
    deadline : Out(32), saturates
    upstream : Out(stream of 8), bytes to the host
    downstream : In(stream of 8), bytes from the host
    """

    def __init__(self, parameters, build=None, counters_start=0, timebase_start=0):
        """`build` is by default the hash of the gateware's source.

        Counters begin at `counters_start`, and clock numbers at `timebase_start`.
        """
        self.parameters = parameters
        self._build = source_hash() if build is None else build
        self._counters_start = counters_start
        self._timebase_start = timebase_start
        super().__init__(
            {
                "samples": In(parameters.channels * parameters.samples),
                "reference": In(parameters.samples),
                "pps": In(parameters.samples),
                "ten_mhz": In(parameters.samples),
                "heralds": Out(4),
                "triggers": Out(TRIGGERS),
                "actions": Out(OUTPUTS * parameters.samples),
                "sync_in": In(SYNC_LINES),
                "sync_out": Out(SYNC_LINES),
                "skip": In(32),
                "idle": Out(1),
                "deadline": Out(32),
                "upstream": Out(stream.Signature(8)),
                "downstream": In(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.detection = front = Detection(self.parameters, self._timebase_start)
        m.submodules.reporting = back = Reporting(self.parameters, self._build, self._counters_start)
        idle = front.idle & back.idle
        if self.parameters.times:
            idle &= self._time(m, front, back)
        if self.parameters.pulses:
            m.submodules.actions = actions = Actions(self.parameters, fired(self.parameters))
            m.d.comb += [
                actions.verdicts.eq(front.verdicts),
                actions.settings.eq(back.settings),
                actions.clear.eq(front.clear),
                self.actions.eq(actions.outputs),
                back.actions.eq(actions.counts),
            ]
            idle &= actions.idle
        connect(m, front.heralds, back.heralds)
        connect(m, back.program, front.program)
        connect(m, back.upstream, flipped(self.upstream))
        connect(m, flipped(self.downstream), back.downstream)
        m.d.comb += [
            front.samples.eq(self.samples),
            front.reference.eq(self.reference),
            front.settings.eq(back.settings),
            front.skip.eq(self.skip),
            back.clock.eq(front.clock),
            back.clicks.eq(front.clicks),
            back.counts.eq(front.counts),
            back.heralds_lost.eq(front.heralds_lost),
            back.recorded.eq(front.recorded),
            back.verdicts.eq(front.verdicts),
            back.skip.eq(self.skip),
            back.status.eq(front.status),
            back.sync_status.eq(front.sync_status),
            front.sync_in.eq(self.sync_in),
            self.sync_out.eq(front.sync_out),
            self.heralds.eq(front.pins),
            self.triggers.eq(front.triggers),
            self.idle.eq(idle),
            self.deadline.eq(Mux(front.deadline < back.deadline, front.deadline, back.deadline)),
        ]
        return m

    def _time(self, m, front, back):
        """Note the edges of other clocks; return whether there are none under way."""
        m.submodules.time_capture = times = TimeCapture(self.parameters, decided(self.parameters))
        connect(m, times.times, back.times)
        m.d.comb += [
            times.pps.eq(self.pps),
            times.ten_mhz.eq(self.ten_mhz),
            times.every_pps.eq(back.time_pps),
            times.every_ten_mhz.eq(back.time_ten_mhz),
            times.rearm.eq(back.time_rearm),
            times.clock.eq(front.clock),
            back.times_lost.eq(times.lost),
            back.times_merged.eq(times.merged),
        ]
        return times.idle


def source_hash():
    """Return 32 bits of the SHA-256 of the files that the gateware is made from, by name and content."""
    digest = sha256()
    for path in sorted(_source_files()):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:4], "little")


def _source_files():
    for name in SOURCES:
        spec = find_spec(name)
        if spec.submodule_search_locations is None:
            yield Path(spec.origin)
        else:
            yield from Path(spec.submodule_search_locations[0]).glob("*.py")
