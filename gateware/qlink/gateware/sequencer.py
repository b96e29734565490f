"""Attempts one after the other, and the triggers that make them."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.registers import TRIGGERS, SequenceEnd

from .attempt import NEVER
from .branches import Branches
from .interface import BranchChoice, ProgramBus, SequenceSettings, SequenceStatus
from .pipeline import delayed
from .program import FILLING, Player, Segment

__all__ = ["SequenceFlow", "Sequencer"]

SHOWN = 1  # clocks from the first one of an attempt's program to that in which `triggers` and `reference` show it

SequenceFlow = data.StructLayout(
    {
        **{name: 1 for name in ("begin", "hold", "success", "ending", "own", "reference", "playing", "busy")},
        "branch": BranchChoice,
        "deadline": 32,
    }
)
"""What a `Sequencer` and the attempts tell each other, each as the member of its name."""


class Sequencer(wiring.Component):
    """Play the program of an attempt, again and again, until there is a reason to end.

    With its own reference, an attempt begins in the clock after the last one's end; otherwise with `begin`, which is
    not looked at before the end. Every end puts all triggers at their idle level.

    A herald that has a branch lets one attempt play the branch: the first whose triggers begin `FILLING + 4` clocks
    later, or after that. It takes the place of one that waits for its attempt, unless that is of the same outcome.

    Members
    -------
    settings : In(SequenceSettings)
    program : In(ProgramBus)
    able : In(1), the board runs in gated mode
    clear : In(1), end what runs; what is started now begins when this is over
    begin : In(1), an attempt has started at the reference input
    hold : In(1), with its own reference: begin no attempt now
    heralds : In(4), one bit an outcome, each high for a clock
    branch : In(BranchChoice), in the same clock
    success, ending : In(1), so is a herald of another board, and one that ends the sequence
    skip : In(32), clocks that pass at the coming edge besides the one
    reference : Out(1), there is a reference at subtick 0
    own : Out(1), references come from here only
    playing : Out(1), an attempt's program is under way
    triggers : Out(8)
    status : Out(SequenceStatus)
    busy : Out(1), something changes
    deadline : Out(32), clocks that may be skipped before something happens by itself, while not `busy`
    """

    settings: In(SequenceSettings)
    program: In(ProgramBus)
    able: In(1)
    clear: In(1)
    begin: In(1)
    hold: In(1)
    heralds: In(4)
    branch: In(BranchChoice)
    success: In(1)
    ending: In(1)
    skip: In(32)
    reference: Out(1)
    own: Out(1)
    playing: Out(1)
    triggers: Out(TRIGGERS)
    status: Out(SequenceStatus)
    busy: Out(1)
    deadline: Out(32)

    def elaborate(self, platform):
        m = Module()
        settings = Signal.like(self.settings)  # a copy, near what it decides
        m.d.sync += [settings.eq(self.settings), self.own.eq(settings.segments.any() & ~settings.external)]

        rewind, refuse, halt, finish = Signal(), Signal(), Signal(), Signal()
        ready = self._start(m, settings, rewind, refuse, halt | finish)
        reason, patience = self._halt(m, settings, rewind, ready, halt)
        spare, branching = self._play(m, settings, rewind, ready, halt, finish)

        with m.If(refuse):
            m.d.sync += self.status.end.eq(SequenceEnd.REFUSED)
        with m.Elif(rewind):
            m.d.sync += self.status.end.eq(SequenceEnd.NONE)
        with m.Elif(self.status.running & (halt | finish)):
            m.d.sync += self.status.end.eq(Mux(halt, reason, SequenceEnd.DONE))

        set_anew = settings.as_value() != self.settings.as_value()
        changing = set_anew | rewind | refuse | halt | self.begin | self.heralds.any() | self.success | branching
        m.d.comb += [
            self.busy.eq(changing | (self.status.running & ~ready) | (spare < 0) | (patience < 0)),
            self.deadline.eq(Mux(spare < patience, spare, patience)),
        ]
        return m

    def _start(self, m, settings, rewind, refuse, over):
        """Begin a sequence, or refuse to; one that runs is begun anew. Returns when the program's way is filled."""
        wanted, waits = Signal(), Signal(range(FILLING))
        ready, programmed = Signal(), Signal()
        possible = self.able & programmed
        m.d.sync += [programmed.eq(settings.segments.any()), wanted.eq(settings.start | wanted & self.clear)]
        m.d.comb += [rewind.eq(wanted & ~self.clear & possible), refuse.eq(wanted & ~self.clear & ~possible)]
        with m.If(rewind):
            m.d.sync += [self.status.running.eq(1), ready.eq(0), waits.eq(FILLING - 1)]
        with m.Elif(over | refuse):
            m.d.sync += [self.status.running.eq(0), ready.eq(0)]
        with m.Elif(self.status.running):
            m.d.sync += [waits.eq(waits - 1), ready.eq(ready | (waits == 1))]
        return ready

    def _halt(self, m, settings, rewind, ready, halt):
        """Find reasons to end at once. Returns the one found, and the clocks left before the next by itself."""
        load, left = Signal(signed(33)), Signal(signed(33))
        timing, patience, expired, wanted = Signal(), Signal(signed(33)), Signal(), Signal()
        reason = Signal(SequenceEnd)
        heralds = Signal.like(self.heralds)  # what comes has been through logic
        herald = heralds.any() | self.success
        m.d.sync += heralds.eq(self.heralds)
        m.d.comb += [
            patience.eq(Mux(ready & timing, left, NEVER)),
            expired.eq(ready & timing & (left < 0) & ~herald),
            wanted.eq((heralds & settings.stop_on).any() | self.ending),
        ]
        m.d.sync += [
            timing.eq(settings.timeout != 0),
            load.eq(settings.timeout - 2),
            left.eq(left - 1 - self.skip),
        ]
        with m.If(~ready | herald):
            m.d.sync += left.eq(load)

        m.d.sync += halt.eq(
            self.status.running & ~rewind & (self.clear | settings.changed | settings.stop | wanted | expired)
        )
        with m.If(self.clear | settings.changed):
            m.d.sync += reason.eq(SequenceEnd.INTERRUPTED)
        with m.Elif(settings.stop):
            m.d.sync += reason.eq(SequenceEnd.STOPPED)
        with m.Else():
            m.d.sync += reason.eq(Mux(wanted, SequenceEnd.HERALD, SequenceEnd.TIMEOUT))
        return reason, patience

    def _play(self, m, settings, rewind, ready, halt, finish):
        """Let one segment follow the other. Returns the clocks left before something happens, and whether a branch is
        on its way."""
        coming, advance, branched = Signal(Segment), Signal(), Signal()
        branching = self._fetch(m, settings, rewind, ready, advance, coming, branched)
        playing, on, last = Signal(), Signal(TRIGGERS), Signal()
        left, spare = Signal(signed(33)), Signal(signed(33))
        over, final, begun = Signal(), Signal(), Signal()
        m.d.comb += [
            over.eq(left < 0),
            final.eq(self._final(m, settings, ready, advance & coming.first)),
            finish.eq(ready & playing & over & last & final),
            spare.eq(Mux(playing, left, NEVER)),
        ]
        step = playing & over & ~last
        fresh = (~playing | over & last & ~final) & Mux(settings.external, self.begin, ~self.hold)
        m.d.comb += [advance.eq(ready & (step | fresh)), self.playing.eq(playing)]

        m.d.sync += left.eq(left - 1 - self.skip)
        with m.If(advance):
            m.d.sync += [left.eq(coming.left), on.eq(coming.on), last.eq(coming.last)]
        with m.If(rewind | halt | ~ready):
            m.d.sync += playing.eq(0)
        with m.Elif(advance | over):
            m.d.sync += playing.eq(advance)

        m.d.sync += begun.eq(advance & coming.first & ~halt & ~rewind)
        m.d.comb += self.reference.eq(delayed(m, begun & ~settings.external, SHOWN))
        with m.If(rewind):
            m.d.sync += [self.status.begun.eq(0), self.status.branched.eq(0)]
        with m.Elif(begun):
            m.d.sync += [
                self.status.begun.eq(self.status.begun + 1),
                self.status.branched.eq(self.status.branched + branched),
            ]

        level = settings.idle ^ (on & playing.replicate(TRIGGERS))
        m.d.sync += self.triggers.eq(settings.manual & settings.levels | ~settings.manual & level)
        return spare, branching

    def _fetch(self, m, settings, rewind, ready, advance, coming, branched):
        """Have the next segment at hand, of the program or of a branch. Returns whether that is about to change."""
        m.submodules.player = player = Player()
        m.submodules.branches = branches = Branches()
        connect(m, flipped(self.program), player.bus)
        chosen = Signal()  # it is of a branch
        m.d.comb += [
            *(getattr(branches.bus, name).eq(getattr(self.program, name)) for name in ("address", "value", "write")),
            branches.herald.eq(self.branch),
            branches.enable.eq(ready),
            chosen.eq(branches.ready & player.segment.first),
            player.segments.eq(settings.segments),
            player.rewind.eq(rewind),
            player.advance.eq(advance & ~chosen),
            branches.advance.eq(advance & chosen),
            coming.eq(Mux(chosen, branches.segment, player.segment)),
            coming.first.eq(player.segment.first & ~branches.inside),
        ]
        m.d.sync += branched.eq(chosen)
        return branches.busy

    def _final(self, m, settings, ready, begins):
        """Whether the attempt that runs is the last one."""
        counted, left, load = Signal(), Signal(signed(33)), Signal(signed(33))
        m.d.sync += [counted.eq(settings.attempts != 0), load.eq(settings.attempts - 1)]
        with m.If(~ready):
            m.d.sync += left.eq(load)
        with m.Elif(begins):
            m.d.sync += left.eq(left - 1)
        return counted & (left < 0)
