# SPDX-License-Identifier: Apache-2.0
"""What one broken element of a systolic array makes of a product.

Only what the fault reaches is computed again, from what passes through the element: a
share of the product of one over the rows or columns of the array. Everything else keeps
the bits of the library's result.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tpufi.layers.accumulator import widened
from tpufi.layers.matrix_view import MatrixView, Side, Size, sizes_of, tiles_of
from tpufi.layers.reach import same_bits, where_bits
from tpufi.units import ProcessingElement

# Steps of a loop over partial sums that are one iteration.
_UNROLLED = 8


class Counts(NamedTuple):
    """What a unit did, int64 scalars.

    Fields:
      applied: values that passed through it: elements of operands, sums or results.
      changed: those of them that have other bits now.
    """

    applied: tf.Tensor
    changed: tf.Tensor

    @classmethod
    def none(cls) -> "Counts":
        """Return those of a unit that did nothing."""
        return cls(tf.zeros([], tf.int64), tf.zeros([], tf.int64))


class Written(NamedTuple):
    """Elements of a tensor that a unit leaves otherwise.

    Fields:
      index: int64 [number], flat indices; if several are equal, so are their values.
      values: [number], their new values.
      counts: what the unit did.
    """

    index: tf.Tensor
    values: tf.Tensor
    counts: Counts

    def into(self, tensor: tf.Tensor) -> tf.Tensor:
        """Return a tensor with these elements."""
        flat, index = tf.reshape(tensor, [-1]), self.index[:, tf.newaxis]
        flat = tf.tensor_scatter_nd_update(flat, index, self.values)
        return tf.reshape(flat, sizes_of(tensor))


def altered(x: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Return `(x & keep) ^ word` of each element.

    Args:
      x: floating point.
      bits: uint64 [2]: keep, word; the low bits are those of an element.
    """
    word = {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}[x.dtype.size]
    keep, flip = tf.unstack(tf.cast(bits, word))
    words = tf.bitwise.bitwise_and(tf.bitcast(x, word), keep)
    return tf.bitcast(tf.bitwise.bitwise_xor(words, flip), x.dtype)


class _Chosen(NamedTuple):
    """The indices of an axis that belong to one row or column of an array.

    Fields:
      index: int64 [number], each inside; where there are too few, the first again.
      valid: bool [number].
      source: for each index, the place of the first that is equal.
    """

    index: tf.Tensor
    valid: tf.Tensor
    source: tf.Tensor | None

    def of(self, values: tf.Tensor, axis: int) -> tf.Tensor:
        """Return values of the indices; of equal ones, the same."""
        if self.source is None:
            return values
        return tf.gather(values, self.source, axis=axis)

    @property
    def number(self) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(self.valid, tf.int64))


def _chosen(size: Size, start: tf.Tensor, period: int) -> _Chosen:
    """Return the indices `start` modulo `period` of an axis of some size."""
    number = tiles_of(size, period)
    place = tf.range(number, dtype=tf.int64)
    index = start + place * period
    valid = index < size
    index = tf.where(valid, index, tf.where(start < size, start, 0))
    whole = isinstance(size, int) and (number == 1 or size % period == 0)
    return _Chosen(index, valid, None if whole else tf.where(valid, place, 0))


@dataclasses.dataclass(frozen=True, eq=False)
class ElementFault:
    """A broken element while a program is traced.

    Args:
      unit: the array and the register; its place is that of `row` and `column`.
      row: int64 scalar.
      column: int64 scalar.
      bits: see `altered`.
    """

    unit: ProcessingElement
    row: tf.Tensor
    column: tf.Tensor
    bits: tf.Tensor

    def touches(self, view: MatrixView) -> tf.Tensor:
        """Return whether the element has a part in a product, bool scalar."""
        m, n, k = view.left.size, view.right.size, view.left.depth
        if self.unit.dataflow == "output":
            return (self.row < m) & (self.column < n)
        across = n if self.unit.dataflow == "weight" else m
        if self.unit.register == "accumulator":
            return self.column < across
        return (self.row < k) & (self.column < across)

    @property
    def is_held(self) -> bool:
        """Whether a weight is broken that the same kernel can multiply; see `held`."""
        return self.unit.holds_weight

    @property
    def moves(self) -> bool:
        """Whether all of a result is another; see `moved`."""
        registers = {"weight": "input", "input": "weight", "output": None}
        return self.unit.register == registers[self.unit.dataflow]

    def number(self, view: MatrixView) -> Size:
        """Return how many elements `written` has, or `held`."""
        m, n, unit = view.left.size, view.right.size, self.unit
        rows, columns = tiles_of(m, unit.rows), tiles_of(n, unit.columns)
        if self.is_held:
            one = tiles_of(view.right.depth, unit.rows) * columns
        elif unit.dataflow == "output" and unit.register in ("accumulator", "output"):
            one = rows * columns
        elif unit.dataflow == "input":
            one = tiles_of(m, unit.columns) * n
        elif unit.register == "input":
            one = rows * n
        else:
            one = m * columns
        return one * view.left.groups

    def written(self, view: MatrixView, result: tf.Tensor) -> Written:
        """Return which results are others; the element touches the product.

        Args:
          view: the product as matrices.
          result: it without the fault.
        """
        left, right, unit = view.left, view.right, self.unit
        if unit.register == "output":
            return self._finished(view, result)
        if unit.register == "accumulator":
            running = unit.dataflow == "output"
            return (self._running if running else self._partial)(view, result)
        if unit.dataflow == "input":
            return self._again(view, result, left, right)
        if unit.register == "weight":
            return self._again(view, result, right, left, unit.rows, self.row)
        return self._again(view, result, left, right, unit.columns, self.column)

    def _finished(self, view: MatrixView, result: tf.Tensor) -> Written:
        """Change finished sums."""
        rows, columns = self._kept(view)
        index = view.result(rows.index, columns.index)
        old = tf.gather(tf.reshape(result, [-1]), index)
        if view.factor == 1:
            new = altered(old, self.bits)
            return _flat(index, new, _counts(old, new, rows, columns))
        factors = view.left.slices(rows.index), view.right.slices(columns.index)
        sums = tf.cast(tf.einsum("gik,gjk->gij", *map(widened, factors)), result.dtype)
        new = altered(sums, self.bits)
        made = where_bits(same_bits(sums, new), old, view.scaled(new, result.dtype))
        made = columns.of(rows.of(made, 1), 2)
        return _flat(index, made, _counts(sums, new, rows, columns))

    def _running(self, view: MatrixView, result: tf.Tensor) -> Written:
        """Change each partial sum of the results that stay in the element."""
        rows, columns = self._kept(view)
        index = view.result(rows.index, columns.index)
        left = tf.transpose(widened(view.left.slices(rows.index)), (2, 0, 1))
        right = tf.transpose(widened(view.right.slices(columns.index)), (2, 0, 1))
        depth = view.left.depth
        valid = rows.valid[:, tf.newaxis] & columns.valid

        def one(k: tf.Tensor, sums: tf.Tensor, changed: tf.Tensor) -> tuple:
            products = left[k][..., tf.newaxis] * right[k][:, tf.newaxis]
            whole = sums + products
            sums = altered(whole, self.bits)
            now = tf.cast(~same_bits(whole, sums) & valid, tf.int64)
            return k + 1, sums, changed + tf.reduce_sum(now)

        def several(k: tf.Tensor, *state: tf.Tensor) -> tuple:
            for _ in range(_UNROLLED):
                k, *state = one(k, *state)
            return k, *state

        state = (
            tf.zeros([], tf.int64),
            tf.zeros(tf.shape(index), left.dtype),
            tf.zeros([], tf.int64),
        )
        how = {"parallel_iterations": 1}
        rounds = depth // _UNROLLED * _UNROLLED
        state = tf.while_loop(lambda k, *_: k < rounds, several, state, **how)
        _, sums, changed = tf.while_loop(lambda k, *_: k < depth, one, state, **how)
        old = tf.gather(tf.reshape(result, [-1]), index)
        new = view.scaled(sums, result.dtype)
        count = self._number(view, rows, columns) * depth
        new = where_bits(changed > 0, new, old)
        return _flat(index, columns.of(rows.of(new, 1), 2), Counts(count, changed))

    def held(self, view: MatrixView, weight: tf.Tensor) -> Written:
        """Return which weights are others that stay in the element.

        Args:
          view: the product as matrices.
          weight: the weight operand.
        """
        columns = _chosen(view.right.size, self.column, self.unit.columns)
        inner = _chosen(view.right.depth, self.row, self.unit.rows)
        index = view.weight(columns.index, inner.index)
        old = tf.gather(tf.reshape(weight, [-1]), index)
        new = altered(old, self.bits)
        return _flat(index, new, _counts(old, new, columns, inner))

    def _again(
        self,
        view: MatrixView,
        result: tf.Tensor,
        own: Side,
        other: Side,
        period: int = 0,
        first: tf.Tensor | None = None,
    ) -> Written:
        """Compute the results of one row or column of the array again.

        Args:
          view: the product as matrices.
          result: it without the fault.
          own: the side whose numbers pass through the register.
          other: what they are multiplied with.
          period: rows or columns of the array that `other` is spread over; 0: any of
            its numbers meets what the register holds.
          first: the first of them that get the changed numbers.
        """
        stays = period == 0
        across = self.unit.columns
        start = self.column
        if not stays and own is view.left:
            across, start = self.unit.rows, self.row
        chosen = _chosen(own.size, start, across)
        old = own.slices(chosen.index)
        new = altered(old, self.bits)
        number = chosen.number * own.groups
        if stays:
            depth = tf.range(own.depth, dtype=tf.int64)
            here = tf.equal(depth % self.unit.rows, self.row)
            new = where_bits(here, new, old)
            number *= tf.reduce_sum(tf.cast(here, tf.int64))
        else:
            number *= own.depth
        differs = ~same_bits(old, new) & chosen.valid[:, tf.newaxis]
        changed = tf.reduce_sum(tf.cast(differs, tf.int64))
        # [groups, size of other, chosen]
        made = other.times(tf.linalg.matrix_transpose(new))
        made = view.scaled(made, result.dtype)
        hit = tf.reduce_any(differs, -1)[:, tf.newaxis]
        if not stays:
            places = tf.range(other.size, dtype=tf.int64) % period
            hit &= (places >= first)[:, tf.newaxis]
        return self._slices(view, result, own, chosen, made, hit, (number, changed))

    def _partial(self, view: MatrixView, result: tf.Tensor) -> Written:
        """Change partial sums as they move down a column of the array."""
        own, other = view.right, view.left
        if self.unit.dataflow == "input":
            own, other = other, own
        rows = self.unit.rows
        chosen = _chosen(own.size, self.column, self.unit.columns)
        numbers = tf.linalg.matrix_transpose(own.slices(chosen.index))
        above = tf.range(own.depth, dtype=tf.int64) % rows <= self.row
        above = above[:, tf.newaxis]
        zero = tf.zeros([], numbers.dtype)
        old = other.tile_sums(tf.where(above, numbers, zero), rows)
        below = other.tile_sums(tf.where(above, zero, numbers), rows)
        new = altered(old, self.bits)
        differs = ~same_bits(old, new) & chosen.valid
        made = view.scaled(tf.reduce_sum(new + below, 0), result.dtype)
        hit = tf.reduce_any(differs, 0)
        tiles = tiles_of(own.depth, rows)
        number = chosen.number * (own.groups * other.size * tiles)
        changed = tf.reduce_sum(tf.cast(differs, tf.int64))
        return self._slices(view, result, own, chosen, made, hit, (number, changed))

    def _slices(
        self,
        view: MatrixView,
        result: tf.Tensor,
        own: Side,
        chosen: _Chosen,
        made: tf.Tensor,
        hit: tf.Tensor,
        counts: tuple[tf.Tensor, tf.Tensor],
    ) -> Written:
        """Return some rows or columns of results that were computed again.

        Args:
          view: the product as matrices.
          result: it without the fault.
          own: the side that the rows or columns belong to.
          chosen: which of them.
          made: [groups, size of the other side, chosen].
          hit: where `made` counts.
          counts: what the unit did.
        """
        if own is view.left:
            every = tf.range(view.right.size, dtype=tf.int64)
            made = tf.linalg.matrix_transpose(made)
            hit = tf.linalg.matrix_transpose(hit)
            index, axis = view.result(chosen.index, every), 1
        else:
            every = tf.range(view.left.size, dtype=tf.int64)
            index, axis = view.result(every, chosen.index), 2
        old = tf.gather(tf.reshape(result, [-1]), index)
        new = where_bits(hit, made, old)
        return _flat(index, chosen.of(new, axis), Counts(*counts))

    def moved(self, view: MatrixView, result: tf.Tensor) -> tuple[tf.Tensor, Counts]:
        """Return a result with what changed numbers make that move along a row.

        They are one of `rows` indices of the sum, and reach the columns of the array
        from the element on.

        Args:
          view: the product as matrices.
          result: it without the fault.
        """
        own, other = view.left, view.right
        if self.unit.dataflow == "input":
            own, other = other, own
        chosen = _chosen(own.depth, self.row, self.unit.rows)
        old = own.columns(chosen.index)
        new = where_bits(chosen.valid, altered(old, self.bits), old)
        differs = ~same_bits(old, new)
        step = widened(new) - widened(old)
        # Equal infinities differ by NaN.
        step = tf.where(differs, step, tf.zeros([], step.dtype))
        places = tf.range(other.size, dtype=tf.int64) % self.unit.columns
        reached = (places >= self.column)[:, tf.newaxis]
        factors = widened(other.columns(chosen.index))
        sides = step, tf.where(reached, factors, tf.zeros([], factors.dtype))
        if own is view.right:
            sides = sides[::-1]
        difference = tf.matmul(*sides, transpose_b=True)
        finite = tf.reduce_all(tf.math.is_finite(step))

        def exact() -> tf.Tensor:
            # A factor of zero makes NaN of what is not finite.
            axes = (1, 0) if own is view.right else (0, 1)
            here = tf.transpose(reached, axes[::-1])
            return tf.where(here, difference, tf.zeros([], difference.dtype))

        difference = tf.cond(finite, lambda: tf.identity(difference), exact)
        difference = view.scaled(difference, difference.dtype)
        y = widened(result) + view.shaped(difference)
        number = chosen.number * (own.groups * own.size)
        changed = tf.reduce_sum(tf.cast(differs, tf.int64))
        return tf.cast(y, result.dtype), Counts(number, changed)

    def _kept(self, view: MatrixView) -> tuple[_Chosen, _Chosen]:
        """Return the rows and columns of results that stay in the element."""
        rows = _chosen(view.left.size, self.row, self.unit.rows)
        return rows, _chosen(view.right.size, self.column, self.unit.columns)

    def _number(self, view: MatrixView, *chosen: _Chosen) -> tf.Tensor:
        first, second = chosen
        return first.number * second.number * view.left.groups


def _counts(old: tf.Tensor, new: tf.Tensor, rows: _Chosen, columns: _Chosen) -> Counts:
    """Return how many of [groups, rows, columns] values passed, and changed."""
    valid = rows.valid[:, tf.newaxis] & columns.valid
    differs = tf.cast(~same_bits(old, new) & valid, tf.int64)
    number = rows.number * columns.number * sizes_of(old)[0]
    return Counts(number, tf.reduce_sum(differs))


def _flat(index: tf.Tensor, values: tf.Tensor, counts: Counts) -> Written:
    return Written(tf.reshape(index, [-1]), tf.reshape(values, [-1]), counts)
