# SPDX-License-Identifier: Apache-2.0
"""What the sites of a lean program share: where the fault is (decision 0014)."""

import math
from collections.abc import Sequence

import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA
from tpufi.element import element
from tpufi.layers.layout import Layout
from tpufi.layers.placement import Placed, Placement
from tpufi.ops import replace_run
from tpufi.site_table import PASSES, Site

_LARGEST = (1 << 31) - 1


class Aims:
    """A placed fault, as the sites of one group see it on one replica.

    Args:
      placement: the groups of the program.
      group: the group, from 1 on.
      placed: the fault.
      replica: int64 scalar.
    """

    def __init__(
        self, placement: Placement, group: int, placed: Placed, replica: tf.Tensor
    ):
        self._placement = placement
        self._ids = frozenset(placement.groups[group - 1])
        self._placed = placed
        here = tf.equal(placed.targets, tf.cast(replica, tf.int32))
        self._here = tf.logical_or(here, tf.equal(placed.targets, EVERY_REPLICA))
        none = tf.zeros_like(placed.counts)
        self._counts = tf.where(self._here[:, None], placed.counts, none)
        self._tables: dict[tuple[int, str], tf.Tensor] = {}

    def __contains__(self, site_id: int) -> bool:
        return site_id in self._ids

    def strike(self, x: tf.Tensor, site_id: int, layout: Layout) -> tf.Tensor:
        """Return `x` as the faults of a site leave it.

        Args:
          x: the tensor, with elements of at most 32 bits.
          site_id: the site.
          layout: where the elements of `x` stand in the site's layout.
        """
        site = self._placement.table[site_id]
        if layout.site != site.shape or layout.stored != tuple(x.shape):
            raise ValueError(
                f"site {site.name} of shape {site.shape} has a layout of {layout.site} "
                f"for a tensor of {layout.stored}, but the program has {x.shape}"
            )
        if site.size > _LARGEST or x.dtype.size > 4:
            raise ValueError(
                f"site {site.name}: {site.size} elements of {x.dtype.size} bytes; a "
                f"lean site has at most {_LARGEST} of 4; take lowering 'select'"
            )
        base, bank = self._placement.numbers[site_id]
        words = self._laid_out(site, x.dtype)
        x, banks = self._merged(x, layout, base, bank)
        return replace_run(
            x,
            self._placed.starts,
            self._counts,
            words,
            layout.strides,
            layout.offset,
            base=base,
            banks=banks,
        )

    def _merged(
        self, x: tf.Tensor, layout: Layout, base: int, bank: int
    ) -> tuple[tf.Tensor, list[int]]:
        """Return what to strike, and for which banks.

        Where `x` is what another site made of a tensor, one strike does for both. A
        row strikes one of them, so this holds for one row.
        """
        if self._counts.shape[0] != 1 or not hasattr(x, "graph"):
            return x, [bank]
        op = x.op
        while op.type == "Identity":
            op = op.inputs[0].op
        if op.type != "Tpufi>ReplaceRun" or op.get_attr("base") != base:
            return x, [bank]
        same = op.get_attr("strides") == list(layout.strides)
        if not same or op.get_attr("offset") != layout.offset:
            return x, [bank]
        return op.inputs[0], [*op.get_attr("banks"), bank]

    def record(self, directions: Sequence[str]) -> tf.Tensor:
        """Return how many elements each row strikes in the passes or in the update.

        Returns:
          float32 [rows, 1, 4]: a record without golden bits; see `read_record`.
        """
        part = 0 if directions == PASSES else 1
        counts = self._placed.record[:, part : part + 1]
        return tf.where(self._here[:, None, None], counts, tf.zeros_like(counts))

    def _laid_out(self, site: Site, dtype: tf.DType) -> tf.Tensor:
        """Return the word of each place in a period of a site, [rows, period]."""
        word = tf.as_dtype(element(dtype.name).word)
        capacity = self._placed.words.shape[1]
        size = period(site.shape, capacity)
        key = size, word.name
        if key not in self._tables:
            times = -(-size // capacity)
            words = tf.tile(self._placed.words, [1, times])[:, :size]
            self._tables[key] = tf.cast(words, word)
        return self._tables[key]


def period(shape: Sequence[int], capacity: int) -> int:
    """Return the least size of trailing axes at which the words of a fault recur.

    Indices that are equal modulo this size are equal modulo `capacity`, unless it is
    the size of all axes.
    """
    sizes = [math.prod(shape[axis:]) for axis in range(len(shape), -1, -1)]
    return next((n for n in sizes if n % capacity == 0), sizes[-1])
