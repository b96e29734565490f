"""Read lab recordings: text `channel time`, and PicoQuant PTU files (T2).

A file is checked whole before any of it is handed out: nothing is counted of a file that is damaged further on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qlink.firmware_bridge.errors import RecordingError
from qlink.firmware_bridge.events import CLICK

PTU_MAGIC = b"PQTTTR"
_CHUNK = 1 << 24  # bytes
_DIGITS = 18  # a time of so many fits into 63 bits for sure
_TIME_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Recording:
    """Clicks sorted by tick, one tick per time unit of the file; `tick_ps` is that unit where the file says it."""

    clicks: NDArray[np.void]  # dtype CLICK
    tick_ps: float | None = None


def read_recording(path: Path, channels: int) -> Recording:
    """Return all clicks of the file at `path`, text or PTU. `RecordingError` names the line or record that is wrong."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(PTU_MAGIC))
    except OSError as error:
        raise RecordingError(f"cannot read the recording {path}: {error.strerror}") from error
    recording = _read_ptu(path, channels) if magic == PTU_MAGIC else _read_text(path, channels)
    if not len(recording.clicks):
        raise RecordingError(f"{path} holds no clicks")
    return recording


def _read_text(path: Path, channels: int) -> Recording:
    parts, line, last = [np.empty(0, CLICK)], 1, 0
    for chunk in _whole_lines(path):
        clicks = _parse(chunk, channels, last)
        if clicks is None:
            clicks = _parse_carefully(str(path), chunk, line, channels, last)
        parts.append(clicks)
        last = int(clicks["tick"][-1]) if len(clicks) else last
        line += chunk.count(b"\n")
    return Recording(np.concatenate(parts))


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk + file.readline()


def _parse(chunk: bytes, channels: int, last: int) -> NDArray[np.void] | None:
    """Return the clicks of whole lines, quickly; None when anything at all is unusual about them."""
    if chunk.translate(None, b"0123456789 \t\r\n"):
        return None
    text = np.frombuffer(chunk, np.uint8)
    digit = np.concatenate([[False], text > ord(" "), [False]])
    starts, ends = np.flatnonzero(digit[1:] & ~digit[:-1]), np.flatnonzero(digit[:-1] & ~digit[1:])
    lines = np.searchsorted(np.flatnonzero(text == ord("\n")), starts)
    two_a_line = len(starts) % 2 == 0 and (lines[::2] == lines[1::2]).all() and (np.diff(lines[::2]) > 0).all()
    if not two_a_line or (len(starts) and (ends - starts).max() > _DIGITS):
        return None
    numbers = np.fromstring(chunk.decode("ascii"), np.int64, sep=" ") if len(starts) else np.empty(0, np.int64)
    channel, time = numbers[::2], numbers[1::2]
    if (channel >= channels).any() or (np.diff(time, prepend=last) < 0).any():
        return None
    return _clicks(channel, time)


def _parse_carefully(place: str, chunk: bytes, first: int, channels: int, last: int) -> NDArray[np.void]:
    """Return the clicks of whole lines, slowly, or say which line is wrong. The authority on what a text may hold."""
    rows: list[tuple[int, int]] = []
    for number, line in enumerate(chunk.split(b"\n"), first):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not all(word.removeprefix(b"-").isdigit() for word in words):
            shown = repr(line[:40])[1:]
            raise RecordingError(f"{place}, line {number}: expected `channel time`, two whole numbers, not {shown}")
        channel, time = int(words[0]), int(words[1])
        if channel < 0 or time < 0:
            raise RecordingError(f"{place}, line {number}: a negative number")
        if channel >= channels:
            raise RecordingError(f"{place}, line {number}: channel {channel} is out of range, 0 to {channels - 1}")
        if time > _TIME_MAX:
            raise RecordingError(f"{place}, line {number}: time {time} is too large, more than 63 bits")
        if time < last:
            raise RecordingError(
                f"{place}, line {number}: time {time} is before {last}, the file is not sorted by time"
            )
        last = time
        rows.append((channel, time))
    table = np.array(rows, np.uint64).reshape(-1, 2)
    return _clicks(table[:, 0], table[:, 1])


def _clicks(channel: NDArray[np.generic], tick: NDArray[np.generic]) -> NDArray[np.void]:
    clicks = np.zeros(len(tick), CLICK)
    clicks["channel"], clicks["tick"] = channel, tick
    return clicks


def _read_ptu(path: Path, channels: int) -> Recording:
    from ptufile import PqFileError, PtuFile

    try:
        with PtuFile(path) as file:
            if file.is_t3:
                raise RecordingError(f"{path} is a T3 recording: only T2 recordings carry times that can be replayed")
            present = (path.stat().st_size - file.record_offset) // 4
            if present < file.number_records:
                raise RecordingError(f"{path} is cut short: {present} of {file.number_records} records are there")
            tick_ps = float(file.global_resolution) * 1e12
            records = file.decode_records()
    except (PqFileError, ValueError, KeyError) as error:
        raise RecordingError(f"{path} is not a readable PTU file: {error}") from error

    photons = records[(records["channel"] >= 0) & (records["marker"] == 0)]
    late = np.flatnonzero(np.diff(photons["time"].astype(np.int64)) < 0)
    if len(late):
        raise RecordingError(f"{path}, photon {late[0] + 2}: its time is before that of the photon before it")
    strange = np.flatnonzero(photons["channel"] >= channels)
    if len(strange):
        found = photons["channel"][strange[0]]
        raise RecordingError(f"{path}, photon {strange[0] + 1}: channel {found} is out of range, 0 to {channels - 1}")
    return Recording(_clicks(photons["channel"], photons["time"]), tick_ps)
