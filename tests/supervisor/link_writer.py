"""A supervisor's heart without its sockets, to be killed: goes on with a story where its journal ends.

`python link_writer.py JOURNAL SEED` prints, after each commit, its first sequence number and its effects, now known.
"""

import sys
from pathlib import Path

from tests.supervisor.link_story import SETTINGS, LinkStory, batches

from qlink.supervisor.journal import Journal, encode
from qlink.supervisor.recovery import recover

CHECKPOINT_EVERY = 97  # events: often, so that kills fall into checkpoints too


def main(path: str, seed: str) -> None:
    journal, story = Journal(Path(path)), LinkStory(int(seed))
    core = recover(journal, SETTINGS)
    for _, event, effects in journal.replay():
        if story.next() != event:
            raise SystemExit("the journal holds another story")
        story.hear(effects)
    for size in batches(journal.last):
        batch = []
        for _ in range(size):
            event = story.next()
            batch.append((event, core.step(event)))
            story.hear(batch[-1][1])
        first = journal.append(batch)
        print(first, encode([effects for _, effects in batch]).hex(), flush=True)
        if journal.since_checkpoint >= CHECKPOINT_EVERY:
            journal.checkpoint(core.snapshot())


if __name__ == "__main__":
    main(*sys.argv[1:])
