"""What stands in a TOML file, checked. A `Reader` takes a place and the value there, and returns what it means.

Readers raise `ValueError`: a sentence that names the place and says what is allowed there.
"""

import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
Reader = Callable[[str, object], T]

NUMBER = re.compile(r"[0-9]{1,9}")
WHOLE_MAX = 2**63 - 1  # as TOML says


def whole(place: str, value: object) -> int:
    """Read a whole number; neither `true` nor `1.0` is one."""
    if not isinstance(value, int) or isinstance(value, bool) or not -WHOLE_MAX <= value <= WHOLE_MAX:
        raise wrong(place, value, "a whole number of 64 bits")
    return value


def truth(place: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong(place, value, "true or false")
    return value


def word(words: Mapping[str, T]) -> Reader[T]:
    """Read one of these words."""

    def read(place: str, value: object) -> T:
        if not isinstance(value, str) or value not in words:
            raise wrong(place, value, f"one of {', '.join(words)}")
        return words[value]

    return read


def several(each: Reader[T]) -> Reader[tuple[T, ...]]:
    """Read a list."""

    def read(place: str, value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise wrong(place, value, "a list")
        return tuple(each(f"{place}[{number}]", item) for number, item in enumerate(value))

    return read


def distinct(each: Reader[T]) -> Reader[frozenset[T]]:
    """Read a list in which nothing stands twice."""

    def read(place: str, value: object) -> frozenset[T]:
        items: set[T] = set()
        for number, item in enumerate(several(each)(place, value)):
            if item in items:
                raise ValueError(f"{place}[{number}] stands in this list already: name each once")
            items.add(item)
        return frozenset(items)

    return read


def span(kind: Callable[[int, int], T]) -> Reader[T]:
    """Read a list of two numbers, `[start, stop]`."""

    def read(place: str, value: object) -> T:
        if not isinstance(value, list) or len(value) != 2:
            raise wrong(place, value, "a list of two numbers, [start, stop]")
        start, stop = several(whole)(place, value)
        return kind(start, stop)

    return read


def numbered(each: Reader[T]) -> Reader[dict[int, T]]:
    """Read a table whose keys are numbers: of channels, or of triggers."""

    def read(place: str, value: object) -> dict[int, T]:
        values: dict[int, T] = {}
        for key, item in _table(place, value).items():
            if not NUMBER.fullmatch(key):
                raise ValueError(f"{place}: the key {key!r} has to be a number, as in {place} = {{ 0 = ... }}")
            if int(key) in values:
                raise ValueError(f"{place}.{key}: {int(key)} has a value already")
            values[int(key)] = each(f"{place}.{key}", item)
        return values

    return read


def worded(words: Mapping[str, T], each: Reader[Any]) -> Reader[dict[T, Any]]:
    """Read a table whose keys are some of these words."""

    def read(place: str, value: object) -> dict[T, Any]:
        given = _table(place, value)
        _check_keys(place, given, words)
        return {words[key]: each(f"{place}.{key}", item) for key, item in given.items()}

    return read


def table(kind: Callable[..., T], keys: Mapping[str, Reader[Any]], needed: Collection[str] = ()) -> Reader[T]:
    """Read a table with these keys, of which some are `needed`, and call `kind` by them. The place "" is the file."""

    def read(place: str, value: object) -> T:
        given = _table(place, value)
        _check_keys(place, given, keys)
        for key in needed:
            if key not in given:
                raise ValueError(f"{_inside(place, key)} is missing")
        return kind(**{key: keys[key](_inside(place, key), item) for key, item in given.items()})

    return read


def wrong(place: str, value: object, allowed: str) -> ValueError:
    """Return the error that says so."""
    return ValueError(f"{place} is {_shown(value)}: it has to be {allowed}")


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _table(place: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise wrong(place, value, "a table")
    return value


def _check_keys(place: str, given: Collection[str], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            where = f" in [{place}]" if place else ""
            raise ValueError(f"{key!r}{where} is unknown: there are {', '.join(known)}")


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > WHOLE_MAX:
        return "too large"
    return reprlib.repr(value) if isinstance(value, str) else str(value)
