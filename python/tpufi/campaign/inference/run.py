# SPDX-License-Identifier: Apache-2.0
"""Runs an inference campaign: what is missing in its journal, window after window."""

import pathlib
from collections.abc import Callable, Iterator

from tpufi.campaign.engine.block_queue import ATTEMPTS, BlockQueue
from tpufi.campaign.engine.numbers import missing_by_window
from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.run import stop_reason
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.engine.window import run_window
from tpufi.campaign.inference.answers import AnswerRow, AnswerWriter
from tpufi.campaign.inference.layout import Layout
from tpufi.campaign.inference.runner import fault_columns
from tpufi.campaign.inference.survey import Survey
from tpufi.campaign.widest import stratum_sizes, widest_interval

_RUNS = 4  # Of a batch, that a worker takes at once.


def run_inference(
    found: Survey,
    folder: pathlib.Path,
    session: str,
    make_pool: Callable[[], Pool],
    watcher: Watcher,
    stopping: Callable[[], bool] = lambda: False,
) -> str | None:
    """Run what is missing of a campaign.

    Args:
      found: of the plan's subject.
      folder: of the campaign, with its journal; made if need be.
      session: what to note of this running.
      make_pool: starts the workers; called once the journal is ours.
      watcher: is told of rows and shows the progress.
      stopping: whether someone wants it to stop; blocks that were handed out are ended.

    Returns:
      The stop rule that holds, or None if someone stopped it.

    Raises:
      InputError: another campaign's journal, no space left, or a worker refuses.
    """
    plan, layout = found.plan, found.layout
    total = plan.stop.experiments

    def given_up(number: int, outcome: str, error: str) -> AnswerRow:
        fault = layout.fault(number)
        (site,) = (s for s in found.sites if s.id == fault.site)
        columns = fault_columns(site, fault, number % layout.items)
        return AnswerRow(number, columns, outcome, 0, attempt=ATTEMPTS, error=error)

    with AnswerWriter(folder, found.manifest(), session, found.measures) as journal:
        if reason := stop_reason(plan.stop, journal, _widest(plan, journal)):
            return reason
        watcher.begin(journal.tally(()), total)
        pool = make_pool()
        try:
            for window in _windows(journal, layout, total):
                queue = BlockQueue(window, pool.size, _RUNS * plan.batch)
                for rows in run_window(pool, queue, given_up, stopping):
                    if rows:
                        journal.add(rows)
                    watcher.rows(rows)
                widest = _widest(plan, journal)
                watcher.window(widest)
                if stopping():
                    return None
                if reason := stop_reason(plan.stop, journal, widest):
                    return reason
        finally:
            pool.close()
            watcher.end()
    raise AssertionError("the number of experiments ends every campaign")


def _windows(journal: AnswerWriter, layout: Layout, total: int) -> Iterator[list[int]]:
    """Yield what is missing of every window, in the order of its batches."""
    for window, numbers in missing_by_window(journal, total, layout.window):
        missing = set(numbers)
        yield [number for number in layout.ordered(window) if number in missing]


def _widest(plan, journal: AnswerWriter):
    tally = journal.tally(plan.stop.strata)
    return widest_interval(tally, stratum_sizes(tally) or [()], plan.stop.confidence)
