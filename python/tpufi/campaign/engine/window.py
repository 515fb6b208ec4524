# SPDX-License-Identifier: Apache-2.0
"""Runs the experiments of one window on a pool, whatever happens to its workers."""

from collections.abc import Callable, Iterator

from tpufi.campaign.engine.block_queue import BlockQueue
from tpufi.campaign.engine.events import Event, Failed, Finished
from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.unplanned import FAILED
from tpufi.campaign.journal.row import Row

_SECONDS_TO_WAIT = 0.5


def run_window(
    pool: Pool,
    queue: BlockQueue,
    given_up: Callable[[int, str, str], Row],
    stopping: Callable[[], bool],
) -> Iterator[list[Row]]:
    """Yield rows as they come, at least twice a second, perhaps none.

    Args:
      pool: the workers.
      queue: what they are to do.
      given_up: returns the row of an experiment that failed twice, from its number, an
        outcome of `unplanned` and the error.
      stopping: whether no more blocks are to be handed out; those that were are ended.

    Raises:
      InputError: a worker refuses: the set-up is wrong.
    """
    while True:
        if not stopping():
            for worker in sorted(pool.idle):
                if (block := queue.take(worker)) is not None:
                    pool.hand(worker, block)
        if not pool.busy and (stopping() or not len(queue)):
            return
        rows = []
        for event in pool.events(_SECONDS_TO_WAIT):
            row = _row_of(event, queue, given_up)
            if row is not None:
                rows.append(row)
        yield rows


def _row_of(
    event: Event, queue: BlockQueue, given_up: Callable[[int, str, str], Row]
) -> Row | None:
    if isinstance(event, Finished):
        return event.row
    if isinstance(event, Failed):
        number = queue.failed(event.number, event.attempt)
        return None if number is None else given_up(number, FAILED, event.error)
    if event.block is None:
        return None
    number = queue.give_back(event.block, event.done, event.suspect)
    return None if number is None else given_up(number, event.outcome, event.error)
