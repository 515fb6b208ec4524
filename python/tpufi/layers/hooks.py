# SPDX-License-Identifier: Apache-2.0
"""The run-time fault operands of one replica's program, for all layers."""

import dataclasses
from collections.abc import Set

import tensorflow as tf

from tpufi.descriptor import CAPACITY, record_shape
from tpufi.layers.layer_sites import LayerSites
from tpufi.site_table import SiteTable


@dataclasses.dataclass(frozen=True, eq=False)
class Hooks:
    """The run-time fault operands of one replica's program.

    Args:
      table: sites of the workload; None: a clean program, without any.
      replica: int64 scalar.
      faults: int64 [rows, 12]; see `tpufi.descriptor`.
      words: uint64 [rows, capacity].
      names: the sites that are in the program; None: all of the table.
      compiled: whether XLA compiles the program.
      drawn: whether no site has to draw words (`tpufi.ops.draw_words`); a record has
        the golden bits of `CAPACITY` elements then.
    """

    table: SiteTable | None
    replica: tf.Tensor | None = None
    faults: tf.Tensor | None = None
    words: tf.Tensor | None = None
    names: Set[str] | None = None
    compiled: bool = False
    drawn: bool = False

    def probe(self) -> tf.Tensor | None:
        """Return the zeros whose gradient is the record; None in a clean program."""
        if self.table is None:
            return None
        return tf.zeros(record_shape(self.words, self.noted))

    @property
    def noted(self) -> int:
        """Most golden bits of a record; -1: as many as there are words."""
        return CAPACITY if self.drawn else -1

    def includes(self, name: str) -> bool:
        """Whether the site called `name` is in the program."""
        if self.table is None:
            return False
        return self.names is None or name in self.names

    def layer(self, name: str, input_read: bool = True) -> LayerSites:
        """Return the sites of the layer called `name`.

        Args:
          name: layer name.
          input_read: whether anything depends on the gradient of the layer's input.
        """
        return LayerSites(self, name, input_read)


CLEAN = Hooks(None)
