# SPDX-License-Identifier: Apache-2.0
"""How much a command says on stderr; messages go through absl's logging.

    --quiet     only warnings and errors
    (neither)   progress too
    --verbose   what is loaded from where, and what TensorFlow itself says, too

Results go to stdout and are not touched. A program that imports tpufi sees no progress
before it says `absl.logging.set_verbosity("info")`.
"""

import argparse
import logging as python_logging

from absl import flags, logging

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
    flags.FLAGS.mark_as_parsed()  # argparse reads ours; else absl warns of its own.
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
