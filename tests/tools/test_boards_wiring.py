"""docs/boards-wiring.md is made from the profiles."""

import runpy
from pathlib import Path

from qlink.gateware.boards.profiles import PROFILES

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "make_boards_wiring_doc.py"))
TEXT = (ROOT / "docs" / "boards-wiring.md").read_text()


def test_the_wiring_page_is_that_of_the_profiles() -> None:
    assert TOOL["page"](TEXT) == TEXT, "run tools/make_boards_wiring_doc.py"


def test_every_pin_of_every_board_is_on_it() -> None:
    for name, profile in PROFILES.items():
        part = TEXT.split(f"## `{name}`\n")[1].split("\n## ")[0]
        assert all(pin.ball in part and str(pin.contact) in part for pin in profile.pins), name
