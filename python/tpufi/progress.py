# SPDX-License-Identifier: Apache-2.0
"""Progress of long loops: a bar on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Iterable, Iterator

import tqdm

_SECONDS_BETWEEN_LINES = 15


class Progress:
    """Counts steps and shows step time and remaining time on stderr.

    Args:
      what: label.
      total: steps in all.
      done: steps done before.
    """

    def __init__(self, what: str, total: int, done: int = 0):
        terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            desc=what,
            total=total,
            initial=done,
            unit="step",
            dynamic_ncols=terminal,
            mininterval=0.1 if terminal else _SECONDS_BETWEEN_LINES,
            # Off a terminal each report is a line of its own.
            bar_format=None
            if terminal
            else "{desc}: {n_fmt}/{total_fmt} {rate_fmt} "
            "remaining {remaining} {postfix}\n",
        )

    def steps(self, numbers: Iterable[int]) -> Iterator[int]:
        """Yield the numbers, counting each when the next is asked for."""
        with self._bar:
            for number in numbers:
                yield number
                self._bar.update()

    def note(self, **values: float) -> None:
        """Show numbers beside the bar."""
        shown = {name: f"{value:.4f}" for name, value in values.items()}
        self._bar.set_postfix(shown, refresh=False)
