# SPDX-License-Identifier: Apache-2.0
"""What all sites of a lean program have in common, computed once (decision 0014).

Sites of one kind and shape, such as the outputs of all batch norms, share a bank: a
number that says how many elements a fault strikes there. Which site it is, and where
in it, is one number, `start`: the sites of a kind have different bases, and those of
other kinds with the same shape have the same ones, so that what a compiler fuses
shares the distance to the start.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA, FIELDS, RULES
from tpufi.element import element
from tpufi.layers.layout import Layout
from tpufi.ops import replace_run
from tpufi.site_table import SiteTable

_LARGEST = (1 << 31) - 1
_NUMBERS = 1 << 32


class Aims:
    """The faults of a descriptor, resolved for all sites of one replica.

    Args:
      table: the sites.
      replica: int64 scalar.
      faults: int64 [rows, 11]; see `tpufi.descriptor`.
      words: uint64 [rows, capacity].
    """

    def __init__(
        self,
        table: SiteTable,
        replica: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ):
        self._table = table
        self._capacity = words.shape[1]
        # 32-bit numbers throughout: a TPU computes 64 bits by halves.
        self._words = _halves(words)[..., 0]
        halves = _halves(faults)
        self._fields = dict(
            zip(FIELDS, tf.unstack(halves[..., 0], axis=1), strict=True)
        )
        self._upper = dict(zip(FIELDS, tf.unstack(halves[..., 1], axis=1), strict=True))
        self._numbering = numbering(table)
        self._struck = self._resolve(_halves(tf.cast(replica, tf.int64))[0])
        self._starts, self._counts = self._by_bank()
        self._tables: dict[tuple[int, str], tf.Tensor] = {}

    def strike(self, x: tf.Tensor, site_id: int, layout: Layout) -> tf.Tensor:
        """Return `x` as the faults of a site leave it.

        Args:
          x: the tensor, with elements of at most 32 bits.
          site_id: the site.
          layout: where the elements of `x` stand in the site's layout.
        """
        site = self._table[site_id]
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
        base, bank = self._numbering[site_id]
        words = self._laid_out(period(site.shape, self._capacity), x.dtype)
        x, banks = self._merged(x, layout, base, bank)
        return replace_run(
            x,
            self._starts,
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
        """Return how many elements each row strikes at sites of some directions.

        Returns:
          float32 [rows, 1, 4]: a record without golden bits; see `read_record`.
        """
        here = np.array(
            [site.direction in directions for site in self._table], np.int32
        )
        counts = tf.reduce_sum(self._struck * here, 1)
        low = tf.bitwise.bitwise_and(counts, 0xFFFF)
        high = tf.bitwise.right_shift(counts, 16)
        nothing = tf.zeros_like(counts)
        quarters = tf.stack([low, high, nothing, nothing], 1)
        return tf.cast(quarters, tf.float32)[:, None, :]

    def _resolve(self, replica: tf.Tensor) -> tf.Tensor:
        """Return how many elements each row strikes at each site, [rows, sites]."""
        field, upper = self._fields, self._upper
        start, count = field["start"], field["count"]
        rule, target = field["rule"], field["replica"]
        zero = [upper["start"], upper["count"], upper["rule"], upper["site"]]
        zero += [half[name] for half in (field, upper) for name in _UNUSED]
        plain = tf.reduce_all(tf.equal(tf.stack(zero, 1), 0), 1)
        repeats = tf.equal(rule, RULES.index("repeat"))
        given = tf.logical_and(
            tf.equal(rule, RULES.index("words")), count <= self._capacity
        )
        here = tf.logical_or(tf.equal(target, EVERY_REPLICA), tf.equal(target, replica))
        valid = tf.logical_and(plain, tf.logical_or(repeats, given))
        valid = tf.logical_and(valid, here)
        valid = tf.logical_and(valid, tf.logical_and(start >= 0, count >= 0))
        sizes = np.array([min(site.size, _LARGEST) for site in self._table], np.int32)
        ids = np.arange(len(sizes), dtype=np.int32)
        named = tf.logical_and(tf.equal(field["site"][:, None], ids), valid[:, None])
        inside = tf.logical_and(
            count[:, None] <= sizes, start[:, None] <= sizes - count[:, None]
        )
        hit = tf.logical_and(named, inside)
        return tf.where(hit, count[:, None], tf.zeros_like(count)[:, None])

    def _by_bank(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Return starts [rows] and counts [rows, banks] as `replace_run` takes them."""
        bases = np.array([n.base for n in self._numbering], np.uint32).view(np.int32)
        banks = np.array([n.bank for n in self._numbering], np.int32)
        # A row strikes one site at most, so sums over the sites are its own numbers;
        # they wrap round at 2^32, as the numbers do.
        struck = tf.cast(self._struck > 0, tf.int32)
        bank = tf.reduce_sum(struck * banks, 1)
        count = tf.reduce_sum(self._struck, 1)
        starts = tf.reduce_sum(struck * bases, 1) + self._fields["start"]
        mine = tf.equal(bank[:, None], tf.range(banks.max() + 1))
        counts = tf.where(mine, count[:, None], tf.zeros_like(count)[:, None])
        return tf.bitcast(starts, tf.uint32), tf.bitcast(counts, tf.uint32)

    def _laid_out(self, size: int, dtype: tf.DType) -> tf.Tensor:
        """Return the word of each place in a period, [rows, size]."""
        word = tf.as_dtype(element(dtype.name).word)
        key = size, word.name
        if key not in self._tables:
            turn = tf.math.floormod(self._fields["start"], size)
            number = tf.range(size)[None, :] - turn[:, None]
            number = tf.where(number < 0, number + size, number)
            # As a sum and not as a lookup, which a TPU does one by one.
            mine = tf.equal(number[:, :, None], tf.range(self._capacity))
            words = tf.bitcast(self._words, tf.int32)
            given = tf.where(mine, words[:, None, :], tf.zeros_like(words)[:, None, :])
            given = tf.reduce_sum(given, 2)
            repeats = tf.equal(self._fields["rule"], RULES.index("repeat"))
            bits = tf.where(repeats[:, None], words[:, :1], given)
            self._tables[key] = tf.cast(tf.bitcast(bits, tf.uint32), word)
        return self._tables[key]


# Fields that are zero in every fault that a lean program takes.
_UNUSED = ("keep", "block", "reach_count")


class Numbers(NamedTuple):
    """How the elements of a site are numbered.

    Fields:
      base: number of the first one.
      bank: its kind among the sites of its shape.
    """

    base: int
    bank: int


def numbering(table: SiteTable) -> tuple[Numbers, ...]:
    """Return how the elements of each site are numbered.

    The kind of a site is its name without digits. The n-th site of a kind and shape has
    the base n * size behind those of all other shapes; banks are numbered for each
    shape anew, for numbers tell shapes apart.

    Raises:
      ValueError: there are more than 2^32 numbers.
    """
    kinds: dict[tuple[int, ...], dict[str, int]] = {}
    ranks: dict[tuple[str, tuple[int, ...]], int] = {}
    where: list[tuple[tuple[int, ...], int, int]] = []
    for site in table:
        kind = re.sub(r"\d+", "", site.name)
        of_shape = kinds.setdefault(site.shape, {})
        bank = of_shape.setdefault(kind, len(of_shape))
        rank = ranks.get((kind, site.shape), 0)
        ranks[kind, site.shape] = rank + 1
        where.append((site.shape, rank, bank))
    most: dict[tuple[int, ...], int] = {}
    for (_, shape), count in ranks.items():
        most[shape] = max(most.get(shape, 0), count)
    first, free = {}, 0
    for shape, count in most.items():
        first[shape] = free
        free += count * math.prod(shape)
    if free > _NUMBERS:
        raise ValueError(
            f"lean sites of {len(most)} shapes have {free} numbers, at most {_NUMBERS} "
            "can be told apart; take fewer examples per replica, or lowering 'select'"
        )
    return tuple(
        Numbers(first[shape] + rank * math.prod(shape), bank)
        for shape, rank, bank in where
    )


def period(shape: Sequence[int], capacity: int) -> int:
    """Return the size of the trailing axes that hold at least `capacity` elements."""
    size = 1
    for n in reversed(shape):
        if size >= capacity:
            break
        size *= n
    return size


def _halves(numbers: tf.Tensor) -> tf.Tensor:
    """Return 64-bit numbers as int32 [..., 2], low half first."""
    return tf.bitcast(numbers, tf.int32)
