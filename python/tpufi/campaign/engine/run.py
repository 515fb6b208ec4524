# SPDX-License-Identifier: Apache-2.0
"""Runs a campaign: window after window, until a stop rule holds or someone stops it.

A window is a run of experiment numbers. Within it experiments go by their faulty
step; so a window that is not complete is not a random sample, and stop rules are looked
at between windows only.
"""

import dataclasses
import pathlib
from collections.abc import Callable

from tpufi.campaign.engine.block_queue import ATTEMPTS, BlockQueue
from tpufi.campaign.engine.numbers import windows
from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.unplanned import NOT_ACTIVE
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan import Plan, strata
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.subject import Subject
from tpufi.campaign.widest import Widest, widest_interval


@dataclasses.dataclass(frozen=True)
class Scale:
    """How the work is cut; no row depends on it.

    Args:
      window: experiments between two looks at the stop rules, >= 1.
      block: experiments that a worker takes at once, >= 1.
    """

    window: int = 1000
    block: int = 8


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a campaign ended.

    Args:
      reason: the stop rule that holds, or None if someone stopped it.
      not_active: experiments whose faults were not injected, which no plan asks for.
    """

    reason: str | None
    not_active: tuple[int, ...] = ()


def run_campaign(
    subject: Subject,
    folder: pathlib.Path,
    manifest: Manifest,
    session: str,
    make_pool: Callable[[], Pool],
    watcher: Watcher,
    scale: Scale = Scale(),
    stopping: Callable[[], bool] = lambda: False,
    allow_inactive: bool = False,
) -> Ended:
    """Run what is missing of a campaign.

    Args:
      subject: what is injected into, with the plan.
      folder: of the campaign, with its journal; made if need be.
      manifest: what the rows depend on.
      session: what to note of this running.
      make_pool: starts the workers; called once the journal is ours.
      watcher: is told of rows and shows the progress.
      scale: how the work is cut.
      stopping: whether someone wants it to stop; blocks that were handed out are ended.
      allow_inactive: go on after a fault that was not injected.

    Raises:
      InputError: another campaign's journal, no space left, or the golden run cannot be
        repeated here.
      RuntimeError: workers cannot be started.
    """
    plan = subject.plan
    shares = strata(subject.source, plan.stop.strata)
    extra = subject.measures, subject.golden_scores
    with Writer(folder, manifest, session, *extra) as journal:
        widest = _widest(plan, journal, shares)
        if reason := stop_reason(plan.stop, journal, widest):
            return Ended(reason)
        watcher.begin(journal.tally(()), plan.stop.experiments)
        pool = make_pool()
        try:
            size = subject.window(scale.window)
            for window in windows(plan, subject.source, journal, size):
                found = _run(subject, journal, pool, watcher, scale, window, stopping)
                widest = _widest(plan, journal, shares)
                watcher.window(widest)
                if found and not allow_inactive:
                    return Ended(None, tuple(found))
                if stopping():
                    return Ended(None)
                if reason := stop_reason(plan.stop, journal, widest):
                    return Ended(reason)
        finally:
            pool.close()
            watcher.end()
    raise AssertionError("the number of experiments ends every campaign")


def _run(
    subject: Subject,
    journal: Writer,
    pool: Pool,
    watcher: Watcher,
    scale: Scale,
    window: list[int],
    stopping: Callable[[], bool],
) -> list[int]:
    """Run a window; return the experiments whose faults were not injected."""

    def given_up(number: int, outcome: str, error: str) -> Row:
        columns = subject.columns(number)
        return Row(number, columns, outcome, 0, attempt=ATTEMPTS, error=error)

    ordered = sorted(window, key=subject.order)
    queue = BlockQueue(ordered, pool.size, subject.block(scale.block))
    not_active = []
    for rows in pool.run(queue, given_up, stopping):
        if rows:
            journal.add(rows)
        not_active += [row.experiment for row in rows if row.outcome == NOT_ACTIVE]
        watcher.rows(rows)
    return sorted(not_active)


def _widest(plan: Plan, journal: Writer, shares: dict) -> Widest:
    tally = journal.tally(plan.stop.strata)
    return widest_interval(tally, shares, plan.stop.confidence)


def stop_reason(stop: StopRule, journal: Reader, widest: Widest) -> str | None:
    """Return why a campaign with this journal ends now, or None if it goes on."""
    seconds = sum(took for _, took in journal.sessions())
    return stop.reached(journal.count(), seconds, widest.width)
