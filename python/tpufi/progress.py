# SPDX-License-Identifier: Apache-2.0
"""Progress of long loops: a bar on a terminal, a line now and then elsewhere.

Both are messages of level info (`tpufi.cli.command`).
"""

import sys
import time
from collections.abc import Iterable, Iterator

import tqdm
from absl import logging

_SECONDS_BETWEEN_LINES = 10


def compiling(what: str) -> None:
    """Say that a program is traced and compiled, which happens when it first runs."""
    logging.info("compiling %s (once)", what)


class Progress:
    """Counts steps and shows step time and remaining time on stderr.

    The first step is not part of these times: it may compile a program.

    Args:
      what: label.
      total: steps in all.
      done: steps done before.
    """

    def __init__(self, what: str, total: int, done: int = 0):
        self._what = what
        self._total = total
        self._done = done
        self._begun = self._shown = time.monotonic()
        self._first: int | None = None
        self._note = ""
        self._bar: tqdm.tqdm | None = None

    def steps(self, numbers: Iterable[int]) -> Iterator[int]:
        """Yield the numbers, counting each when the next is asked for."""
        try:
            for number in numbers:
                yield number
                self._done += 1
                self._show()
        finally:
            if self._bar is not None:
                self._bar.close()

    def note(self, **values: float) -> None:
        """Show numbers beside the progress."""
        self._note = ", ".join(f"{key} {value:.4f}" for key, value in values.items())
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)

    def _show(self) -> None:
        now = time.monotonic()
        if self._first is None:
            if logging.level_info() and sys.stderr.isatty():
                self._bar = tqdm.tqdm(
                    desc=self._what,
                    total=self._total,
                    initial=self._done,
                    unit="step",
                    dynamic_ncols=True,
                )
            times = f"{now - self._begun:.2f} s for the first step"
            self._first, self._begun = self._done, now
        else:
            per_step = (now - self._begun) / (self._done - self._first)
            left = per_step * (self._total - self._done)
            times = f"{per_step:.2f} s a step, {left:.0f} s remaining"
            if self._bar is not None:
                self._bar.update()
        if self._bar is not None:
            return
        ended = self._done == self._total
        if now - self._shown < _SECONDS_BETWEEN_LINES and not ended:
            return
        self._shown = now
        note = f"; {self._note}" if self._note else ""
        logging.info(
            "%s: %d/%d, %s%s", self._what, self._done, self._total, times, note
        )
