import re
import types
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qlink.supervisor import messages
from qlink.supervisor.effects import Allocated, Effect, HeraldIgnored, HeraldPublished, PairEnded, Purify, Refused
from qlink.supervisor.errors import MessageError
from qlink.supervisor.messages import VERSION, Answer, Call, Create, Done, Publication, decode, encode, topic_of
from qlink.supervisor.request_server import RIGHTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "messages.md"
TABLES = {
    "In publications": typing.get_args(messages.Body),
    "In calls": typing.get_args(messages.Verb),
    "In answers": typing.get_args(messages.AnswerBody),
}
ALLOCATED = Allocated(1_700_000_000_000_000_000, "qkd", "k", 1, 2, 1, 3, 0.9, 0.88, 0.92, 10**9, 5)


def rows_under(heading: str) -> list[tuple[str, ...]]:
    section = re.split(r"^#+ ", DOCUMENT.read_text(), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(heading))
    cells = [
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if line[:1] == "|"
    ]
    return cells[2:]


def kind_of(body: type[msgspec.Struct]) -> str:
    return str(body.__struct_config__.tag)


def in_words(hint: object) -> str:
    """A type as the tables write it."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case types.UnionType:
            return "body" if len(arguments) > 3 else " or ".join(map(in_words, arguments))
        case origin if origin is list:
            return f"list of {in_words(arguments[0])}".replace("of body", "of bodies")
        case origin if origin is dict:
            return f"map of {in_words(arguments[0])} to {in_words(arguments[1])}"
        case _:
            return "nil" if hint is type(None) else getattr(hint, "__name__", "").lower()


def fields_of(body: type[msgspec.Struct]) -> str:
    hints = typing.get_type_hints(body)

    def default(field: msgspec.structs.FieldInfo) -> str:
        if field.default is msgspec.NODEFAULT:
            return ""
        return f" = {str(field.default).lower() if isinstance(field.default, bool) else field.default}"

    each = (f"`{f.name}`: {in_words(hints[f.name])}{default(f)}" for f in msgspec.structs.fields(body))
    return ", ".join(each) or "-"


@pytest.mark.parametrize("heading", TABLES)
def test_the_page_lists_every_body_with_its_fields(heading: str) -> None:
    assert rows_under(heading) == [(f"`{kind_of(body)}`", fields_of(body)) for body in TABLES[heading]]


def test_the_page_says_what_a_standing_is() -> None:
    assert rows_under("Inside others") == [("`standing`", fields_of(messages.Standing))]


def test_the_page_says_which_right_each_call_needs() -> None:
    def words(rights: frozenset[str]) -> str:
        return "any" if len(rights) == 3 else " or ".join(f"`{right}`" for right in sorted(rights, reverse=True))

    assert [row[:2] for row in rows_under("Calls")] == [(f"`{kind_of(verb)}`", words(RIGHTS[verb])) for verb in RIGHTS]


def test_the_page_names_every_topic() -> None:
    assert tuple(row[0].strip("`") for row in rows_under("Publications")) == messages.TOPICS


def test_a_publication_is_an_array_that_begins_with_the_version() -> None:
    data = encode(Publication(VERSION, 7, [ALLOCATED]))
    plain = msgspec.msgpack.decode(data)
    assert plain[:2] == [VERSION, 7]
    assert plain[2][0][:3] == ["ok", 1_700_000_000_000_000_000, "qkd"]
    assert decode(data, Publication) == Publication(VERSION, 7, [ALLOCATED])


@given(st.binary(max_size=64))
@example(b"\x91\xa4\x00\x00\x00\x80")  # a string that is not UTF-8
def test_noise_is_a_message_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode(data, Publication)
    with pytest.raises(MessageError):
        decode(data, Call)
    with pytest.raises(MessageError):
        decode(data, Answer)


@pytest.mark.parametrize(
    "message", [[2, 1, ["status"]], [2, 1, {"another": "shape"}], [2], [2, 5, ["create", "k"], "more"]]
)
def test_another_version_is_named(message: list[object]) -> None:
    with pytest.raises(MessageError, match="speaks version 2 of the messages, this one 1"):
        decode(msgspec.msgpack.encode(message), Call)


@pytest.mark.parametrize("body", [["create"], ["create", 5], ["dance"], ["confirm", 1], ["replay", "herald", "one"]])
def test_a_wrong_body_is_refused(body: list[object]) -> None:
    with pytest.raises(MessageError, match=r"no call of docs/messages.md"):
        decode(msgspec.msgpack.encode([VERSION, 1, body]), Call)


def test_fields_with_a_default_may_be_left_off() -> None:
    call = decode(msgspec.msgpack.encode([VERSION, 1, ["create", "k", 3]]), Call)
    assert call.body == Create("k", number=3)


def test_an_answer_without_fields_is_its_kind_alone() -> None:
    assert msgspec.msgpack.decode(encode(Answer(VERSION, 9, Done()))) == [VERSION, 9, ["done"]]


@pytest.mark.parametrize(
    ("effect", "topic"),
    [
        (HeraldPublished(0, 1, 0, 0, 0, 0, 0, 0, 0.9), "herald"),
        (PairEnded(1, "EXPIRED", "old"), "pair"),
        (Purify(1, 2, 0.8), "pair"),
        (ALLOCATED, "request/qkd/"),
        (Refused("qkd", "k", "INVALID", "no"), "request/qkd/"),
        (HeraldIgnored(0, 1, "seen"), None),
    ],
)
def test_decisions_on_requests_are_for_their_tenant_alone(effect: Effect, topic: str | None) -> None:
    assert topic_of(effect) == topic
