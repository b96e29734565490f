import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlink.firmware_bridge.errors import RecordingError
from qlink.sim import recordings
from qlink.sim.recordings import read_recording

DATA = Path(os.environ.get("QLINK_DATA", Path(__file__).parents[2] / "../shared/data"))


def recording(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}: set QLINK_DATA to the folder of recordings")
    return path


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "clicks.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_reads_channel_and_time(tmp_path: Path) -> None:
    clicks = read_recording(write(tmp_path, "0 5\n7\t5\r\n\n3 900\n"), channels=8).clicks
    assert clicks["channel"].tolist() == [0, 7, 3]
    assert clicks["tick"].tolist() == [5, 5, 900]


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert len(read_recording(write(tmp_path, "0 5\n1 6"), channels=8).clicks) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n0 5\n0 4\n", "line 3: time 4 is before 5"),
        ("0 1\n8 5\n", "line 2: channel 8 is out of range, 0 to 7"),
        ("0 1\n\nhello\n", "line 3: expected `channel time`, two whole numbers, not 'hello'"),
        ("0 1\n0\n2 1 3\n", "line 2: expected"),
        ("0 1 2\n3\n", "line 1: expected"),
        ("0 1\n0 2.5\n", "line 2: expected"),
        ("0 1\n0 1_0\n", "line 2: expected"),
        ("0 -1\n", "line 1: a negative number"),
        ("0 1\n-1 1\n", "line 2: a negative number"),
        (f"0 1\n0 {2**63}\n", "line 2: time 9223372036854775808 is too large"),
        (b"0 1\n\xff\xfe\n", r"line 2: expected .* not '\\xff\\xfe'"),
        ("", "holds no clicks"),
        ("\n \n", "holds no clicks"),
    ],
)
def test_names_the_line_that_is_wrong(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        read_recording(write(tmp_path, text), channels=8)


def test_says_that_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot read .*nothing\.txt: No such file"):
        read_recording(tmp_path / "nothing.txt", channels=8)


def test_lines_are_numbered_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "_CHUNK", 10)
    good = "".join(f"{i % 8} {i * 3}\n" for i in range(100))
    assert read_recording(write(tmp_path, good), channels=8).clicks["tick"].tolist() == [i * 3 for i in range(100)]
    with pytest.raises(RecordingError, match="line 101: time 0 is before 297"):
        read_recording(write(tmp_path, good + "0 0\n"), channels=8)


@given(st.text("0123456789 \t\r\n-x", max_size=40))
def test_the_quick_way_takes_only_what_the_careful_way_takes(text: str) -> None:
    quick = recordings._parse(text.encode(), 8, 0)
    if quick is not None:
        assert quick.tobytes() == recordings._parse_carefully("", text.encode(), 1, 8, 0).tobytes()


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 10**17)), min_size=1))
def test_the_quick_way_takes_every_plain_recording(clicks: list[tuple[int, int]]) -> None:
    clicks.sort(key=lambda click: click[1])
    quick = recordings._parse("".join(f"{c} {t}\n" for c, t in clicks).encode(), 8, 0)
    assert quick is not None
    assert list(zip(quick["channel"].tolist(), quick["tick"].tolist(), strict=True)) == clicks


def test_reads_the_pair_source() -> None:
    clicks = read_recording(recording("spdc/spdc_pairs.txt"), channels=8).clicks
    assert np.bincount(clicks["channel"]).tolist() == [32918, 16543, 10835, 7932, 31926, 35366, 16592, 13057]


@pytest.mark.parametrize(
    ("name", "photons", "seconds"),
    [("hbt/hydraharp_t2_hbt_320MHz.ptu", [159_298, 224_721], 1.0), ("picoquant/hydraharp_v30_t2.ptu", [305_565], 5.0)],
)
def test_reads_ptu_beyond_32_bits_of_time(name: str, photons: list[int], seconds: float) -> None:
    result = read_recording(recording(name), channels=8)
    assert np.bincount(result.clicks["channel"]).tolist() == photons
    assert result.tick_ps == 1.0
    assert int(result.clicks["tick"][-1]) * 1e-12 == pytest.approx(seconds, rel=1e-3)


def test_a_ptu_channel_may_be_out_of_range() -> None:
    with pytest.raises(RecordingError, match="photon 2: channel 1 is out of range, 0 to 0"):
        read_recording(recording("hbt/hydraharp_t2_hbt_320MHz.ptu"), channels=1)


@pytest.mark.parametrize(("keep", "message"), [(-1000, "is cut short"), (100, "is not a readable PTU file")])
def test_a_ptu_that_is_cut_short_is_refused(tmp_path: Path, keep: int, message: str) -> None:
    path = tmp_path / "short.ptu"
    path.write_bytes(recording("picoquant/hydraharp_v30_t2.ptu").read_bytes()[:keep])
    with pytest.raises(RecordingError, match=message):
        read_recording(path, channels=8)
