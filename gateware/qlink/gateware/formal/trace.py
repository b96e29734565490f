"""Counterexamples in words."""

import re

from .bench import MUST

__all__ = ["spelled", "told"]

TOP = "bench"


def spelled(must: str) -> str:
    """Return the name of a must in words."""
    return must.replace("_", " ")


def told(path, shown):
    """Tell the counterexample in the VCD file `path`: what is broken, and the signals `shown` clock by clock.

    Only changes are told. Numbers are decimal.
    """
    steps = _read(path, shown)
    lines, before = [], {}
    for number, step in enumerate(steps):
        changed = {name: value for name, value in step.items() if before.get(name) != value}
        said = ", ".join(f"{name} = {value}" for name, value in sorted(changed.items()) if not name.startswith(MUST))
        lines.append(f"  clock {number}: {said or 'nothing changes'}")
        before = step
    broken = [
        spelled(name.removeprefix(MUST)) for name, value in before.items() if name.startswith(MUST) and value == 0
    ]
    return "\n".join(
        [f"broken in clock {len(steps) - 1}: {'; '.join(broken) or 'see the log'}", *lines, f"waves: {path}"]
    )


def _read(path, shown):
    """Return the values of the top's signals in each clock."""
    text = path.read_text()
    names, scope = {}, []
    for word, *rest in re.findall(r"\$(scope|upscope|var)\s+(.*?)\$end", text, re.DOTALL):
        fields = rest[0].split()
        if word == "scope":
            scope.append(fields[1])
        elif word == "upscope":
            scope.pop()
        elif len(scope) == 1 and fields[3] in shown:
            names.setdefault(fields[2], fields[3])
    values, steps = {}, []
    for line in text.split("$enddefinitions", 1)[1].splitlines()[1:]:
        if line.startswith("#"):
            if values:
                steps.append(dict(values))
            continue
        found = re.fullmatch(r"b([01xz]+) (\S+)|([01xz])(\S+)", line)
        if found and (code := found[2] or found[4]) in names:
            bits = found[1] or found[3]
            values[names[code]] = int(bits, 2) if set(bits) <= {"0", "1"} else bits
    steps.append(dict(values))
    return steps[::2]  # two times a clock
