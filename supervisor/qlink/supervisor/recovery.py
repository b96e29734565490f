"""From a journal back to a core that has forgotten nothing, and a proof that it decides as it did."""

from . import snapshot as snapshots
from .core import DECISIONS, Core
from .errors import DecisionDiffers, JournalDamaged, JournalMismatch
from .journal import Checkpoint, Entry, Era, Journal, encode
from .model import Settings

CHECKPOINT_EVERY = 50_000  # events; a restart replays up to so many, at about 10 us each


def recover(journal: Journal, settings: Settings) -> Core:
    """The core as the journal left it (an empty one starts a new core), going on under `settings`.

    Starts at the last checkpoint that it can read, else at the beginning, and replays what follows; raises
    `DecisionDiffers` naming the entry when this program decides otherwise than the journal says.
    """
    eras = journal.eras()
    if not eras:
        core = Core(settings)
        journal.open_era(settings, DECISIONS, core.snapshot())
        return core
    start = _start(journal, eras, journal.checkpoints())
    core = _walk(journal, eras, start.after, start.state)
    if (eras[-1].settings, eras[-1].decisions) == (settings, DECISIONS):
        return core
    state = core.snapshot()
    journal.open_era(settings, DECISIONS, state)
    return _continued(settings, state)


def verify(journal: Journal) -> int:
    """Replay all that the journal holds and compare every decision, byte for byte; how many events were replayed.

    A pruned journal is replayed from its oldest checkpoint. Raises `DecisionDiffers` naming the entry.
    """
    eras = journal.eras()
    if not eras:
        return 0
    oldest_first = [] if journal.complete else journal.checkpoints()[::-1]
    start = _start(journal, eras, oldest_first)
    _walk(journal, eras, start.after, start.state)
    return journal.last - start.after


def checkpoint_when_due(journal: Journal, core: Core) -> bool:
    """Write a checkpoint if many events have come since the last one; call it between batches."""
    if journal.since_checkpoint < CHECKPOINT_EVERY:
        return False
    journal.checkpoint(core.snapshot())
    return True


def _start(journal: Journal, eras: list[Era], checkpoints: list[Checkpoint]) -> Checkpoint:
    """The first of these that this program can read; where there is none, the empty beginning."""
    for checkpoint in checkpoints:
        if snapshots.readable(checkpoint.state):
            return checkpoint
    if not journal.complete:
        raise JournalDamaged(f"journal {journal.path} has no checkpoint that can be read: restore it from a backup")
    return Checkpoint(0, Core(eras[0].settings).snapshot())


def _walk(journal: Journal, eras: list[Era], after: int, state: bytes) -> Core:
    """Replay what follows `state`, each era under its own settings."""
    era = next(era for era in reversed(eras) if era.first <= after + 1)
    later = [other for other in eras if other.first > era.first]
    core = _continued(era.settings, state)
    for entry in journal.entries(after):
        while later and later[0].first <= entry.first:
            era = later.pop(0)
            core = _continued(era.settings, core.snapshot())
        _check_version(journal, era)
        _check(core, entry, journal)
    for era in later:
        core = _continued(era.settings, core.snapshot())
    return core


def _continued(settings: Settings, state: bytes) -> Core:
    core = Core(settings)
    core.restore(state)
    return core


def _check_version(journal: Journal, era: Era) -> None:
    if era.decisions != DECISIONS:
        raise JournalMismatch(
            f"journal {journal.path} holds decisions of version {era.decisions} that no checkpoint covers, this "
            f"program makes version {DECISIONS}: start and stop the program that wrote it once, then this one"
        )


def _check(core: Core, entry: Entry, journal: Journal) -> None:
    decided = [core.step(event) for event in entry.events]
    if encode(decided) == entry.effects:
        return
    for place, (now, then) in enumerate(zip(decided, entry.decided, strict=True)):
        if encode(now) != encode(then):
            raise DecisionDiffers(
                f"journal {journal.path}, entry {entry.first}, event {entry.first + place}: it says {then}, "
                f"the replay decides {now}; go on with the program that wrote it, and report this"
            )
