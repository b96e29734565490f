import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from tests.supervisor.link_story import SETTINGS, LinkStory

from qlink.supervisor import recovery
from qlink.supervisor.core import Core
from qlink.supervisor.errors import DecisionDiffers, JournalDamaged, JournalMismatch
from qlink.supervisor.events import Request, Requested, Ticked
from qlink.supervisor.journal import Journal, encode
from qlink.supervisor.model import Settings, Tenant
from qlink.supervisor.recovery import checkpoint_when_due, recover, verify

ROOT = Path(__file__).parents[2]
EVENTS = 600


def run(journal: Journal, core: Core, story: LinkStory, events: int) -> None:
    for _ in range(events):
        event = story.next()
        effects = core.step(event)
        story.hear(effects)
        journal.append([(event, effects)])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recovery") / "link.journal"
    journal = Journal(path)
    run(journal, recover(journal, SETTINGS), LinkStory(7), EVENTS)
    journal.close()
    return path


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    path = tmp_path / "link.journal"
    path.write_bytes(recorded.read_bytes())
    return path


def decided_in_memory(events: int, seed: int = 7) -> tuple[str, bytes]:
    """What is decided without any journal: digest of all decisions, and the last state."""
    core, story, digest = Core(SETTINGS), LinkStory(seed), hashlib.sha256()
    for _ in range(events):
        event = story.next()
        effects = core.step(event)
        story.hear(effects)
        digest.update(encode([event, effects]))
    return digest.hexdigest(), core.snapshot()


def test_a_recovered_core_is_the_one_that_was_lost(copy: Path) -> None:
    journal = Journal(copy)
    assert recover(journal, SETTINGS).snapshot() == decided_in_memory(EVENTS)[1]
    assert verify(journal) == EVENTS
    journal.close()


@pytest.mark.parametrize("checkpoint_at", [0, 1, 250, EVENTS])
def test_a_checkpoint_changes_nothing_but_the_time_it_takes(tmp_path: Path, checkpoint_at: int) -> None:
    journal = Journal(tmp_path / "link.journal")
    core, story = recover(journal, SETTINGS), LinkStory(7)
    run(journal, core, story, checkpoint_at)
    journal.checkpoint(core.snapshot())
    assert journal.since_checkpoint == 0
    run(journal, core, story, EVENTS - checkpoint_at)
    journal.close()
    journal = Journal(tmp_path / "link.journal")
    assert journal.since_checkpoint == EVENTS - checkpoint_at
    assert recover(journal, SETTINGS).snapshot() == core.snapshot()
    journal.close()


def test_a_checkpoint_is_due_after_many_events(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(copy)
    core = recover(journal, SETTINGS)
    assert not checkpoint_when_due(journal, core)
    monkeypatch.setattr(recovery, "CHECKPOINT_EVERY", 100)
    assert checkpoint_when_due(journal, core)
    assert not checkpoint_when_due(journal, core)
    journal.close()


def test_a_damaged_checkpoint_costs_time_only(copy: Path) -> None:
    journal = Journal(copy)
    core = recover(journal, SETTINGS)
    journal.checkpoint(core.snapshot())
    journal.connection.execute("UPDATE checkpoints SET state = x'00' WHERE after = ?", (EVENTS,))
    assert recover(journal, SETTINGS).snapshot() == core.snapshot()
    journal.connection.execute("UPDATE checkpoints SET state = x'00'")
    assert recover(journal, SETTINGS).snapshot() == core.snapshot()
    journal.close()


def test_a_checkpoint_of_another_layout_is_passed_by(copy: Path) -> None:
    journal = Journal(copy)
    core = recover(journal, SETTINGS)
    journal.checkpoint(b"\x90")
    assert recover(journal, SETTINGS).snapshot() == core.snapshot()
    journal.close()


def test_without_beginning_and_checkpoint_nothing_is_made_up(copy: Path) -> None:
    journal = Journal(copy)
    core = recover(journal, SETTINGS)
    for time_ns in (10**12, 10**12 + 1):
        journal.append([(Ticked(time_ns), core.step(Ticked(time_ns)))])
        journal.checkpoint(core.snapshot())
    assert journal.prune(EVENTS) > 0
    assert verify(journal) == 1
    journal.connection.execute("UPDATE checkpoints SET state = x'00'")
    with pytest.raises(JournalDamaged, match="no checkpoint that can be read"):
        recover(journal, SETTINGS)
    journal.close()


def test_a_decision_that_differs_is_named(copy: Path) -> None:
    journal = Journal(copy)
    find = "SELECT first, events FROM entries WHERE first > 400 AND length(effects) > 2 LIMIT 1"
    rows: list[Any] = journal.connection.execute(find).fetchall()
    ((first, events),) = rows
    forged = encode([[]])  # as if nothing had been decided, checksum and all
    checksum = crc32(forged, crc32(events))
    journal.connection.execute(
        "UPDATE entries SET effects = ?, checksum = ? WHERE first = ?", (forged, checksum, first)
    )
    with pytest.raises(DecisionDiffers, match=f"entry {first}, event {first}"):
        recover(journal, SETTINGS)
    journal.close()


def test_other_settings_begin_an_era_and_the_old_one_replays_under_its_own(copy: Path) -> None:
    stricter = replace(SETTINGS, tenants={"ann": Tenant(max_waiting=1)}, min_useful_fidelity=0.6)
    journal = Journal(copy)
    core = recover(journal, stricter)
    event = Requested(10**11, Request("new", "ann", 2, 0.7))
    effects = core.step(event)
    assert "QUOTA_EXCEEDED" in str(effects)
    journal.append([(event, effects)])
    assert [era.settings for era in journal.eras()] == [SETTINGS, stricter]
    assert verify(journal) == EVENTS + 1
    assert recover(journal, SETTINGS).snapshot() == core.snapshot()
    assert len(journal.eras()) == 3
    journal.close()


def test_settings_survive_the_journal(tmp_path: Path) -> None:
    settings = Settings(tenants={"ann": Tenant(weight=2.5)}, default_tenant=None)
    journal = Journal(tmp_path / "link.journal")
    recover(journal, settings)
    assert journal.eras()[0].settings == settings
    journal.close()


def test_other_rules_go_on_from_a_checkpoint_only(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "DECISIONS", 999)
    journal = Journal(copy)
    with pytest.raises(JournalMismatch, match="start and stop the program that wrote it"):
        recover(journal, SETTINGS)
    journal.checkpoint(decided_in_memory(EVENTS)[1])
    recover(journal, SETTINGS)
    assert [era.decisions for era in journal.eras()] == [1, 999]
    journal.close()


PROGRAM = """
import json
from tests.supervisor.test_recovery import EVENTS, decided_in_memory
digest, state = decided_in_memory(EVENTS)
print(json.dumps([digest, state.hex()]))
"""


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_another_process_decides_the_same_bytes(hash_seed: str) -> None:
    environment = {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)]), "PYTHONHASHSEED": hash_seed}
    output = subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment)
    digest, state = decided_in_memory(EVENTS)
    assert json.loads(output) == [digest, state.hex()]
