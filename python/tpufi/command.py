# SPDX-License-Identifier: Apache-2.0
"""What a subcommand of `tpufi` consists of, and how a process runs it."""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import NoReturn

from tpufi.cli import Parser, run
from tpufi.log_level import add_log_options, set_log_level


class _WithDefaults(argparse.RawDescriptionHelpFormatter):
    """Help that names the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        silent = (None, False, True, argparse.SUPPRESS)
        if not text or not action.option_strings or action.default in silent:
            return text
        return text if "default" in text else f"{text} (default: %(default)s)"


class CommandParser(Parser):
    """A parser of a command, or of a command of a command; all take --quiet."""

    def __init__(self, **settings) -> None:
        super().__init__(formatter_class=_WithDefaults, **settings)
        add_log_options(self)


@dataclasses.dataclass(frozen=True)
class Command:
    """A subcommand.

    Args:
      about: what `--help` says; its first line is the summary.
      examples: command lines that `--help` shows.
      add_options: gives a parser the options.
      action: does the work; takes the options, returns the exit code.
      deterministic: whether the process may use deterministic kernels only.

    Example:
      >>> hello = Command("Greets.", ("tpufi hello",), lambda _: None, lambda _: 0)
      >>> hello.main([])
      0
    """

    about: str
    examples: tuple[str, ...]
    add_options: Callable[[CommandParser], None]
    action: Callable[[argparse.Namespace], int]
    deterministic: bool = False

    def settings(self) -> dict[str, str]:
        """Return what the constructor of its parser takes."""
        lines = "".join(f"\n  {line}" for line in self.examples)
        return {"description": self.about, "epilog": f"example:{lines}"}

    def parse(self, argv: Sequence[str], prog: str | None = None) -> argparse.Namespace:
        """Return the options; a wrong one ends the process with code 2."""
        parser = CommandParser(prog=prog, **self.settings())
        self.add_options(parser)
        return parser.parse_args(argv)

    def main(self, argv: Sequence[str], prog: str | None = None) -> int:
        """Run with these arguments and return the exit code.

        Raises:
          InputError: the arguments, or a file that they name, cannot be used.
        """
        return self.action(self.parse(argv, prog))

    def start(self, argv: Sequence[str], prog: str) -> NoReturn:
        """Be the process: settings, errors in one line, exit code."""
        options = self.parse(argv, prog)
        set_log_level(options)
        if self.deterministic:
            # Here and not in main: it holds for the whole process.
            from tpufi.training import make_deterministic

            make_deterministic()
        run(lambda _: self.action(options))
