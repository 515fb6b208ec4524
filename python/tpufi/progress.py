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


class Progress:
    """Counts steps and shows step time and remaining time on stderr.

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
        self._first = done
        self._note = ""
        self._bar: tqdm.tqdm | None = None
        if logging.level_info() and sys.stderr.isatty() and total > done:
            self._bar = tqdm.tqdm(
                desc=what, total=total, initial=done, unit="step", dynamic_ncols=True
            )

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
        if self._bar is not None:
            self._bar.update()
            return
        now = time.monotonic()
        ended = self._done == self._total
        if now - self._shown < _SECONDS_BETWEEN_LINES and not ended:
            return
        self._shown = now
        per_step = (now - self._begun) / (self._done - self._first)
        remaining = per_step * (self._total - self._done)
        logging.info(
            "%s: %d/%d, %.2f s a step, %.0f s remaining; %s",
            self._what,
            self._done,
            self._total,
            per_step,
            remaining,
            self._note,
        )
