# SPDX-License-Identifier: Apache-2.0
"""Which commands there are: the files of tpufi/commands, read but not imported."""

import ast
import pathlib

FOLDER = pathlib.Path(__file__).absolute().parents[1] / "tpufi" / "commands"


def summaries() -> dict[str, str]:
    """Return what each command does, in one line, by the name of the command."""
    return {
        file.stem.replace("_", "-"): _summary(file)
        for file in sorted(FOLDER.glob("[a-z]*.py"))
    }


def module_of(command: str) -> str:
    """Return the name of the module of a command."""
    return f"tpufi.commands.{command.replace('-', '_')}"


def _summary(file: pathlib.Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text())).splitlines()[0]
