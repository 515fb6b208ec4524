# SPDX-License-Identifier: Apache-2.0
"""Synopses in the pages name options that the tools have."""

import importlib
import re

import pytest

from tests.docs_blocks import PAGES, Block, blocks
from tpufi_command.catalogue import summaries

_COMMAND = re.compile(
    r"^(?:python tools/(\w+)\.py|tpufi ([a-z-]+))((?:.|\n )*)", re.MULTILINE
)
COMMANDS = {name.replace("-", "_") for name in summaries()}
_OPTION = re.compile(r"--[a-z][a-z-]*")
_SUBCOMMAND = re.compile(r" ([a-z]+)\b")


def _commands() -> list:
    found = []
    for page in PAGES:
        for block in blocks(page):
            for command in _COMMAND.finditer(block.text):
                tool, name, rest = command.groups()
                tool = tool or name.replace("-", "_")
                options = tuple(sorted(set(_OPTION.findall(rest.split("#")[0]))))
                sub = _SUBCOMMAND.match(rest) if tool == "campaign" else None
                arguments = (sub[1],) if sub else ()
                name = f"{block}-{tool}{'-' + sub[1] if sub else ''}"
                found.append(pytest.param(block, tool, arguments, options, id=name))
    return found


@pytest.mark.parametrize(("block", "tool", "arguments", "options"), _commands())
def test_options_in_a_page_exist(
    block: Block,
    tool: str,
    arguments: tuple[str, ...],
    options: tuple[str, ...],
    capsys,
):
    # A few tools are no commands of the package.
    package = "tpufi.commands" if tool in COMMANDS else "tools"
    main = importlib.import_module(f"{package}.{tool}").main
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    known = set(_OPTION.findall(capsys.readouterr().out))
    assert set(options) <= known, f"{block}: tools/{tool}.py {' '.join(arguments)}"
