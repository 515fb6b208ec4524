# SPDX-License-Identifier: Apache-2.0
"""Reads which command is meant, and only then imports tpufi and with it TensorFlow."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from tpufi_command.catalogue import module_of, summaries
from tpufi_command.versions import versions

_HELP = """\
usage: tpufi COMMAND [OPTIONS]
       tpufi COMMAND --help
       tpufi --version

Hardware faults in TensorFlow programs.

commands:
{commands}

example:
  tpufi demo
  tpufi golden --out runs/golden --epochs 1
  tpufi replay --file FILE --golden runs/golden --epoch 0 --step 30

Each command takes --quiet and --verbose. Exit codes: 0 done, 2 wrong input,
1 anything else, 130 interrupted.
"""
_WRONG_INPUT = 2


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `tpufi COMMAND ...` and exit with its code.

    Args:
      argv: the arguments; None: those of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    known = summaries()
    if argv and argv[0] in known:
        launch(argv[0], argv[1:], f"tpufi {argv[0]}")
    if argv == ["--version"]:
        print(versions())
        sys.exit(0)
    if not argv or argv[0] in ("-h", "--help"):
        width = max(map(len, known))
        lines = (f"  {name:{width}}  {text}" for name, text in known.items())
        text = _HELP.format(commands="\n".join(lines))
        print(text, end="", file=sys.stdout if argv else sys.stderr)
        sys.exit(0 if argv else _WRONG_INPUT)
    print(_refusal(argv[0], tuple(known)), file=sys.stderr)
    sys.exit(_WRONG_INPUT)


def launch(
    command: str, argv: Sequence[str] | None = None, prog: str | None = None
) -> NoReturn:
    """Be the process of one command.

    Args:
      command: its name, one of `summaries()`.
      argv: its arguments; None: those of the process.
      prog: what its help calls it; None: the name of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # TensorFlow reads it when it is imported. Below 2 it tells of its set-up, too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if "--verbose" in argv else "2")
    try:
        module = importlib.import_module(module_of(command))
    except ImportError as error:
        if error.name not in ("tensorflow", "_tpufi"):
            raise
        print(error.msg, file=sys.stderr)  # It says what to install.
        sys.exit(1)
    module.COMMAND.start(argv, prog or os.path.basename(sys.argv[0]))


def _refusal(word: str, known: tuple[str, ...]) -> str:
    if word.startswith("-"):
        return f"tpufi: no option {word!r}; a command's options follow it: tpufi --help"
    near = difflib.get_close_matches(word, known, n=1)
    guess = f"did you mean {near[0]}? known" if near else "known"
    return f"tpufi: no command {word!r}; {guess}: {', '.join(known)}"


if __name__ == "__main__":
    main()
