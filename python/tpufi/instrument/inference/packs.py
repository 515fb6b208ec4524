# SPDX-License-Identifier: Apache-2.0
"""Chooses which faults of a batch are run together: those at like depth.

A batch runs from its shallowest fault on, so items of one run should be struck at like
places. Items do not touch each other: who is struck beside whom changes no answer.
"""

from collections.abc import Sequence

from tpufi.instrument.site_fault import SiteFault

Pack = tuple[int, ...]


def packs(runs: Sequence[int], faults: Sequence[Sequence[SiteFault]]) -> list[Pack]:
    """Return runs of a batch, those that can start deep in the program last.

    Args:
      runs: numbers of the batch's runs.
      faults: of each run, one for each item.

    Returns:
      For each pack the run that each item's fault is taken from; over all packs, each
      item has each run once.

    Example:
      >>> from tpufi.instrument import flip
      >>> packs([4, 9], [[flip(7, 0, 0), flip(1, 0, 0)],
      ...                [flip(2, 0, 0), flip(8, 0, 0)]])
      [(9, 4), (4, 9)]
    """
    items = range(len(faults[0]) if faults else 0)
    by_item = [
        [run for _, run in sorted((f[item].site, r) for r, f in zip(runs, faults))]  # noqa: B905
        for item in items
    ]
    return list(zip(*by_item, strict=True))
