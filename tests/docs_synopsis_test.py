# SPDX-License-Identifier: Apache-2.0
"""Synopses in the pages name options that the tools have."""

import importlib
import re
from collections.abc import Callable

import pytest

from tests.docs_blocks import PAGES, Block, blocks

_COMMAND = re.compile(r"^python tools/(\w+)\.py((?:.|\n )*)", re.MULTILINE)
_OPTION = re.compile(r"--[a-z][a-z-]*")
_SUBCOMMAND = re.compile(r" ([a-z]+)\b")


def _commands() -> list:
    found = []
    for page in PAGES:
        for block in blocks(page):
            for command in _COMMAND.finditer(block.text):
                tool, rest = command.groups()
                options = tuple(sorted(set(_OPTION.findall(rest.split("#")[0]))))
                sub = _SUBCOMMAND.match(rest) if tool == "campaign" else None
                arguments = (sub[1],) if sub else ()
                name = f"{block}-{tool}{'-' + sub[1] if sub else ''}"
                found.append(pytest.param(block, tool, arguments, options, id=name))
    return found


def _main(tool: str) -> Callable[[list[str]], int]:
    """Return what runs the tool; some are commands of the package, some tools only."""
    command = f"tpufi.commands.{tool}"
    try:
        return importlib.import_module(command).main
    except ModuleNotFoundError:
        return importlib.import_module(f"tools.{tool}").main


@pytest.mark.parametrize(("block", "tool", "arguments", "options"), _commands())
def test_options_in_a_page_exist(
    block: Block,
    tool: str,
    arguments: tuple[str, ...],
    options: tuple[str, ...],
    capsys,
):
    main = _main(tool)
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    known = set(_OPTION.findall(capsys.readouterr().out))
    assert set(options) <= known, f"{block}: tools/{tool}.py {' '.join(arguments)}"
