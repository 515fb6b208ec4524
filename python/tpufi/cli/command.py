# SPDX-License-Identifier: Apache-2.0
"""What a command of `tpufi` consists of, and how a process runs it.

Messages go to stderr through absl's logging, results to stdout:

    --quiet     only warnings and errors
    (neither)   progress too
    --verbose   what is loaded from where, and what TensorFlow itself says, too

A program that imports tpufi sees no progress before it says
`absl.logging.set_verbosity("info")`.
"""

import argparse
import dataclasses
import logging as python_logging
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from absl import flags, logging

from tpufi.cli import Parser, run

# Namespaces of nested commands are merged; a default would undo the outer option.
_UNSET = argparse.SUPPRESS


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser --quiet and --verbose."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--quiet", action="store_true", default=_UNSET, help="no progress on stderr"
    )
    group.add_argument(
        "--verbose", action="store_true", default=_UNSET, help="say more on stderr"
    )


def set_log_level(options: argparse.Namespace) -> None:
    """Set the level that the options ask for, and plain lines, for this process."""
    flags.FLAGS.mark_as_parsed()  # argparse reads ours; else absl warns of its flags.
    flags.FLAGS.logtostderr = True
    handler = logging.get_absl_handler()
    handler.setFormatter(python_logging.Formatter("%(message)s"))
    # Of absl's logger alone: at the root, TensorFlow's messages would come twice.
    logger = python_logging.getLogger("absl")
    logger.addHandler(handler)
    logger.propagate = False
    if getattr(options, "quiet", False):
        logging.set_verbosity(logging.WARNING)
    elif getattr(options, "verbose", False):
        logging.set_verbosity(logging.DEBUG)
    else:
        logging.set_verbosity(logging.INFO)


class _WithDefaults(argparse.RawDescriptionHelpFormatter):
    """Help that names the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        silent = (None, False, True, [], argparse.SUPPRESS)
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
    """A command, or a group of commands.

    Args:
      about: what `--help` says; its first line is the summary.
      examples: command lines that `--help` shows.
      add_options: gives a parser the options.
      action: does the work; takes the options, returns the exit code; None of a group,
        which names one of its commands.
      check: refuses what can be seen to be wrong without TensorFlow.
      deterministic: whether the process may use deterministic kernels only.

    Example:
      >>> hello = Command("Greets.", ("tpufi hello",), lambda _: None, lambda _: 0)
      >>> hello.main([])
      0
    """

    about: str
    examples: tuple[str, ...]
    add_options: Callable[[CommandParser], None]
    action: Callable[[argparse.Namespace], int] | None = None
    check: Callable[[argparse.Namespace], object] = lambda _: None
    deterministic: bool = False

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return self.about.splitlines()[0]

    def settings(self) -> dict[str, str]:
        """Return what the constructor of its parser takes."""
        lines = "".join(f"\n  {line}" for line in self.examples)
        return {"description": self.about, "epilog": lines and f"example:{lines}"}

    def fill(self, parser: CommandParser) -> None:
        """Give a parser the options; what it parses names the command."""
        parser.set_defaults(command=self)
        self.add_options(parser)

    def main(self, argv: Sequence[str]) -> int:
        """Run with these arguments and return the exit code.

        Raises:
          InputError: the arguments, or a file that they name, cannot be used.
        """
        parser = CommandParser(**self.settings())
        self.fill(parser)
        options = parser.parse_args(argv)
        options.command.check(options)
        return options.command.action(options)

    def start(self, options: argparse.Namespace) -> NoReturn:
        """Be the process: settings, errors in one line, exit code."""
        set_log_level(options)
        run(lambda _: self._act(options))

    def _act(self, options: argparse.Namespace) -> int:
        self.check(options)
        if self.deterministic:
            # Here and not in main: it holds for the whole process.
            from tpufi.training import make_deterministic

            make_deterministic()
        return self.action(options)


def add_commands(parser: Parser, commands: Mapping[str, Command]) -> None:
    """Give a parser commands, one of which has to be named.

    Args:
      parser: takes them.
      commands: by name.
    """
    known = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=CommandParser
    )
    for name, command in commands.items():
        command.fill(known.add_parser(name, help=command.summary, **command.settings()))
