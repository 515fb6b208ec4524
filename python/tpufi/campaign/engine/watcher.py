# SPDX-License-Identifier: Apache-2.0
"""Shows how a campaign goes: a bar on a terminal, a line now and then elsewhere."""

import collections
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence

import tqdm
from absl import logging

from tpufi.campaign.journal.row import Row
from tpufi.campaign.widest import Widest
from tpufi.messages import counted

_SECONDS_BETWEEN_LINES = 30


class Watcher:
    """Counts rows and shows rate, remaining time, outcomes and the widest interval.

    Args:
      tensorboard: folder for TensorBoard's scalars; None: none are written.
    """

    def __init__(self, tensorboard: pathlib.Path | None = None):
        self._tensorboard = tensorboard
        self._scalars = None
        self._bar: tqdm.tqdm | None = None
        self._counts: collections.Counter[str] = collections.Counter()
        self._widest = ""

    def begin(self, tally: Mapping[tuple, int], total: int) -> None:
        """Start with what the journal has.

        Args:
          tally: (outcome,) -> experiments.
          total: experiments of the whole campaign.
        """
        self._counts.update({outcome: n for (outcome,), n in tally.items()})
        self._total = total
        self._first = self._counts.total()
        self._begun = self._shown = time.monotonic()
        self._timed = False
        if total > self._first:
            logging.info("campaign: compiling (once), then %s", self._left_over())
        if self._tensorboard is not None:
            # Loaded here: only this option needs it.
            import tensorflow as tf

            self._scalars = tf.summary.create_file_writer(str(self._tensorboard))

    def rows(self, rows: Sequence[Row]) -> None:
        """Note rows that have been committed."""
        if not rows:
            return
        self._counts.update(row.outcome for row in rows)
        if not self._timed:
            self._begin_timing()
        if self._scalars is not None:
            self._write_scalars()
        if self._bar is not None:
            self._bar.set_postfix_str(self._note(), refresh=False)
            self._bar.update(self._counts.total() - self._bar.n)
        elif time.monotonic() - self._shown > _SECONDS_BETWEEN_LINES:
            self._line()

    def window(self, widest: Widest) -> None:
        """Note the widest interval after a window."""
        where = " ".join(map(str, widest.stratum)) or "all"
        self._widest = f"widest interval {widest.width:.2%} ({where})"
        if self._bar is None:
            self._line()
        if self._scalars is not None:
            self._write_scalars(widest.width)

    def end(self) -> None:
        """Close the bar and the files."""
        if self._bar is not None:
            self._bar.close()
        if self._scalars is not None:
            self._scalars.close()

    def _begin_timing(self) -> None:
        """Count time from the first block on: what is before it is compilation."""
        self._timed = True
        self._first, self._begun = self._counts.total(), time.monotonic()
        if logging.level_info() and sys.stderr.isatty():
            self._bar = tqdm.tqdm(
                total=self._total, initial=self._first, unit="exp", dynamic_ncols=True
            )

    def _rate(self) -> float:
        """Return experiments an hour since the first block of this session."""
        seconds = time.monotonic() - self._begun
        done = self._counts.total() - self._first
        return done / seconds * 3600 if done else 0.0

    def _note(self) -> str:
        # The name of an outcome of inferences is its definition; the bar needs room.
        parts = [
            f"{outcome.split(':')[0]} {n}" for outcome, n in self._counts.most_common()
        ]
        return ", ".join([*parts, *([self._widest] if self._widest else [])])

    def _left_over(self) -> str:
        return counted(self._total - self._counts.total(), "experiment")

    def _line(self) -> None:
        self._shown = time.monotonic()
        rate, done = self._rate(), self._counts.total()
        times = "no rate yet"
        if rate:
            hours = (self._total - done) / rate
            left = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
            times = f"{rate:.0f} an hour, {left} left"
        logging.info("campaign: %d/%d, %s; %s", done, self._total, times, self._note())

    def _write_scalars(self, width: float | None = None) -> None:
        import tensorflow as tf

        done = self._counts.total()
        with self._scalars.as_default(step=done):
            if rate := self._rate():
                tf.summary.scalar("campaign/experiments_per_hour", rate)
            if width is not None:
                tf.summary.scalar("campaign/widest_interval", width)
            for outcome, count in self._counts.items():
                tf.summary.scalar(f"outcomes/{outcome}", count / done)
        self._scalars.flush()
