import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.supervisor.link_story import SETTINGS, LinkStory, batches

from qlink.supervisor.core import Core
from qlink.supervisor.effects import Acknowledged, Allocated, Effect, HeraldPublished
from qlink.supervisor.errors import JournalDamaged, JournalError, JournalLocked, JournalMismatch
from qlink.supervisor.events import Event, Request, Requested, Ticked
from qlink.supervisor.journal import Journal
from qlink.supervisor.recovery import recover

Told = list[tuple[Event, list[Effect]]]


def record(journal: Journal, events: int, seed: int = 1) -> Told:
    """Let a story run into the journal; what was appended."""
    core, story = recover(journal, SETTINGS), LinkStory(seed)
    told: Told = []
    for size in batches(seed):
        batch = []
        for _ in range(size):
            event = story.next()
            batch.append((event, core.step(event)))
            story.hear(batch[-1][1])
        assert journal.append(batch) == len(told) + 1
        told += batch
        if len(told) >= events:
            return told
    raise AssertionError


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    path = tmp_path_factory.mktemp("journal") / "link.journal"
    journal = Journal(path)
    told = record(journal, 1500)
    journal.close()
    return path, told


@pytest.fixture
def copy(recorded: tuple[Path, Told], tmp_path: Path) -> Path:
    path = tmp_path / "link.journal"
    path.write_bytes(recorded[0].read_bytes())
    return path


def test_gives_back_what_was_appended(copy: Path, recorded: tuple[Path, Told]) -> None:
    journal = Journal(copy)
    replayed = list(journal.replay())
    assert [sequence for sequence, _, _ in replayed] == list(range(1, len(recorded[1]) + 1))
    assert [(event, effects) for _, event, effects in replayed] == recorded[1]
    assert journal.last == len(replayed)
    journal.close()


def test_tells_a_subscriber_what_it_missed(copy: Path, recorded: tuple[Path, Told]) -> None:
    published = [effect for _, effects in recorded[1] for effect in effects if isinstance(effect, HeraldPublished)]
    assert [herald.pair for herald in published] == list(range(1, len(published) + 1))
    journal = Journal(copy)
    for seen in (0, 1, 17, len(published) - 1):
        assert journal.heralds_since(seen, limit=50) == published[seen : seen + 50]
    assert journal.heralds_since(len(published)) == []
    assert journal.heralds_since(10**9) == []
    journal.close()


def test_repeats_what_was_said_to_a_request(copy: Path, recorded: tuple[Path, Told]) -> None:
    journal = Journal(copy)
    said: dict[tuple[str, str], list[Effect]] = {}
    for effect in (effect for _, effects in recorded[1] for effect in effects):
        if isinstance(effect, Acknowledged):
            said.setdefault((effect.tenant, effect.key), [effect])
        elif isinstance(effect, Allocated):
            said[effect.tenant, effect.key].append(effect)
    assert len(said) > 50
    for (tenant, key), expected in said.items():
        answers = [each for each in journal.answers(tenant, key) if isinstance(each, Acknowledged | Allocated)]
        assert answers == expected
    assert journal.answers("ann", "never asked") == []
    journal.close()


def test_refusals_are_found_by_key_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "link.journal")
    event = Requested(0, Request("k", "ann", 1, 0.999))
    effects = recover(journal, SETTINGS).step(event)
    journal.append([(event, effects)])
    assert journal.answers("ann", "k") == effects
    journal.close()


def test_a_second_supervisor_is_refused(copy: Path) -> None:
    journal = Journal(copy)
    program = (
        "import sys; from pathlib import Path; from qlink.supervisor.journal import Journal; Journal(Path(sys.argv[1]))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(copy)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        check=False,
    )
    assert "JournalLocked" in other.stderr
    assert f"journal {copy} is open in another supervisor" in other.stderr
    with pytest.raises(JournalLocked):
        Journal(copy)
    journal.append([(Ticked(10**12), [])])
    journal.close()
    Journal(copy).close()


def test_each_opening_has_its_epoch(copy: Path) -> None:
    epochs = []
    for _ in range(3):
        journal = Journal(copy)
        epochs.append(journal.epoch)
        journal.close()
    assert epochs == [2, 3, 4]


def test_an_empty_batch_is_refused(copy: Path) -> None:
    journal = Journal(copy)
    with pytest.raises(ValueError, match="empty batch"):
        journal.append([])
    journal.close()


def test_a_failed_append_leaves_nothing_behind(copy: Path, recorded: tuple[Path, Told]) -> None:
    journal = Journal(copy)
    journal.connection.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    last, event = journal.last, Requested(0, Request("new", "ann"))
    with pytest.raises(JournalError, match="free space"):
        journal.append([(event, [Acknowledged("ann", "new", 12345)])])
    journal.connection.execute("DROP TRIGGER full")
    assert journal.answers("ann", "new") == []
    assert journal.append([(Ticked(1), [])]) == last + 1
    journal.close()


@pytest.mark.parametrize("content", [b"no journal at all\n" * 300, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_none_is_said_to_be_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "link.journal"
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match="restore it from a backup"):
        Journal(path)
    assert path.read_bytes() == content


def test_another_sqlite_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(JournalDamaged, match="no journal"):
        Journal(path)


def test_another_schema_is_refused(copy: Path) -> None:
    other = apsw.Connection(str(copy))
    other.pragma("user_version", 99)
    other.close()
    with pytest.raises(JournalMismatch, match="schema version 99"):
        Journal(copy)


def test_a_flipped_bit_in_an_entry_is_named(copy: Path) -> None:
    other = apsw.Connection(str(copy))
    row: Any = other.execute("SELECT first, effects FROM entries WHERE first > 700 LIMIT 1").fetchone()
    first, effects = row
    other.execute("UPDATE entries SET effects = ? WHERE first = ?", (effects[:-1] + bytes((effects[-1] ^ 1,)), first))
    other.close()
    journal = Journal(copy)
    with pytest.raises(JournalDamaged, match=f"entry {first}"):
        list(journal.replay())
    journal.close()


def test_a_missing_entry_is_named(copy: Path) -> None:
    other = apsw.Connection(str(copy))
    ((first,),) = other.execute("SELECT first FROM entries WHERE first > 700 LIMIT 1").fetchall()
    other.execute("DELETE FROM entries WHERE first = ?", (first,))
    other.close()
    journal = Journal(copy)
    with pytest.raises(JournalDamaged, match=f"no entry {first}"):
        list(journal.replay())
    journal.close()


def test_a_directory_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="check its directory"):
        Journal(tmp_path / "nowhere" / "link.journal")


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    with pytest.raises(JournalError, match=r"install apsw with 3\.51\.3 or later"):
        Journal(tmp_path / "link.journal")


def test_prunes_only_what_a_checkpoint_covers(copy: Path, recorded: tuple[Path, Told]) -> None:
    journal = Journal(copy)
    core = recover(journal, SETTINGS)
    assert journal.prune(10**9) == 0  # its only checkpoint is the empty beginning
    for _ in range(2):
        journal.append([(Ticked(10**12), core.step(Ticked(10**12)))])
        journal.checkpoint(core.snapshot())
    assert journal.prune(10**9) > 100
    assert not journal.complete
    assert recover(journal, SETTINGS).snapshot() == core.snapshot()
    assert journal.append([(Ticked(10**12), core.step(Ticked(10**12)))]) == len(recorded[1]) + 3
    journal.close()


def test_commits_with_full_sync(copy: Path) -> None:
    journal = Journal(copy)
    assert journal.connection.pragma("synchronous") == 2
    assert journal.connection.pragma("journal_mode") == "wal"
    journal.close()


def test_a_story_has_all_kinds_of_effects(recorded: tuple[Path, Told]) -> None:
    """Otherwise the tests above would prove little."""
    seen = {type(effect).__name__ for _, effects in recorded[1] for effect in effects}
    assert seen >= {"Allocated", "Completed", "RequestExpired", "RequestCancelled", "Purify", "PairEnded", "Refused"}
    assert Core(SETTINGS).snapshot() == Core(SETTINGS).snapshot()
    assert list(islice(batches(3), 5)) == list(islice(batches(3), 5))
