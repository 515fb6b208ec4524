# SPDX-License-Identifier: Apache-2.0
"""The run-time fault operands of one replica's program, for all layers."""

import dataclasses
from collections.abc import Sequence, Set

import tensorflow as tf

from tpufi.descriptor import CAPACITY, EVERY_REPLICA, FIELDS, record_shape
from tpufi.layers.compiled_sites import CompiledSites
from tpufi.layers.layer_sites import LayerSites
from tpufi.layers.reach import naming
from tpufi.ops import Prepared
from tpufi.site_table import SiteTable

_NO_SITE = 0xFFFFFFFF  # Of a prepared row.


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
      prepared: the faults as sites of a compiled program take them, for all replicas
        (`tpufi.ops.prepare_faults`); a record has the golden bits of `CAPACITY`
        elements then. None: sites take `faults` and `words`.
    """

    table: SiteTable | None
    replica: tf.Tensor | None = None
    faults: tf.Tensor | None = None
    words: tf.Tensor | None = None
    names: Set[str] | None = None
    compiled: bool = False
    prepared: Prepared | None = None

    def probe(self) -> tf.Tensor | None:
        """Return the zeros whose gradient is the record; None in a clean program."""
        if self.table is None:
            return None
        return tf.zeros(record_shape(self.words, self.noted))

    @property
    def noted(self) -> int:
        """Most golden bits of a record; -1: as many as there are words."""
        return CAPACITY if self.prepared else -1

    def includes(self, name: str) -> bool:
        """Whether the site called `name` is in the program."""
        if self.table is None:
            return False
        return self.names is None or name in self.names

    def named(self, ids: Sequence[int]) -> tf.Tensor:
        """Return which rows name one of some sites on this replica, bool [rows].

        Args:
          ids: the sites.
        """
        if self.prepared:
            return naming(self.prepared.rows[:, 0], ids)
        return naming(self.faults[:, FIELDS.index("site")], ids) & self._here()

    def on_replica(self) -> "Hooks":
        """Return the same without the prepared rows for another replica."""
        return self.without(~self._here()[:, None])

    def without(self, rows: tf.Tensor) -> "Hooks":
        """Return the same without some rows: they name no site.

        Args:
          rows: bool [rows, 1], or a scalar for all of them.
        """
        faults = tf.where(rows, -tf.ones_like(self.faults), self.faults)
        if not self.prepared:
            return dataclasses.replace(self, faults=faults)
        kept = self.prepared.rows
        kept = tf.where(
            rows, tf.fill(kept.shape, tf.constant(_NO_SITE, kept.dtype)), kept
        )
        prepared = self.prepared._replace(rows=kept)
        return dataclasses.replace(self, faults=faults, prepared=prepared)

    def reaches(self) -> tf.Tensor:
        """Return which results the rows are confined to; see `tpufi.layers.reach`."""
        return self.prepared.reaches if self.prepared else self.faults[:, -3:]

    def _here(self) -> tf.Tensor:
        target = self.faults[:, FIELDS.index("replica")]
        return tf.equal(target, EVERY_REPLICA) | tf.equal(target, self.replica)

    def layer(
        self, name: str, so_far: Sequence[tf.Tensor] = (), input_read: bool = True
    ) -> LayerSites:
        """Return the sites of the layer called `name`.

        Args:
          name: layer name.
          so_far: the record of other layers, to which the sites add; none: of no layer.
          input_read: whether anything depends on the gradient of the layer's input.
        """
        sites = CompiledSites if self.prepared else LayerSites
        return sites(self, name, so_far, input_read)


CLEAN = Hooks(None)
