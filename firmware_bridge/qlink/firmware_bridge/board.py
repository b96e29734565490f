"""One board, behind any transport: its identity, registers, configuration, events and account of losses."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from .configuration import Configuration, Identity, SequenceStatus, SyncStatus
from .counters import Counters, SnapshotAssembler
from .errors import (
    BoardError,
    BoardReset,
    BoardTimeout,
    ConfigurationError,
    ContractMismatch,
    EndOfStream,
    NoSuchRegister,
)
from .events import Batch
from .histogram import Histogram, HistogramSettings, check_histogram, registers_of
from .link import Link, Patience
from .registers import BY_NAME, MAGIC, MOST, Access, Register, Repeat, SequenceEnd
from .sequence import check_manual, check_trigger
from .settings import check, settings_of
from .telemetry import Ledger, Telemetry
from .transport import Recorded, Transport, clock_of, open_transport
from .wire import CONTRACT_VERSION, OUTCOMES, UNNAMED, Operation, Status, next_epoch

REFUSALS: Mapping[int, str] = {
    Status.NO_SUCH_REGISTER: "it has no such register",
    Status.READ_ONLY: "the register is read-only",
    Status.NO_SUCH_OPERATION: "it does not know the operation",
    Status.DOES_NOT_FIT: "the value has bits that the register has not",
}
IDENTITY = (
    "tick_fs",
    "clock_hz",
    "herald_latency",
    "build",
    "delay_ticks",
    "sequence_segments",
    "trigger_latency",
    "sync_latency",
    "features",
    "histogram_bins",
    "vicinity_ticks",
    "codings",
    "veto_clocks",
    "window_ticks",
)  # registers that `Identity` has as they are
JUDGEMENT_READS = 1000  # a click waits for some microseconds
PATIENCE = Patience()
REST_S = 0.1  # a board that has stopped, and sends nothing for so long, has sent all


class Board:
    """Opens the board behind `transport`, and owns it from then on: it is closed with the board, or if opening fails.

    Not thread-safe: one thread at a time, events included. Raises `ContractMismatch` for a board of another contract
    version, `BoardError` for something that is no board of ours, `BoardTimeout` for silence.

    A recording is opened likewise. It answers what it remembers; a configuration other than its own is refused, and it
    takes no commands.

    `epoch` is the last one that the caller remembers of this board (see `Board.epoch`), if any: a board that was reset
    since then gets a later one.
    """

    identity: Identity

    def __init__(self, transport: Transport, patience: Patience = PATIENCE, epoch: int = 0) -> None:
        self._clock = clock_of(transport)
        self._ledger = Ledger()
        self._assembler: SnapshotAssembler | None = None
        self._snapshots: list[Counters] = []
        self._last_reply = (0, 0)  # epoch, tick
        self._restarts = 0
        self._started = self._reset = False
        self._histogram: tuple[HistogramSettings, int] | None = None  # the one that counts, since this tick
        self._remembered = transport.recorded_registers if isinstance(transport, Recorded) else None
        self._patience = patience
        self._link = Link(transport, patience, self._clock, self._observe, epoch)
        try:
            self._open()
        except BaseException:
            self._link.close()
            raise

    @property
    def telemetry(self) -> Telemetry:
        """What should have come since `start`, and what did."""
        self._ledger.clicks_discarded = self._link.clicks_discarded
        return self._ledger.telemetry(self._link.stats)

    @property
    def epoch(self) -> int:
        """Of the board's timebase: higher each time that it has started anew, by a reset or as its ticks wrapped.

        A batch in which it does says so (`Batch.epochs`). After a reset the board has forgotten its configuration, and
        the account of losses is void: `configure` and `start` it.
        """
        return self._link.stats.epoch

    def read(self, name: str, index: int = 0) -> int:
        """A register's value. `index` is the channel or pattern of one that exists for each."""
        register = self._register(name, index)
        address = register.address + index
        if self._remembered is not None:
            if address not in self._remembered:
                raise NoSuchRegister(f"the recording does not say what {name} was: read it from a board")
            return self._remembered[address]
        return self._exchange(Operation.READ, name, address)

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Set a register. Raises `ConfigurationError` for a value that does not fit; then nothing was written."""
        register = self._register(name, index)
        if register.access is Access.READ:
            raise ConfigurationError(f"{name} is read-only")
        if value < 0 or value & ~register.bits(self.identity.widths):
            raise ConfigurationError(f"{name} = {value:#x} does not fit: the register has no such bits")
        if name == "trigger_manual":
            check_manual(value, self.identity)
        address = register.address + index
        if self._remembered is None:
            self._exchange(Operation.WRITE, name, address, value)
        elif self._remembered.get(address) != value:
            raise BoardError(f"{name} cannot be set in a recording: open the board itself")

    def configure(self, configuration: Configuration) -> None:
        """Check, stop the board, write and read back everything. Raises `ConfigurationError` before any write.

        On a recording: raises `ConfigurationError` unless it was made with the same configuration.
        """
        check(configuration, self.identity)
        settings = list(settings_of(configuration, self.identity))
        if self._remembered is None:
            for setting in settings:
                self.write(setting.name, setting.value, setting.index)
        for setting in settings:
            if setting.name == "control" and self._remembered is not None:
                continue  # it ran, and was stopped
            value = self.read(setting.name, setting.index)
            if value != setting.value:
                place = f"{setting.name}[{setting.index}]"
                if self._remembered is not None:
                    raise ConfigurationError(f"the recording was made with {place} = {value}, not {setting.value}")
                raise BoardError(f"{place} reads {value:#x} where {setting.value:#x} was written: check the link")

    def start(self) -> None:
        """Take clicks from now on, and begin a new account of losses. On a recording: nothing to do.

        `BoardError` for a follower that has no number, or not its leader's: see `number_attempts`.
        """
        if self._remembered is not None:
            return
        self._check_numbered()
        self._set_run(False)
        self._name_epoch()
        late = self._await_judgement() * self.identity.samples
        self._ledger.open(self.snapshot(), self._link.stats, late)
        self._set_run(True)
        self._started, self._reset = True, False

    def stop(self) -> None:
        """Take no more clicks; come back when all that happened is here or known to be lost. `events` has the rest."""
        if self._remembered is not None:
            return
        self._set_run(False)
        self._started = False
        self._await_judgement()
        self.flush()
        self.snapshot()
        heard = self._clock()
        while not self._ledger.settle() and self._clock() - heard < REST_S and self._link.failure is None:
            if self._link.pump(REST_S):
                heard = self._clock()

    def start_sequence(self) -> None:
        """Begin the configured sequence with its first attempt; one that runs is begun anew.

        The board has to run (`start`). `BoardError` if it does not, or if no sequence is configured. On a recording:
        nothing to do.
        """
        if self._remembered is not None:
            return
        self.write("sequence_command", BY_NAME["sequence_command"].pack(start=1))
        if self.sequence_status().end is SequenceEnd.REFUSED:
            raise BoardError("the board began no sequence: configure one, and start the board before")

    def stop_sequence(self) -> None:
        """End the sequence at once: all triggers go to their idle level."""
        self.write("sequence_command", BY_NAME["sequence_command"].pack(stop=1))

    def sequence_status(self) -> SequenceStatus:
        """What has become of the sequence. It may have begun more attempts by now than when it ran."""
        fields = BY_NAME["sequence_status"].unpack(self.read("sequence_status"))
        end, begun = SequenceEnd(fields["end"]), self.read("sequence_begun")
        branched = self.read("sequence_branched") if self.identity.branch_segments else 0
        return SequenceStatus(bool(fields["running"]), end, begun, branched)

    def number_attempts(self, last: int) -> None:
        """Have the next attempt numbered `last + 1`. Two boards in step are given the same, while none of them runs.

        A follower begins no attempts before that, nor any more once its leader's numbers contradict its own.
        """
        if not self.identity.sync_latency:
            raise ConfigurationError("attempts cannot be numbered: this board was built without lines to another one")
        if not 0 <= last < 2**64:
            raise ConfigurationError(f"number {last} does not fit: attempts go from 0 to 2**64 - 1")
        self.write("sync_number_low", last & 0xFFFF_FFFF)
        self.write("sync_number_high", last >> 32)
        self.write("sync_command", BY_NAME["sync_command"].pack(number=1))

    def sync_status(self) -> SyncStatus:
        """Whether the board agrees with the other one on their attempts' numbers, and what it has heard last."""
        if not self.identity.sync_latency:
            raise ConfigurationError("there is nobody to agree with: this board was built without lines to another one")
        fields = BY_NAME["sync_status"].unpack(self.read("sync_status"))
        return SyncStatus(bool(fields["agreed"]), fields["number"], fields["attempts"], fields["successes"])

    def hold_triggers(self, levels: Mapping[int, bool]) -> None:
        """Give these triggers their level by hand, whatever the sequence does; all others are the sequence's.

        Raises `ConfigurationError` for a trigger that the board has not. `configure` gives all back to the sequence.
        """
        for trigger in levels:
            check_trigger(trigger, self.identity)
        mask, high = (sum(1 << trigger for trigger in some) for some in (levels, (t for t in levels if levels[t])))
        self.write("trigger_manual", BY_NAME["trigger_manual"].pack(mask=mask, levels=high))

    def histogram(self, settings: HistogramSettings, duration_s: float) -> Histogram:
        """Count delays between the clicks of two channels for about so long. The board has to have been started.

        Events that come meanwhile wait for `events`. Raises `ConfigurationError` before any write; when a simulation's
        clicks end, it counts no longer.
        """
        self.begin_histogram(settings)
        self._let_pass(duration_s)
        return self.end_histogram()

    def begin_histogram(self, settings: HistogramSettings) -> None:
        """Count delays from now on, in empty bins."""
        check_histogram(settings, self.identity)
        if self._remembered is not None:
            raise BoardError("a recording takes no commands: the board's histogram is not in it")
        self.write("histogram_run", 0)
        for name, value in registers_of(settings, self.identity).items():
            self.write(name, value)
        self.write("histogram_clear", 1)
        while BY_NAME["histogram_status"].unpack(self.read("histogram_status"))["clearing"]:
            pass  # a few microseconds
        self.write("histogram_run", 1)
        self._histogram = (settings, self._last_reply[1])

    def end_histogram(self) -> Histogram:
        """Count no longer, and return what `begin_histogram` has begun."""
        if self._histogram is None:
            raise BoardError("no histogram was begun")
        settings, begin = self._histogram
        self.write("histogram_run", 0)
        ticks = self._last_reply[1] - begin
        sums = {name: self.read(f"histogram_{name}") for name in ("starts", "stops", "outside")}
        saturated = bool(BY_NAME["histogram_status"].unpack(self.read("histogram_status"))["saturated"])
        addresses = BY_NAME["histogram_bin"].addresses[: self.identity.histogram_bins]
        replies = self._link.read_all(addresses)
        counts = np.array([replies[address]["value"] for address in addresses], np.uint32)
        return Histogram(settings, counts, ticks=ticks, saturated=saturated, **sums)

    def flush(self) -> None:
        """Have the open frame sent now."""
        if self._remembered is None:
            self.write("command", BY_NAME["command"].pack(flush=1))

    def snapshot(self) -> Counters:
        """All counters at one instant, later than every register access and snapshot before. They are events, too."""
        if self._remembered is not None:
            raise BoardError("a recording takes no commands: its counters are among its events")
        newest = ((counters.epoch, counters.tick + 1) for counters in self._snapshots)
        after = max([self._last_reply, *newest])
        for _ in range(self._patience.attempts):
            self.write("command", BY_NAME["command"].pack(snapshot=1))
            deadline = self._clock() + self._patience.reply_s
            while (remaining := deadline - self._clock()) > 0:
                for counters in self._snapshots:
                    if (counters.epoch, counters.tick) >= after:
                        return counters
                self._link.pump(remaining)
                if self._link.failure is not None:
                    self.flush()  # a simulation at its end moves on for requests only
        raise BoardTimeout("the board sent no whole counter snapshot: the link loses frames, or is too slow for them")

    def events(self, timeout_s: float) -> Batch:
        """Everything that has come since the last call, in order; waits up to `timeout_s` for the first of it.

        `replies` is always empty. Raises `EndOfStream` at the end of a recording or of a simulation's clicks, and
        `BoardReset`, once, when all has been fetched of a board that was started and has started anew by itself.
        """
        if self._reset and not self._link.pending:
            self._started = self._reset = False
            raise BoardReset("the board was reset, or its clock lost its lock: configure and start it again")
        deadline = self._clock() + timeout_s
        remaining = 0.0 if self._link.pending else timeout_s
        while not self._link.pump(max(remaining, 0.0)) and not self._link.pending and remaining > 0:
            remaining = deadline - self._clock()
        return self._link.take()

    def now_s(self) -> float:
        """The transport's time, which is what `timeout_s` is measured by: a simulation's goes as it is computed."""
        return self._clock()

    def close(self) -> None:
        """Give the transport up. The board goes on with what it does."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        if self._remembered is None:
            self._link.end_half_request()
        magic = self.read("magic")
        if magic != MAGIC:
            raise BoardError(
                f"no board of ours at this end (magic {magic:#x}, not {MAGIC:#x}): is the gateware loaded?"
            )
        version = self.read("contract_version")
        if version != CONTRACT_VERSION:
            older = "the board's gateware is older: flash it" if version < CONTRACT_VERSION else "update this package"
            raise ContractMismatch(f"the board speaks wire contract {version}, this host {CONTRACT_VERSION}: {older}")
        rest: dict[str, Any] = dict(BY_NAME["geometry"].unpack(self.read("geometry")))
        name = self.read("board").to_bytes(4, "little").rstrip(b"\0 ").decode("ascii", "replace")
        rest |= {name: self._said(name) for name in IDENTITY}
        feed_forward = BY_NAME["feed_forward"].unpack(self.read("feed_forward"))
        rest |= {"pulses": feed_forward["pulses"], "action_latency": feed_forward["latency"]}
        branches = BY_NAME["branches"].unpack(self._said("branches"))
        rest |= {f"branch_{name}": branches[name] for name in ("segments", "latency")}
        pins = BY_NAME["pins"].unpack(self._said("pins"))
        rest |= {"triggers": pins["triggers"], "outputs": pins["outputs"]}
        rest |= {name: bool(pins[name]) for name in ("pps", "ten_mhz")}
        self.identity = Identity(contract_version=version, board=name, **rest)
        self._assembler = SnapshotAssembler(self.identity)
        self._name_epoch()

    def _said(self, name: str) -> int:
        """What the board says of itself. One from before the register was there is taken to say `Register.absent`."""
        try:
            return self.read(name)
        except NoSuchRegister:
            absent = BY_NAME[name].absent
            if absent is None:
                raise
            return absent

    def _name_epoch(self) -> None:
        """See `wire.next_epoch`. A frame without a name is of the epoch that the decoder expects already."""
        if self._remembered is None and self.read("epoch") == UNNAMED:
            expected = self._link.stats.epoch
            self.write("epoch", (expected if expected % 2**8 != UNNAMED else next_epoch(expected)) % 2**8)

    def _check_numbered(self) -> None:
        if not self.identity.sync_latency or not BY_NAME["sync_setup"].unpack(self.read("sync_setup"))["follower"]:
            return
        if not self.sync_status().agreed:
            raise BoardError(
                "a follower begins no attempts until it is numbered like its leader, anew after a reset or when their "
                "numbers contradict each other: number the attempts of both (number_attempts, --number)"
            )

    def _await_judgement(self) -> int:
        """With the board stopped, wait until no click waits and the filter is the configured one; clocks of a wait."""
        if not self.identity.codings:
            return 0
        for _ in range(JUDGEMENT_READS):
            status = BY_NAME["filter_status"].unpack(self.read("filter_status"))
            if not status["waiting"] and not status["pending"]:
                return status["late"]
        raise BoardError("clicks wait for their judgement though the board has stopped: restart it")

    def _let_pass(self, duration_s: float) -> None:
        """Take in what comes, for so long or until nothing can come any more."""
        deadline = self._clock() + duration_s
        while (remaining := deadline - self._clock()) > 0 and self._link.failure is None:
            try:
                self._link.pump(remaining)
            except EndOfStream:
                return

    def _set_run(self, run: bool) -> None:
        control = BY_NAME["control"]
        self.write("control", control.pack(**{**control.unpack(self.read("control")), "run": int(run)}))

    def _register(self, name: str, index: int) -> Register:
        if name not in BY_NAME:
            raise ConfigurationError(f"no register is named {name!r}: there are {', '.join(BY_NAME)}")
        register = BY_NAME[name]
        count = MOST[register.repeat]
        if register.repeat is Repeat.CHANNEL:
            count = self.identity.channels
        elif register.repeat is Repeat.PATTERN:
            count = self.identity.patterns
        elif register.repeat is Repeat.BIN:
            count = self.identity.histogram_bins
        elif register.repeat is Repeat.ACTION:
            count = self.identity.pulses * OUTCOMES
        elif register.repeat is Repeat.BRANCH:
            count = self.identity.branch_segments * OUTCOMES
        if not 0 <= index < count:
            raise ConfigurationError(f"{name}[{index}] does not exist: the board has 0 to {count - 1}")
        return register

    def _exchange(self, operation: Operation, name: str, address: int, value: int = 0) -> int:
        try:
            reply = self._link.exchange(operation, address, value)
        except BoardTimeout as error:
            raise BoardTimeout(f"{operation.name.lower()} {name}: {error}") from error
        self._last_reply = int(reply["epoch"]), int(reply["tick"])
        status = int(reply["status"])
        if status != Status.OK:
            reason = REFUSALS.get(status, f"status {status}")
            kind = NoSuchRegister if status == Status.NO_SUCH_REGISTER else BoardError
            raise kind(f"the board refused to {operation.name.lower()} {name}: {reason}")
        return int(reply["value"])

    def _observe(self, batch: Batch) -> None:
        """Keep the account, and the newest snapshot, of everything that comes."""
        if self._assembler is None:
            return
        whole = self._assembler.take(batch.counters)
        if self._link.stats.restarts != self._restarts:
            self._restarts = self._link.stats.restarts
            self._ledger.open(None, self._link.stats)
            self._reset = self._started
        self._ledger.take(batch, whole, self._assembler.begun[2])
        self._snapshots = whole[-1:] or self._snapshots


def open_board(url: str) -> Board:
    """Open the board at a transport's URL. Raises `BridgeError`."""
    return Board(open_transport(url))
