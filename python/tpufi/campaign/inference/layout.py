# SPDX-License-Identifier: Apache-2.0
"""Which input an experiment uses, and with which others it is run.

Experiment e gives input e % items its fault of run e // items. A window is `rounds`
runs; within it the faults of a batch are packed by their depth. All of this is fixed
before anything runs: no row depends on workers or on what was done before.
"""

import dataclasses
from collections.abc import Callable, Iterator

from tpufi.instrument.inference.packs import Pack, packs
from tpufi.instrument.site_fault import SiteFault

Draw = Callable[[int, int, int], SiteFault]


@dataclasses.dataclass(frozen=True)
class Layout:
    """How experiments are numbered.

    Args:
      items: inputs, a multiple of `batch`.
      batch: inputs that are run together.
      rounds: runs of a window.
      draw: returns the fault of (run, item, position of the item in its batch).
    """

    items: int
    batch: int
    rounds: int
    draw: Draw

    @property
    def window(self) -> int:
        """Experiments of a window."""
        return self.items * self.rounds

    def fault(self, experiment: int) -> SiteFault:
        """Return the fault of an experiment."""
        run, item = divmod(experiment, self.items)
        return self.draw(run, item, item % self.batch)

    def batch_of(self, experiment: int) -> tuple[int, int]:
        """Return the number of the window and that of the batch."""
        run, item = divmod(experiment, self.items)
        return run // self.rounds, item // self.batch

    def packs(self, window: int, batch: int) -> list[Pack]:
        """Return what is run together: for each position the run of its fault."""
        runs = range(window * self.rounds, (window + 1) * self.rounds)
        first = batch * self.batch
        faults = [
            [self.draw(run, first + p, p) for p in range(self.batch)] for run in runs
        ]
        return packs(runs, faults)

    def experiments(self, batch: int, pack: Pack) -> list[int]:
        """Return the experiments of a pack, by position."""
        first = batch * self.batch
        return [run * self.items + first + p for p, run in enumerate(pack)]

    def ordered(self, window: int) -> Iterator[int]:
        """Yield the experiments of a window in the order in which they are run."""
        for batch in range(self.items // self.batch):
            for pack in self.packs(window, batch):
                yield from self.experiments(batch, pack)
