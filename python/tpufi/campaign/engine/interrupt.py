# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C ends a campaign after the present blocks; a second one ends it at once."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether someone wants this to stop."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        print(
            "Stopping after the current blocks; Ctrl-C again to stop now",
            file=sys.stderr,
        )

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
