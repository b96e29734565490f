"""The contract's own invariants, and that what is made from it is of today."""

import runpy
from pathlib import Path

import pytest

from qlink.firmware_bridge._decode import lib
from qlink.firmware_bridge.registers import BY_NAME, REGISTERS, Access, Register, Repeat
from qlink.firmware_bridge.wire import (
    BODIES,
    HEADER,
    KIND_BITS,
    MAX_CHANNELS,
    MAX_FRAME_WORDS,
    MAX_RECORD_WORDS,
    OFFSET_BITS,
    PAGE_BITS,
    REQUEST,
    Kind,
    Layout,
)

ROOT = Path(__file__).parents[2]
LAYOUTS = [HEADER, REQUEST, *BODIES.values()]


def test_a_head_word_is_32_bits_and_a_tick_64() -> None:
    assert OFFSET_BITS + KIND_BITS == 32
    assert OFFSET_BITS + PAGE_BITS == 64
    assert next(field.bits for field in HEADER.fields if field.name == "page") >= PAGE_BITS


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_layouts_are_whole_words_of_whole_bytes(layout: Layout) -> None:
    assert layout.bytes % 4 == 0
    assert all(field.bits % 8 == 0 for field in layout.fields)


def test_kinds_do_not_collide_with_channels_and_fit_their_bits() -> None:
    assert BODIES.keys() == set(Kind)
    assert all(MAX_CHANNELS <= kind < 1 << KIND_BITS for kind in Kind)
    assert MAX_RECORD_WORDS <= MAX_FRAME_WORDS


def test_registers_do_not_overlap() -> None:
    addresses = [address for register in REGISTERS for address in register.addresses]
    assert len(addresses) == len(set(addresses))
    assert len(BY_NAME) == len(REGISTERS)


@pytest.mark.parametrize("register", REGISTERS, ids=lambda register: register.name)
def test_a_register_packs_what_it_unpacks(register: Register) -> None:
    bits = register.bits()
    assert register.pack(**register.unpack(bits)) == bits
    assert register.reset & ~bits == 0


def test_identity_is_read_only_and_the_same_for_all() -> None:
    identity = [BY_NAME[name] for name in ("magic", "contract_version", "board", "geometry", "tick_fs", "build")]
    assert all(register.access is Access.READ and register.repeat is Repeat.ONCE for register in identity)


def test_the_page_about_it_is_of_today() -> None:
    page = runpy.run_path(str(ROOT / "tools/make_wire_doc.py"))["page"]
    text = (ROOT / "docs/wire.md").read_text()
    assert page(text) == text, "run tools/make_wire_doc.py"


def test_the_c_decoder_is_built_from_it() -> None:
    build = runpy.run_path(str(ROOT / "firmware_bridge/csrc/build.py"))
    assert build["layout_crc"](build["load_wire"]()) == lib.QL_LAYOUT_CRC, "run pip install -e . again"
