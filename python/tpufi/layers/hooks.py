# SPDX-License-Identifier: Apache-2.0
"""Where layers meet faults: the sites of one layer while a program is traced.

A layer passes each operand and result through `strike`. What was struck is reported
through the gradient of a `probe`: an all-zero tensor that every layer takes as an input
and whose gradient is the layer's record. The tape adds the records of all layers, so a
backward pass reports faults without state, host callbacks or extra outputs.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from tpufi.ops import inject_fault
from tpufi.sites import SiteTable

Strike = Callable[..., tf.Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class Hooks:
    """The run-time fault operands of one replica's program.

    Args:
      table: sites of the workload, or None for a program without any fault site.
      replica: int64 scalar.
      faults: int64 [rows, 6]; see `tpufi.descriptor`.
      words: uint64 [rows, capacity].
    """

    table: SiteTable | None
    replica: tf.Tensor
    faults: tf.Tensor
    words: tf.Tensor

    @property
    def record_shape(self) -> tuple[int, int, int]:
        """Shape of a record and of the probe."""
        rows, capacity = self.words.shape
        return rows, 1 + capacity, 4

    def layer(self, name: str) -> "LayerSites":
        """Return the sites of the layer called `name`."""
        return LayerSites(self, name)


class LayerSites:
    """The sites of one layer during its forward or its backward pass."""

    def __init__(self, hooks: Hooks, layer: str):
        self._hooks = hooks
        self._layer = layer
        self._records: list[tf.Tensor] = []

    def strike(
        self, x: tf.Tensor, direction: str, operand: str, perm: Sequence[int] = ()
    ) -> tf.Tensor:
        """Return `x` as the faults of this site leave it.

        Args:
          x: the tensor.
          direction: see `tpufi.sites.Site`.
          operand: see `tpufi.sites.Site`.
          perm: axis order of the site's layout, if it is not that of `x`.
        """
        table = self._hooks.table
        if table is None:
            return x
        site_id = table.id_of(f"{self._layer}/{direction}/{operand}")
        site = table[site_id]
        shape = tuple(x.shape[axis] for axis in perm) if perm else tuple(x.shape)
        if shape != site.shape or x.dtype.name != site.dtype:
            raise ValueError(
                f"site {site.name} is declared as {site.dtype} {site.shape} but the "
                f"program has {x.dtype.name} {shape}"
            )
        y, record = inject_fault(
            x,
            site_id,
            self._hooks.replica,
            self._hooks.faults,
            self._hooks.words,
            perm=tuple(perm),
        )
        self._records.append(record)
        return y

    def redo_if_struck(
        self,
        result: tf.Tensor,
        direction: str,
        operands: Sequence[str],
        redo: Callable[[Strike], tf.Tensor],
    ) -> tf.Tensor:
        """Recompute `result` from its textbook operands if a fault strikes one.

        The textbook form of a result may have operands that the library kernel never
        builds (a gradient dilated with zeros). It is computed only if a fault names
        one of them, with and without the fault; where both agree, bit for bit, the
        library's result stays, so every difference is the fault's doing.

        Args:
          result: what the library kernel computed.
          direction: direction of the operands.
          operands: their names.
          redo: computes the textbook result; its argument stands for `strike`.
        """
        table = self._hooks.table
        if table is None:
            return result
        ids = [table.id_of(f"{self._layer}/{direction}/{o}") for o in operands]
        site = self._hooks.faults[:, 0]
        target = self._hooks.faults[:, 1]
        here = tf.logical_or(
            tf.equal(target, -1), tf.equal(target, self._hooks.replica)
        )
        named = tf.reduce_any(
            [tf.reduce_any(tf.logical_and(here, tf.equal(site, i))) for i in ids]
        )

        def textbook() -> tuple[tf.Tensor, tf.Tensor]:
            inner = LayerSites(self._hooks, self._layer)
            faulty = redo(inner.strike)
            # The twin without the fault passes the same ops, disarmed at run time: a
            # compiler that could tell would compile it in another way, and round so.
            nowhere = tf.where(named, -tf.ones_like(site), site)
            disarmed = tf.concat([nowhere[:, None], self._hooks.faults[:, 1:]], 1)
            hooks = dataclasses.replace(self._hooks, faults=disarmed)
            golden = redo(LayerSites(hooks, self._layer).strike)
            return tf.where(same_bits(golden, faulty), result, faulty), inner.record()

        def library() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.identity(result), tf.zeros(self._hooks.record_shape)

        y, record = tf.cond(named, textbook, library)
        y.set_shape(result.shape)
        self._records.append(record)
        return y

    def record(self) -> tf.Tensor:
        """Return the sum of what the sites reported so far."""
        if not self._records:
            return tf.zeros(self._hooks.record_shape)
        return tf.add_n(self._records)


def same_bits(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Compare element by element, so that a NaN equals itself and -0.0 is not 0.0."""
    word = {2: tf.int16, 4: tf.int32, 8: tf.int64}[a.dtype.size]
    return tf.equal(tf.bitcast(a, word), tf.bitcast(b, word))
