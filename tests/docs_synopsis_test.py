# SPDX-License-Identifier: Apache-2.0
"""Synopses in the pages name commands and options that the program has."""

import re

import pytest

from tests.docs_blocks import PAGES, Block, blocks
from tpufi.cli.main import COMMANDS, program_parser

_COMMAND = re.compile(r"^tpufi ([a-z-]+)((?:.|\n )*)", re.MULTILINE)
_OPTION = re.compile(r"--[a-z][a-z-]*")
_SUBCOMMAND = re.compile(r" ([a-z]+)\b")
_GROUPS = [name for name, command in COMMANDS.items() if command.action is None]


def _commands() -> list:
    found = []
    for page in PAGES:
        for block in blocks(page):
            for command in _COMMAND.finditer(block.text):
                name, rest = command.groups()
                options = tuple(sorted(set(_OPTION.findall(rest.split("#")[0]))))
                sub = _SUBCOMMAND.match(rest) if name in _GROUPS else None
                names = (name, sub[1]) if sub else (name,)
                label = f"{block}-{'-'.join(names)}"
                found.append(pytest.param(block, names, options, id=label))
    return found


@pytest.mark.parametrize(("block", "names", "options"), _commands())
def test_options_in_a_page_exist(
    block: Block, names: tuple[str, ...], options: tuple[str, ...], capsys
):
    with pytest.raises(SystemExit) as ended:
        program_parser().parse_args([*names, "--help"])
    assert ended.value.code == 0
    known = set(_OPTION.findall(capsys.readouterr().out))
    assert set(options) <= known, f"{block}: tpufi {' '.join(names)}"
