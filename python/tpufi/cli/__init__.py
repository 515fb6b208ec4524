# SPDX-License-Identifier: Apache-2.0
"""What all command-line tools share: exit codes and one-line errors.

0 done; 2 the user's input is wrong (one line on stderr, nothing written); 130
interrupted; 1 a library is missing (one line) or, with a traceback, a defect of ours.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from tpufi.errors import InputError
from tpufi.extras import TENSORFLOW_MISSING

WRONG_INPUT = 2
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line; no option can be abbreviated."""

    def __init__(self, **settings) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Print the message on one line and exit with code 2."""
        self.exit(WRONG_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def run(main: Callable[[Sequence[str] | None], int]) -> NoReturn:
    """Run `main` and exit with the code of the contract above.

    SIGTERM interrupts it like Ctrl-C, so that what it was writing is tidied up.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = main(None)
    except InputError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        code = WRONG_INPUT
    except OSError as error:
        # A file that cannot be read or written; whatever has no file is a defect.
        if error.filename is None:
            raise
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        code = WRONG_INPUT
    except ImportError as error:
        if error.name not in ("tensorflow", "_tpufi"):
            raise
        missing = isinstance(error, ModuleNotFoundError)
        print(TENSORFLOW_MISSING if missing else error.msg, file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("Interrupted. Run the same command to resume", file=sys.stderr)
        code = INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(code)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout as long as somebody reads them."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, e.g. `head`, has all it wants; what is buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def positive(text: str) -> int:
    """Parse an integer that is at least 1, for `type=` of an argument."""
    return _at_least(text, 1)


def natural(text: str) -> int:
    """Parse an integer that is at least 0, for `type=` of an argument."""
    return _at_least(text, 0)


def share(text: str) -> float:
    """Parse a number above 0 and below 1, for `type=` of an argument."""
    number = above_0(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"{text} is not below 1")
    return number


def above_0(text: str) -> float:
    """Parse a number above 0, for `type=` of an argument."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _at_least(text: str, bound: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
    if value < bound:
        raise argparse.ArgumentTypeError(f"{value} is below {bound}")
    return value
