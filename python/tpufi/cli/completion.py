# SPDX-License-Identifier: Apache-2.0
"""Prints a script that completes commands and options of tpufi in a shell.

The script holds all names, so completing starts no Python. Renew it with tpufi.
"""

import argparse

from tpufi.cli.command import Command, CommandParser
from tpufi.extras import optional

SHELLS = ("bash", "zsh", "tcsh")


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def _print_script(options: argparse.Namespace) -> int:
    shtab = optional("shtab", "the completion of a shell")
    print(shtab.complete(options.program, options.shell))
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi completion bash",),
    _add_options,
    _print_script,
)
