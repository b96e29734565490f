"""Write the tables of docs/wire.md from wire.py and registers.py. Run after a change of the wire contract."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from qlink.firmware_bridge.registers import REGISTERS, Register, Repeat, Width
from qlink.firmware_bridge.wire import (
    BODIES,
    CONTRACT_VERSION,
    FRAME_SYNC,
    HEADER,
    REQUEST,
    REQUEST_SYNC,
    SYNC_BYTES,
    ActionCounter,
    Coding,
    CounterGroup,
    GlobalCounter,
    HeraldFlag,
    Layout,
    Operation,
    Status,
    TimeSource,
    action_counter,
    counter_index,
)

PATH = Path(__file__).parents[1] / "docs" / "wire.md"
SINGLE = (CounterGroup.GLOBAL, CounterGroup.ACTIONS)
BEGIN, END = "<!-- wire: begin -->", "<!-- wire: end -->"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def layout(title: str, layout: Layout) -> Iterator[str]:
    rows = [
        (layout.offsets[field.name], field.name, f"{field.count} x {field.bits}" if field.count > 1 else field.bits)
        for field in layout.fields
    ]
    yield f"**{title}**, {layout.bytes} bytes:"
    yield ""
    yield from table(("byte", "field", "bits"), rows)


def members(
    title: str, names: type[Coding] | type[Operation] | type[Status] | type[HeraldFlag] | type[TimeSource]
) -> str:
    return f"{title}: " + ", ".join(f"{member.value} {member.name}" for member in names) + "."


def sync(value: int) -> str:
    return value.to_bytes(SYNC_BYTES, "little").decode()


def registers() -> Iterator[str]:
    yield "## Registers"
    yield ""
    rows = [(address(r), r.name, r.access.value, fields(r), r.doc) for r in REGISTERS]
    yield from table(("address", "register", "access", "bits", ""), rows)


def address(register: Register) -> str:
    each = {
        Repeat.ONCE: "",
        Repeat.CHANNEL: " + channel",
        Repeat.PATTERN: " + pattern",
        Repeat.ACTION: " + 4 pulse + outcome",
        Repeat.SEGMENT: " + segment",
        Repeat.SEGMENT_WORD: " + segment / 4",
        Repeat.BRANCH: " + 64 outcome + segment",
        Repeat.BIN: " + bin",
    }
    return f"{register.address:#04x}{each[register.repeat]}"


def fields(register: Register) -> str:
    def bits(low: int, width: int | Width) -> str:
        if width in (Width.CHANNELS, Width.FORBIDDEN):
            return f"{low}.. (one a channel)"
        if isinstance(width, Width):
            return f"{low}.. (up to {width.value}_ticks)"
        return str(low) if width == 1 else f"{low}-{low + int(width) - 1}"

    return ", ".join(f"{field.name} {bits(field.low, field.width)}" for field in register.fields)


def counters() -> Iterator[str]:
    yield "## Counters"
    yield ""
    each = ((counter_index(group), group.name) for group in CounterGroup if group not in SINGLE)
    single = ((counter_index(CounterGroup.GLOBAL, member), member.name) for member in GlobalCounter)
    yield "By channel or pattern, added to the index: " + ", ".join(f"{i} {name}" for i, name in each) + "."
    yield "Single: " + ", ".join(f"{i} {name}" for i, name in single) + "."
    actions = ", ".join(f"{action_counter(what, 0)} ACTIONS_{what.name}" for what in ActionCounter)
    yield f"By outcome, added to the index: {actions}."
    yield "All of a snapshot are of one instant. Per channel CLICKS = delivered + CLICKS_FILTERED + CLICKS_LOST;"
    yield "per pattern HERALDS = delivered + HERALDS_LOST. A LOSS record's source is the index of the counter that"
    yield "counts the same losses."
    yield ""


def text() -> str:
    lines = [
        "## Layouts",
        "",
        f"Contract version {CONTRACT_VERSION}. Integers are little-endian, fields follow each other without padding.",
        f"Frames begin with `{sync(FRAME_SYNC)}`, requests with `{sync(REQUEST_SYNC)}`.",
        "",
        *layout("Header of a frame", HEADER),
        members("Codings", Coding),
        "",
    ]
    for kind, body in BODIES.items():
        lines += layout(f"Kind {kind.value}, {kind.name}, behind its head word", body)
    lines += [members("Flags of a herald", HeraldFlag), members("Status of a reply", Status)]
    lines += [members("Sources of a time", TimeSource), ""]
    lines += [*layout("Request", REQUEST), members("Operations", Operation), "", *registers(), *counters()]
    return "\n".join(lines)


def page(old: str) -> str:
    """The page with its tables made anew."""
    before, rest = old.split(BEGIN)
    return f"{before}{BEGIN}\n{text()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PATH.write_text(page(PATH.read_text()))
    print(f"wrote {PATH}")
