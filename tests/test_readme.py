"""What README.md tells a newcomer to type and to open is there."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from qlink.supervisor.cli.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(?:sh|console|bash)\n(.*?)```", README, re.DOTALL)
LINES = [line.removeprefix("$ ").strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
LINKS = sorted({link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", README) if "://" not in link} - {""})


def commands(program: str) -> list[str]:
    return [line for line in LINES if line.split(" ")[0].removeprefix(".venv/bin/") == program]


@pytest.mark.parametrize("line", commands("qlinkctl"))
def test_qlinkctl_command_of_the_readme_exists_with_its_options(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        child = command.get_command(click.Context(command), words.pop(0))
        assert child is not None
        command = child
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used <= known


@pytest.mark.parametrize("line", commands("make"))
def test_make_target_of_the_readme_exists(line: str) -> None:
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", LINKS)
def test_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_readme_names_the_two_commands() -> None:
    assert {"make demo", "make test"} <= {" ".join(shlex.split(line, comments=True)) for line in commands("make")}


def test_gated_link_of_the_readme_is_the_example_file() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tomllib.loads(block) == tomllib.loads((ROOT / "docs" / "examples" / "link.toml").read_text())


def test_board_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "open_board" in block)
    exec(compile(example, "README.md", "exec"), {"__name__": "example"})
    printed = capsys.readouterr().out
    assert "1.25 ns a tick" in printed
    assert "lost: 0" in printed
    assert sum(map(int, re.findall(r"(\d+) heralds", printed))) > 0
