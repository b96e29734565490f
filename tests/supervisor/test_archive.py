from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qlink.supervisor import archive as archives
from qlink.supervisor.archive import Archive
from qlink.supervisor.core import Core
from qlink.supervisor.effects import Effect, HeraldPublished
from qlink.supervisor.events import Event, Heralded, Request, Requested
from qlink.supervisor.journal import Entry, Journal
from qlink.supervisor.messages import Body
from qlink.supervisor.model import Settings

BATCHES, PER_BATCH = 60, 7


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal of batches of heralds; each begins with a request of one of two tenants."""
    core, sequence = Core(Settings()), 0
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        journal.open_era(Settings(), 1, core.snapshot())
        for number in range(BATCHES):
            events: list[Event] = [Requested(number * 10**6, Request(f"k{number}", f"tenant{number % 2}"))]
            for _ in range(PER_BATCH):
                events.append(Heralded(number * 10**6, sequence, 0, 0, 0, 0, 0))
                sequence += 1
            journal.append([(event, core.step(event)) for event in events])
        yield journal


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little memory and a dense index, so that a small journal shows everything."""
    monkeypatch.setattr(archives, "REMEMBERED", 20)
    monkeypatch.setattr(archives, "MARK_EVERY", 16)


def pairs(bodies: list[Body]) -> list[int]:
    return [body.pair for body in bodies if isinstance(body, HeraldPublished)]


def test_numbers_follow_from_the_journal_alone(journal: Journal) -> None:
    archive = Archive(journal)
    assert archive.last("herald") == BATCHES * PER_BATCH
    assert archive.last("request/tenant0/") == archive.last("request/tenant1/") > BATCHES / 2
    assert archive.last("nobody") == 0


@pytest.mark.parametrize("first", [1, 2, 15, 16, 17, 200, 399, 400, 401, 420, 421, 500])
@pytest.mark.parametrize("limit", [1, 10, 100, 1000])
def test_any_publication_is_found_again(journal: Journal, first: int, limit: int) -> None:
    total = BATCHES * PER_BATCH
    wanted = list(range(first, min(first + limit, total + 1)))
    assert pairs(Archive(journal).find("herald", first, limit)) == wanted


def test_what_is_new_goes_on_where_the_journal_ended(journal: Journal) -> None:
    archive = Archive(journal)
    effects: list[Effect] = [
        HeraldPublished(0, 421, 0, 0, 0, 0, 0, 0, 0.9),
        HeraldPublished(0, 422, 0, 0, 0, 0, 0, 0, 0.9),
    ]
    runs = archive.take(journal.last + 1, [effects])
    assert [(run.topic, run.first, len(run.bodies)) for run in runs] == [("herald", 421, 2)]
    assert pairs(archive.find("herald", 421, 5)) == [421, 422]


def test_a_saved_index_spares_reading_the_journal_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Archive(journal)
    first.save()
    read: list[int] = []
    entries = journal.entries

    def watched(after: int = 0) -> Iterator[Entry]:
        read.append(after)
        return entries(after)

    monkeypatch.setattr(journal, "entries", watched)
    second = Archive(journal)
    assert journal.last in read
    assert second.last("herald") == first.last("herald")
    assert pairs(second.find("herald", 100, 3)) == [100, 101, 102]


@pytest.mark.parametrize("content", [b"", b"noise", b"\x90"])
def test_a_damaged_index_is_made_anew(journal: Journal, content: bytes) -> None:
    journal.path.with_suffix(".index").write_bytes(content)
    assert Archive(journal).last("herald") == BATCHES * PER_BATCH


def test_an_index_of_another_journal_is_not_believed(journal: Journal, tmp_path: Path) -> None:
    Archive(journal).save()
    other = tmp_path / "other.sqlite"
    journal.path.with_suffix(".index").rename(other.with_suffix(".index"))
    with closing(Journal(other)) as empty:
        assert Archive(empty).last("herald") == 0
