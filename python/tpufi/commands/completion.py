# SPDX-License-Identifier: Apache-2.0
"""Prints a script that completes commands and options of tpufi in a shell.

The script holds all names, so completing starts no Python. Renew it with tpufi.
"""

import argparse
import importlib

from tpufi.command import Command, CommandParser
from tpufi.extras import optional
from tpufi_command.catalogue import module_of, summaries

SHELLS = ("bash", "zsh", "tcsh")


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def _print_script(options: argparse.Namespace) -> int:
    shtab = optional("shtab", "the completion of a shell")
    print(shtab.complete(_whole_parser(), options.shell))
    return 0


def _whole_parser() -> CommandParser:
    """Return one parser with all commands, as shtab wants it."""
    parser = CommandParser(prog="tpufi")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, summary in summaries().items():
        command = importlib.import_module(module_of(name)).COMMAND
        settings = command.settings()
        command.add_options(commands.add_parser(name, help=summary, **settings))
    return parser


COMMAND = Command(
    __doc__,
    ("tpufi completion bash",),
    _add_options,
    _print_script,
)
main = COMMAND.main
