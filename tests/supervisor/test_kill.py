"""kill -9 at random moments, with real processes: nothing doubled, nothing announced forgotten."""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.supervisor.link_story import SETTINGS, LinkStory

from qlink.supervisor.core import Core
from qlink.supervisor.effects import (
    Acknowledged,
    Allocated,
    Completed,
    HeraldPublished,
    RequestCancelled,
    RequestExpired,
)
from qlink.supervisor.journal import Journal
from qlink.supervisor.recovery import recover, verify

ROOT = Path(__file__).parents[2]
KILLS = 20
SEED = 20


def run_and_kill(path: Path, draw: random.Random) -> list[tuple[int, str]]:
    """Start a writer, kill it a random while after a random number of announcements; all that it announced."""
    environment = {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
    command = [sys.executable, str(Path(__file__).with_name("link_writer.py")), str(path), str(SEED)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert writer.stdout is not None
    announced = [writer.stdout.readline() for _ in range(draw.choice((0, 1, 5, 20, 60)))]
    try:
        writer.wait(timeout=draw.random() * (0.4 if not announced else 0.05))
    except subprocess.TimeoutExpired:
        writer.kill()
    announced += writer.communicate()[0].splitlines(keepends=True)
    assert writer.returncode == -9, "it was killed, and did not end by itself"
    whole = [line.split() for line in announced if line.endswith("\n")]
    return [(int(first), effects) for first, effects in whole]


def test_a_killed_supervisor_doubles_and_forgets_nothing(tmp_path: Path) -> None:
    path, draw = tmp_path / "link.journal", random.Random(SEED)
    announced: dict[int, str] = {}
    for _ in range(KILLS):
        for first, effects in run_and_kill(path, draw):
            assert first not in announced, "announced twice"
            announced[first] = effects
        journal = Journal(path)
        entries = {entry.first: entry.effects.hex() for entry in journal.entries()}
        assert announced.items() <= entries.items()
        journal.close()
    assert len(announced) > 5 * KILLS

    journal = Journal(path)
    assert verify(journal) == journal.last
    assert recover(journal, SETTINGS).snapshot() == uninterrupted(journal.last)
    told = [effect for _, _, effects in journal.replay() for effect in effects]
    journal.close()

    given = [effect.pair for effect in told if isinstance(effect, Allocated)]
    assert len(given) > 20
    assert max(Counter(given).values()) == 1
    published = [effect.pair for effect in told if isinstance(effect, HeraldPublished)]
    assert published == list(range(1, len(published) + 1))
    taken = {effect.create_id for effect in told if isinstance(effect, Acknowledged)}
    ended = Counter(e.create_id for e in told if isinstance(e, Completed | RequestExpired | RequestCancelled))
    assert max(ended.values()) == 1
    assert ended.keys() <= taken


def uninterrupted(events: int) -> bytes:
    """The state of a core to which the same happened without a kill."""
    core, story = Core(SETTINGS), LinkStory(SEED)
    for _ in range(events):
        story.hear(core.step(story.next()))
    return core.snapshot()
