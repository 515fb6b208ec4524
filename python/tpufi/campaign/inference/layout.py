# SPDX-License-Identifier: Apache-2.0
"""Which input an experiment uses, and with which others it is run.

Experiment e gives input e % items its fault of run e // items. A window is `rounds`
runs. All of this is fixed before anything runs: no row depends on workers or on what
was done before.
"""

import dataclasses
from collections.abc import Callable, Iterator

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

    def batch_of(self, experiment: int) -> int:
        """Return the number of the batch that an experiment's input is in."""
        return experiment % self.items // self.batch

    def together(self, experiment: int) -> range:
        """Return the experiments that are run with one, by position in the batch."""
        first = experiment - experiment % self.items % self.batch
        return range(first, first + self.batch)

    def ordered(self, window: int) -> Iterator[int]:
        """Yield the experiments of a window in the order in which they are run."""
        start = window * self.window
        for batch in range(0, self.items, self.batch):
            for run in range(self.rounds):
                yield from self.together(start + run * self.items + batch)
