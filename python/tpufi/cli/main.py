# SPDX-License-Identifier: Apache-2.0
"""The program `tpufi`: one parser of all commands, made without TensorFlow.

A command imports what it needs when it acts.
"""

import argparse
import contextlib
import difflib
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from typing import NoReturn

import tpufi
from tpufi.cli import WRONG_INPUT, Parser
from tpufi.cli.command import Command, add_commands

# Each is a file of this folder.
_FILES = (
    "campaign",
    "compare_gradients",
    "completion",
    "convert_config",
    "demo",
    "detect",
    "draw",
    "golden",
    "import_checkpoint",
    "inference",
    "model",
    "replay",
    "reproduce",
    "selftest",
    "show",
    "sites",
)
COMMANDS: dict[str, Command] = {
    name.replace("_", "-"): importlib.import_module(f"tpufi.cli.{name}").COMMAND
    for name in _FILES
}
_EPILOG = """\
example:
  tpufi demo
  tpufi golden --out runs/golden --epochs 1
  tpufi replay --file FILE --golden runs/golden --epoch 0 --step 30

Each command takes --quiet and --verbose. Exit codes: 0 done, 2 wrong input,
1 anything else, 130 interrupted.
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `tpufi COMMAND ...` and exit with its code.

    Args:
      argv: the arguments; None: those of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = program_parser()
    if not argv:
        parser.print_help(sys.stderr)
        sys.exit(WRONG_INPUT)
    if argv == ["--version"]:
        print(versions())
        sys.exit(0)
    if argv[0] not in (*COMMANDS, "-h", "--help"):
        print(_refusal(argv[0]), file=sys.stderr)
        sys.exit(WRONG_INPUT)
    options = parser.parse_args(argv)
    # TensorFlow reads it when it is imported. Below 2 it tells of its set-up, too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if "--verbose" in argv else "2")
    options.command.start(options)


def program_parser() -> Parser:
    """Return the parser of the program; what it parses has it as `program`."""
    parser = Parser(
        prog="tpufi",
        description="Hardware faults in TensorFlow programs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(program=parser)
    parser.add_argument("--version", action="store_true", help="show versions and exit")
    add_commands(parser, COMMANDS)
    return parser


def versions() -> str:
    """Return the versions in one line, e.g. `tpufi 0.2.0, Python 3.11.2`."""
    import importlib.metadata  # Here: 30 ms.

    found = [f"tpufi {tpufi.__version__}"]
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-tpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join((*found, f"Python {platform.python_version()}"))


def _refusal(word: str) -> str:
    if word.startswith("-"):
        return f"tpufi: no option {word!r}; a command's options follow it: tpufi --help"
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    guess = f"did you mean {near[0]}? known" if near else "known"
    return f"tpufi: no command {word!r}; {guess}: {', '.join(COMMANDS)}"
