import random
from pathlib import Path

import pytest
from tests.supervisor.link_story import SETTINGS, LinkStory, batches
from tests.supervisor.power_cut import Acknowledge, Disk, Operation, logged, restore

from qlink.supervisor.errors import JournalError
from qlink.supervisor.journal import Journal
from qlink.supervisor.recovery import recover, verify

EVENTS = 400
CUTS = 60
EARLY_CUTS = 6  # while the journal is opened


def write_story(path: Path, synchronous: str) -> list[Operation]:
    """Let a story run into a journal; all that reached the file system, and what was acknowledged when."""
    with logged() as log:
        journal = Journal(path)
        journal.connection.pragma("synchronous", synchronous)
        journal.connection.wal_autocheckpoint(30)  # so that cuts fall into SQLite's own checkpoints too
        core, story = recover(journal, SETTINGS), LinkStory(3)
        for size in batches(3):
            batch = []
            for _ in range(size):
                event = story.next()
                batch.append((event, core.step(event)))
                story.hear(batch[-1][1])
            journal.append(batch)
            log.append(Acknowledge(journal.last))
            if journal.last > EVENTS:
                break
            if journal.since_checkpoint > 90:
                journal.checkpoint(core.snapshot())
        written = list(log)
        journal.close()
    return written


def cut_and_restart(log: list[Operation], initial: bytes, path: Path) -> int:
    """Cut the power at many moments; in how many a restart lost what had been acknowledged."""
    draw, disk, lost, acknowledged = random.Random(5), Disk({str(path): bytearray(initial)}), 0, 0
    opened = next(place for place, operation in enumerate(log) if isinstance(operation, Acknowledge))
    moments = {*draw.sample(range(opened), EARLY_CUTS), *draw.sample(range(opened, len(log)), CUTS)}
    for moment, operation in enumerate(log):
        if isinstance(operation, Acknowledge):
            acknowledged = operation.last
        disk.take(operation)
        if moment in moments:
            directory = path.parent / f"cut{moment}"
            directory.mkdir()
            restore(disk.after_power_cut(draw), directory)
            try:
                lost += last_intact(directory / path.name) < acknowledged
            except JournalError:
                lost += 1
    return lost


def last_intact(path: Path) -> int:
    """The last event that a restart finds, every decision before it compared."""
    journal = Journal(path)
    recover(journal, SETTINGS)
    assert verify(journal) == journal.last
    last = journal.last
    journal.close()
    return last


@pytest.mark.parametrize(("synchronous", "loses"), [("FULL", False), ("NORMAL", True)])
def test_only_full_sync_keeps_its_word_when_the_power_goes(tmp_path: Path, synchronous: str, loses: bool) -> None:
    """NORMAL is here to show that this test can fail."""
    path = tmp_path / "link.journal"
    Journal(path).close()
    initial = path.read_bytes()
    log = write_story(path, synchronous)
    lost = cut_and_restart(log, initial, path)
    assert (lost > CUTS // 4) if loses else (lost == 0)
