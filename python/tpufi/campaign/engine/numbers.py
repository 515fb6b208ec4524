# SPDX-License-Identifier: Apache-2.0
"""Which experiments a campaign runs, in windows of ascending numbers."""

import itertools
from collections.abc import Callable, Iterator

from tpufi.campaign.allocation import visible_effects
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan import Plan, strata, stratum_of
from tpufi.faults.sampler import FaultSource
from tpufi.random import derive
from tpufi.statistics.sample_size import deviation


def windows(
    plan: Plan, sampler: FaultSource, journal: Reader, size: int
) -> Iterator[list[int]]:
    """Yield what is missing of every window, skipping those that are complete.

    Without a pilot all numbers are run. With one, a later number is admitted with a
    probability in proportion to the standard deviation of its stratum's outcome in the
    pilot, which gives strata the sizes of Neyman's allocation. Admission is a pure
    function of the seed, the number and the pilot's rows: it is the same for any
    worker, and when the campaign is taken up again.

    Args:
      plan: the plan.
      sampler: of the plan.
      journal: of the campaign; the pilot has to be in it before the next window is
        asked for.
      size: numbers of a window, >= 1.
    """
    total, pilot = plan.stop.experiments, plan.stop.pilot
    whole = total if pilot is None else pilot
    for _, missing in missing_by_window(journal, whole, size):
        yield missing
    if pilot is not None:
        is_admitted = _admission(plan, sampler, journal, pilot)
        admitted = filter(is_admitted, itertools.count(pilot))
        rest = itertools.islice(admitted, total - pilot)
        while window := list(itertools.islice(rest, size)):
            there = journal.numbers(window[0], window[-1])
            if missing := [number for number in window if number not in there]:
                yield missing


def missing_by_window(
    journal: Reader, total: int, size: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield the windows below `total` that lack experiments, and which these are."""
    numbers = itertools.chain.from_iterable(list(journal.missing(total)))
    for window, missing in itertools.groupby(numbers, key=lambda n: n // size):
        yield window, list(missing)


def _admission(
    plan: Plan, sampler: FaultSource, journal: Reader, pilot: int
) -> Callable[[int], bool]:
    keys = plan.stop.strata
    tally = journal.tally(keys, below=pilot)
    effects = visible_effects(tally, strata(sampler, keys))
    spread = {stratum: deviation(*counts) for stratum, counts in effects.items()}
    largest = max(spread.values())

    def is_admitted(number: int) -> bool:
        fault = sampler.draw(plan.seed, number)
        stratum = stratum_of(fault.model, sampler.site(fault.site), keys)
        rate = spread[stratum] / largest
        word, _ = derive(plan.seed, "allocation", number)
        return word < rate * (1 << 32)

    return is_admitted
