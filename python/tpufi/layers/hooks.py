# SPDX-License-Identifier: Apache-2.0
"""The run-time fault operands of one replica's program, for all layers."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tpufi.layers.aims import Aims
from tpufi.layers.layer_sites import LayerSites
from tpufi.layers.lowering import BRANCH, LEAN
from tpufi.layers.placement import NO_GROUP, Placed, Placement
from tpufi.site_table import SiteTable


@dataclasses.dataclass(frozen=True, eq=False)
class Hooks:
    """The run-time fault operands of one replica's program.

    Args:
      table: sites of the workload, or None for a program without any fault site.
      replica: int64 scalar.
      faults: int64 [rows, 11]; see `tpufi.descriptor`. Lean programs have `aims`.
      words: uint64 [rows, capacity], or uint32.
      lowering: `branch` takes every fault; `select` only those for which
        `Descriptor.fits_select` holds (decision 0011); `lean` those for which
        `Descriptor.fits_lean` does, and its record is without golden bits (0014).
      aims: the placed fault of the sites that are in the program; lowering `lean` only.
    """

    table: SiteTable | None
    replica: tf.Tensor
    faults: tf.Tensor | None
    words: tf.Tensor
    lowering: str = BRANCH
    aims: Aims | None = None

    @property
    def branches(self) -> bool:
        """Whether what only a fault needs may be a conditional's branch."""
        return self.table is not None and self.lowering == BRANCH

    @property
    def record_shape(self) -> tuple[int, int, int]:
        """Shape of a record and of the probe."""
        rows, capacity = self.words.shape
        return rows, 1 if self.lowering == LEAN else 1 + capacity, 4

    def record(self, directions: Sequence[str]) -> tf.Tensor:
        """Return what a lean program reports at once for its sites, else zeros."""
        if self.aims is None:
            return tf.zeros(self.record_shape)
        return self.aims.record(directions)

    def includes(self, name: str) -> bool:
        """Whether the site called `name` is in the program."""
        if self.table is None:
            return False
        return self.aims is None or self.table.id_of(name) in self.aims

    def layer(self, name: str, input_read: bool = True) -> LayerSites:
        """Return the sites of the layer called `name`.

        Args:
          name: layer name.
          input_read: whether anything depends on the gradient of the layer's input.
        """
        return LayerSites(self, name, input_read)


def lean_hooks(
    placement: Placement, group: int, placed: Placed, replica: tf.Tensor
) -> Hooks:
    """Return the hooks of a lean program with one group of sites; of 0, without."""
    if group == NO_GROUP:
        return Hooks(None, replica, None, placed.words, LEAN)
    aims = Aims(placement, group, placed, replica)
    return Hooks(placement.table, replica, None, placed.words, LEAN, aims)
