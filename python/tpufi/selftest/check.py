# SPDX-License-Identifier: Apache-2.0
"""One check: what it looks at, and how its result is told."""

import dataclasses
import time
from collections.abc import Callable, Iterable


class CheckFailed(Exception):
    """What a check saw is not what it must be; the message tells both."""


@dataclasses.dataclass(frozen=True)
class Check:
    """A check.

    Args:
      name: label of its line.
      look: does it; returns what it saw, raises `CheckFailed`.
    """

    name: str
    look: Callable[[], str]


def run_checks(checks: Iterable[Check], tell: Callable[[str], None] = print) -> bool:
    """Do all checks, also after one that failed, and tell each result in one line.

    Args:
      checks: what to do, in this order.
      tell: takes the lines.

    Returns:
      Whether all succeeded.

    Example:
      >>> run_checks([Check("arithmetic", lambda: "1 + 1 = 2")], lambda line: None)
      True
    """
    good = True
    for check in checks:
        begun = time.monotonic()
        try:
            saw, result = check.look(), "ok    "
        except Exception as error:  # Whatever it is, the other checks tell more.
            text = " ".join(str(error).split())
            saw, result, good = f"{type(error).__name__}: {text}", "FAILED", False
        tell(f"{result} {check.name} ({time.monotonic() - begun:.1f} s): {saw}")
    return good
