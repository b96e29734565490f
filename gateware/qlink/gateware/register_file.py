"""The registers of a board, built from the register map."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qlink.firmware_bridge.registers import (
    BRANCH_SEGMENTS,
    BY_NAME,
    MAGIC,
    REGISTERS,
    SEGMENTS,
    Access,
    Part,
    Register,
    Repeat,
    Width,
)
from qlink.firmware_bridge.wire import BODIES, CONTRACT_VERSION, OUTCOMES, UNNAMED, Kind, Operation, Status

from .histogram import LOOK_CLOCKS, HistogramControl, HistogramState
from .interface import ProgramBus, SequenceStatus, Settings, SyncStatus
from .layouts import shape_of
from .source_filter import Filter, FilterState
from .sync import SYNC_LATENCY

__all__ = ["Command", "RegisterFile", "identity"]

GROUP = 8  # registers whose values are put together in one step

Command = data.StructLayout({"operation": 8, "id": 8, "address": 16, "value": 32})
"""A request whose CRC was right."""

Reply = shape_of(BODIES[Kind.REPLY])

IN_MEMORY = ("sequence_levels", "sequence_clocks", "branch_segment")
"""Registers behind the `program` bus."""

SEQUENCING = (*IN_MEMORY, "sequence_setup", "sequence_attempts", "sequence_timeout", "sequence_branches")
"""Registers that a running sequence works by."""

OF_SEQUENCER = (
    *SEQUENCING,
    *("trigger_manual", "sequence_command", "sequence_status", "sequence_begun", "sequence_branched"),
)
"""Registers that a board without a sequencer has not."""

OF_SYNC = (*("sync_setup", "sync_ready_timeout", "sync_number_low", "sync_number_high", "sync_command", "sync_status"),)
"""Registers that a board without lines to another one has not."""

OF_TIME = {"time_pps": "pps", "time_ten_mhz": "ten_mhz"}
"""Registers that only boards with the input have, by the parameter that says so."""

OF_STREAM = ("stream_channels", "vicinity", "filter_status", "filter", "coding")
"""Registers that a board which streams no clicks has not."""

ACCIDENTAL = ("accidental_clocks", "pattern_shifted")
"""Registers that only boards with accidental counters have."""

RESTARTING = (
    "control",
    "attempt_clocks",
    "reference_timeout",
    "gate_start",
    "gate_stop",
    "pattern_channels",
    "pattern_decision",
    "delay",
    "reference_delay",
    "pattern_limits",
    "pattern_shifted",
    "accidental_clocks",
    "action_pulse",
    "action_width",
)
"""Registers that the front end works by."""


def identity(parameters, build):
    """Return the values of the registers that say what this board is. `build` is the hash of its source."""
    pins = {
        "triggers": parameters.triggers if parameters.sequencer else 0,
        "outputs": parameters.outputs if parameters.pulses else 0,
        "pps": parameters.pps,
        "ten_mhz": parameters.ten_mhz,
    }
    branches = {"segments": BRANCH_SEGMENTS, "latency": parameters.branch_latency} if parameters.sequencer else {}
    return {
        "magic": MAGIC,
        "contract_version": CONTRACT_VERSION,
        "board": int.from_bytes(parameters.board.encode("ascii"), "little"),
        "geometry": parameters.channels | parameters.patterns << 8 | parameters.samples << 16,
        "tick_fs": parameters.tick_fs,
        "clock_hz": parameters.clock_hz,
        "herald_latency": parameters.herald_latency,
        "build": build,
        "delay_ticks": (1 << parameters.delay_bits) - 1,
        "sequence_segments": SEGMENTS if parameters.sequencer else 0,
        "trigger_latency": parameters.trigger_latency if parameters.sequencer else 0,
        "branches": BY_NAME["branches"].pack(**branches),
        "features": parameters.features,
        "histogram_bins": parameters.histogram_bins,
        "feed_forward": parameters.pulses and parameters.pulses | parameters.action_latency << 8,
        "sync_latency": SYNC_LATENCY if parameters.sync else 0,
        "vicinity_ticks": (1 << parameters.vicinity_bits) - 1,
        "codings": parameters.codings,
        "pins": BY_NAME["pins"].pack(**pins),
        "veto_clocks": parameters.veto_depth,
        "window_ticks": (1 << parameters.window_bits) - 1,
    }


@dataclass(frozen=True, slots=True)
class _Cell:
    """One register at one address; or, if it is kept in a memory, at all of its addresses."""

    register: Register
    addresses: range
    mask: int
    value: Signal  # if it is in memory: the word that is read
    written: Signal  # high for one clock, in which `value` is new already

    @property
    def in_memory(self):
        return self.register.name in IN_MEMORY


class RegisterFile(wiring.Component):
    """Answer requests out of the register map, and hold what is written.

    One request takes seven clocks, or, for a bin of the histogram, as many more as that needs. Registers of channels,
    patterns and parts that the board has not do not exist.

    Members
    -------
    commands : In(stream of Command)
    replies : Out(stream of the body of a reply)
    settings : Out(Settings), what the front end works by
    status : In(SequenceStatus)
    sync_status : In(SyncStatus)
    program : Out(ProgramBus)
    stream_channels : Out(channels)
    coded : Out(1), frames of clicks are of the coding RICE
    flush_clocks, snapshot_clocks : Out(32)
    flush, snapshot : Out(1), commanded; high for one clock
    retimed : Out(1), `snapshot_clocks` was written; high for one clock
    time_pps : Out(1), time_ten_mhz : Out(32)
    time_rearm : Out(1), `time_ten_mhz` was written; high for one clock
    epoch : Out(8)
    wrap : In(1), ticks begin anew: the epoch becomes the next one, if it has a number
    filter : Out(Filter), filter_state : In(FilterState)
    histogram : Out(HistogramControl), histogram_state : In(HistogramState)
    idle : Out(1), no request is under way
    """

    def __init__(self, parameters, build):
        self._parameters = parameters
        self._identity = identity(parameters, build)
        super().__init__(
            {
                "commands": In(stream.Signature(Command)),
                "replies": Out(stream.Signature(Reply)),
                "settings": Out(Settings(parameters)),
                "status": In(SequenceStatus),
                "sync_status": In(SyncStatus),
                "program": Out(ProgramBus),
                "stream_channels": Out(parameters.channels),
                "coded": Out(1),
                "flush_clocks": Out(32),
                "snapshot_clocks": Out(32),
                "flush": Out(1),
                "snapshot": Out(1),
                "retimed": Out(1),
                "time_pps": Out(1),
                "time_ten_mhz": Out(32),
                "time_rearm": Out(1),
                "epoch": Out(8),
                "wrap": In(1),
                "filter": Out(Filter(parameters)),
                "filter_state": In(FilterState),
                "histogram": Out(HistogramControl(parameters)),
                "histogram_state": In(HistogramState),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cells = [cell for register in REGISTERS for cell in self._cells(register)]
        self._answer(m, cells)
        self._connect(m, cells)
        if self._parameters.histogram_bins:
            self._connect_histogram(m, {cell.register.name: cell for cell in cells})
        return m

    def _cells(self, register):
        mask = self._mask(register)
        if register.name in IN_MEMORY:
            written = Signal(name=f"{register.name}_written")
            if self._count(register):
                yield _Cell(register, register.addresses, mask, self.program.read, written)
            return
        if register.repeat is Repeat.BIN:
            addresses = register.addresses[: self._parameters.histogram_bins]
            if addresses:
                yield _Cell(register, addresses, mask, self.histogram_state.bin, Signal(name="bin_written"))
            return
        init = self._identity.get(register.name, 0) if register.access is Access.READ else register.reset
        for n, address in enumerate(register.addresses[: self._count(register)]):
            name = f"{register.name}{n}" if register.repeat is not Repeat.ONCE else register.name
            value = Signal(32, init=init, name=name)
            yield _Cell(register, range(address, address + 1), mask, value, Signal(name=f"{name}_written"))

    def _count(self, register):
        """How many of a register there are on this board."""
        if register.name in OF_SEQUENCER and not self._parameters.sequencer:
            return 0
        if register.name in OF_SYNC and not self._parameters.sync:
            return 0
        if register.name in OF_STREAM and not self._parameters.streams:
            return 0
        if register.name in OF_TIME and not getattr(self._parameters, OF_TIME[register.name]):
            return 0
        if register.name in ACCIDENTAL and not self._parameters.accidentals:
            return 0
        if register.part is Part.HISTOGRAM and not self._parameters.histogram_bins:
            return 0
        if register.name == "pattern_limits" and not self._parameters.multiplicity:
            return 0
        counts = {Repeat.ONCE: 1, Repeat.CHANNEL: self._parameters.channels, Repeat.PATTERN: self._parameters.patterns}
        counts[Repeat.ACTION] = self._parameters.pulses * OUTCOMES
        return counts.get(register.repeat, 1)

    def _mask(self, register):
        if register.name == "coding" and not self._parameters.tag_coding:
            return 0
        p = self._parameters
        widths = {
            Width.CHANNELS: p.channels,
            Width.FORBIDDEN: 0 if p.compact else p.channels,
            Width.WINDOW: p.window_bits,
            Width.DELAY: p.delay_bits,
            Width.VICINITY: p.vicinity_bits,
        }
        return sum((1 << widths.get(f.width, f.width)) - 1 << f.low for f in register.fields)

    def _answer(self, m, cells):
        """Decode the address, then look up in two steps, then write: each a clock of its own, for short paths."""
        command, reply = self.commands.payload, self.replies.payload
        hits = Signal(len(cells))
        found, read_only, excess = Signal(), Signal(), Signal()
        partial = [Signal(32, name=f"partial{n}") for n in range(0, len(cells), GROUP)]
        looked_up = Signal(32)
        write = Signal()
        status = self._status(command.operation, found, read_only, excess)

        for hit, cell in zip(hits, cells, strict=True):
            m.d.sync += hit.eq(_within(command.address, cell.addresses))
        for n, part in enumerate(partial):
            group = range(n * GROUP, min((n + 1) * GROUP, len(cells)))
            m.d.sync += part.eq(_any(Mux(hits[k], cells[k].value, 0) for k in group if not cells[k].in_memory))
        remembered = Signal()  # comes a clock later than what is in registers
        m.d.sync += remembered.eq(_any(hit for hit, cell in zip(hits, cells, strict=True) if cell.in_memory))
        m.d.sync += [
            found.eq(hits.any()),
            read_only.eq(
                _any(hit for hit, cell in zip(hits, cells, strict=True) if cell.register.access is Access.READ)
            ),
            excess.eq(self._excess(m, command.value, hits, cells)),
            looked_up.eq(_any(partial) | Mux(remembered, self.program.read, 0)),
        ]
        reading = command.operation == Operation.READ
        wait = Signal(range(LOOK_CLOCKS + 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(~self.commands.valid)
                m.d.sync += wait.eq(LOOK_CLOCKS)
                with m.If(self.commands.valid):
                    m.next = "FETCH" if self._parameters.histogram_bins else "DECODE"
            with m.State("FETCH"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(~command.address[-1] | (wait == 0)):
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.next = "COLLECT"
            with m.State("COLLECT"):
                m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += [
                    reply.id.eq(command.id),
                    reply.address.eq(command.address),
                    reply.status.eq(status),
                    write.eq((status == Status.OK) & ~reading),
                ]
                m.next = "ACT"
            with m.State("ACT"):
                m.d.comb += self.commands.ready.eq(1)
                m.d.sync += [
                    reply.value.eq(Mux(reading & (reply.status == Status.OK), looked_up, command.value)),
                    self.replies.valid.eq(1),
                    write.eq(0),
                ]
                m.next = "REPLY"
            with m.State("REPLY"), m.If(self.replies.ready):
                m.d.sync += self.replies.valid.eq(0)
                m.next = "IDLE"

        for hit, cell in zip(hits, cells, strict=True):
            m.d.sync += cell.written.eq(0)
            if cell.in_memory:
                m.d.sync += cell.written.eq(hit & write)
            elif cell.register.access is Access.WRITE:
                with m.If(hit & write):
                    m.d.sync += [cell.value.eq(command.value & cell.mask), cell.written.eq(1)]
            elif cell.register.access is Access.STROBE:
                m.d.sync += cell.value.eq(Mux(hit & write, command.value & cell.mask, 0))

    def _status(self, operation, found, read_only, excess):
        writing = operation == Operation.WRITE
        known = writing | (operation == Operation.READ)
        refusal = Mux(excess, Status.DOES_NOT_FIT, Status.OK)
        refusal = Mux(writing, Mux(read_only, Status.READ_ONLY, refusal), Status.OK)
        refusal = Mux(found, refusal, Status.NO_SUCH_REGISTER)
        return Mux(known, refusal, Status.NO_SUCH_OPERATION)

    def _excess(self, m, value, hits, cells):
        """Whether `value` has bits that the register has not; one comparison for each width that there is."""
        result = 0
        for mask in sorted({cell.mask for cell in cells}):
            beyond = Signal(name=f"beyond_{mask:08x}")
            m.d.sync += beyond.eq((value & ~mask & 0xFFFFFFFF).any())
            result = result | (beyond & _any(h for h, cell in zip(hits, cells, strict=True) if cell.mask == mask))
        return result

    def _connect_stream(self, m, by_name):
        m.d.comb += [
            self.stream_channels.eq(by_name["stream_channels"][0].value),
            self.coded.eq(by_name["coding"][0].value),
            self.filter.vicinity.eq(by_name["vicinity"][0].value),
            by_name["filter_status"][0].value.eq(
                Cat(self.filter_state.waiting, self.filter_state.pending, Const(0, 14), self.filter_state.late)
            ),
        ]
        for c, cell in enumerate(by_name["filter"]):
            m.d.comb += [self.filter.keep[c].eq(cell.value), self.filter.share[c].eq(cell.value[16:])]

    def _connect_histogram(self, m, cells):
        control, state = self.histogram, self.histogram_state
        channels, offset = cells["histogram_channels"].value, cells["histogram_offset"].value
        m.d.comb += [
            control.run.eq(cells["histogram_run"].value),
            control.clear.eq(cells["histogram_clear"].value),
            control.start.eq(channels),
            control.stop.eq(channels[8:]),
            control.width.eq(cells["histogram_width"].value),
            control.clocks.eq(offset),
            control.of_stop.eq(offset[16]),
            control.look.eq(self.commands.payload.address),
            cells["histogram_status"].value.eq(Cat(state.clearing, state.saturated)),
            *(cells[f"histogram_{name}"].value.eq(state[name]) for name in ("starts", "stops", "outside")),
        ]

    def _connect(self, m, cells):
        by_name = {name: [cell for cell in cells if cell.register.name == name] for name in BY_NAME}
        settings = self.settings
        if self._parameters.streams:
            self._connect_stream(m, by_name)
        restart = _any(cell.written for name in RESTARTING for cell in by_name[name])
        (control,), (command,) = by_name["control"], by_name["command"]
        m.d.comb += [
            settings.restart.eq(restart),
            Cat(settings.run, settings.mode).eq(control.value),
            Cat(self.snapshot, self.flush).eq(command.value),
            self.flush_clocks.eq(by_name["flush_clocks"][0].value),
            self.snapshot_clocks.eq(by_name["snapshot_clocks"][0].value),
            self.retimed.eq(by_name["snapshot_clocks"][0].written),
            *(self.time_pps.eq(cell.value) for cell in by_name["time_pps"]),
            *(self.time_ten_mhz.eq(cell.value) for cell in by_name["time_ten_mhz"]),
            *(self.time_rearm.eq(cell.written) for cell in by_name["time_ten_mhz"]),
            self.epoch.eq(by_name["epoch"][0].value),
            settings.attempt_clocks.eq(by_name["attempt_clocks"][0].value),
            settings.reference_timeout.eq(by_name["reference_timeout"][0].value),
        ]
        with m.If(self.wrap & (self.epoch != UNNAMED)):
            m.d.sync += by_name["epoch"][0].value.eq(Mux(self.epoch.all(), 1, self.epoch + 1))
        if self._parameters.sequencer:
            self._connect_sequencer(m, by_name)
        if self._parameters.sync:
            self._connect_sync(m, {name: by_name[name][0] for name in OF_SYNC})
        for c in range(self._parameters.channels):
            m.d.comb += [
                settings.gate_start[c].eq(by_name["gate_start"][c].value),
                settings.gate_stop[c].eq(by_name["gate_stop"][c].value),
                settings.delay[c].eq(by_name["delay"][c].value),
            ]
        m.d.comb += settings.delay[self._parameters.channels].eq(by_name["reference_delay"][0].value)
        for p in range(self._parameters.patterns):
            channels, decision = by_name["pattern_channels"][p].value, by_name["pattern_decision"][p].value
            m.d.comb += [
                settings.required[p].eq(channels),
                settings.forbidden[p].eq(channels[16:]),
                settings.window[p].eq(decision),
                settings.outcome[p].eq(decision[16:]),
            ]
        for p, cell in enumerate(by_name["pattern_limits"]):
            m.d.comb += [
                settings.minimum[p].eq(cell.value),
                settings.maximum[p].eq(cell.value[8:]),
                settings.guard[p].eq(cell.value[16:]),
            ]
        if self._parameters.accidentals:
            m.d.comb += settings.accidental_clocks.eq(by_name["accidental_clocks"][0].value)
            m.d.comb += Cat(settings.shifted).eq(
                Cat(cell.value[: self._parameters.channels] for cell in by_name["pattern_shifted"])
            )
        for action, pulse, width in zip(
            settings.actions, by_name["action_pulse"], by_name["action_width"], strict=True
        ):
            m.d.comb += [
                Cat(action.start, action.output).eq(pulse.value),
                action.width.eq(width.value),
            ]

    def _connect_sequencer(self, m, by_name):
        sequence, program, request = self.settings.sequence, self.program, self.commands.payload
        (setup,), (attempts,), (timeout,) = (by_name[f"sequence_{n}"] for n in ("setup", "attempts", "timeout"))
        (manual,), (command,) = by_name["trigger_manual"], by_name["sequence_command"]
        (status,), (begun,) = by_name["sequence_status"], by_name["sequence_begun"]
        (branches,), (branched,) = by_name["sequence_branches"], by_name["sequence_branched"]
        fields = {field.name: field for field in BY_NAME["sequence_setup"].fields}
        m.d.sync += [program.address.eq(request.address), program.value.eq(request.value)]
        m.d.comb += [
            program.write.eq(_any(by_name[name][0].written for name in IN_MEMORY)),
            *(sequence[name].eq(setup.value[f.low :][: f.width]) for name, f in fields.items()),
            sequence.branches.eq(branches.value),
            sequence.attempts.eq(attempts.value),
            sequence.timeout.eq(timeout.value),
            Cat(sequence.manual, sequence.levels).eq(manual.value),
            Cat(sequence.start, sequence.stop).eq(command.value),
            sequence.changed.eq(_any(by_name[name][0].written for name in SEQUENCING)),
            status.value.eq(Cat(self.status.running, self.status.end)),
            begun.value.eq(self.status.begun),
            branched.value.eq(self.status.branched),
        ]

    def _connect_sync(self, m, cells):
        sync = self.settings.sync
        names = [field.name for field in BY_NAME["sync_setup"].fields]
        m.d.comb += [
            Cat(sync[name] for name in names).eq(cells["sync_setup"].value),
            sync.ready_timeout.eq(cells["sync_ready_timeout"].value),
            sync.number.eq(Cat(cells["sync_number_low"].value, cells["sync_number_high"].value)),
            sync.take.eq(cells["sync_command"].value[0]),
            cells["sync_status"].value.eq(self.sync_status),
        ]


def _within(address, addresses):
    if len(addresses) == 1:
        return address == addresses.start
    bits = len(addresses).bit_length() - 1
    if len(addresses) == 1 << bits and addresses.start % len(addresses) == 0:
        return address[bits:] == addresses.start >> bits
    return (address >= addresses.start) & (address < addresses.stop)


def _any(values):
    """Return the bitwise or."""
    result = 0
    for value in values:
        result = result | value
    return result
