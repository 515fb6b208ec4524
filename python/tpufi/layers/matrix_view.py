# SPDX-License-Identifier: Apache-2.0
"""A layer's product as a matrix multiplication, as a matrix unit computes it.

C[m, n] = sum over k of A[m, k] B[k, n], for each of some groups. A is the left `Side`,
B transposed the right one. A side is never built as a whole: of a convolution it has
each pixel once for each tap of the kernel (im2col).
"""

import abc
import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from tpufi.layers.accumulator import widened

# A number, or an int64 scalar where it is only known when the program runs.
Size = int | tf.Tensor


def sizes_of(x: tf.Tensor) -> list[Size]:
    """Return the sizes of the axes of a tensor."""
    known = x.shape.as_list()
    if None not in known:
        return known
    found = tf.unstack(tf.shape(x, tf.int64), num=len(known))
    return [
        real if size is None else size for size, real in zip(known, found, strict=True)
    ]


class Side(abc.ABC):
    """An operand as matrices [groups, size, depth]; the depth is summed over.

    Attributes:
      groups: matrices.
      size: rows of one.
      depth: columns of one.
    """

    groups: Size
    size: Size
    depth: Size

    @abc.abstractmethod
    def slices(self, rows: tf.Tensor) -> tf.Tensor:
        """Return some rows, [groups, number, depth].

        Args:
          rows: int64 [number], inside.
        """

    @abc.abstractmethod
    def columns(self, indices: tf.Tensor) -> tf.Tensor:
        """Return some columns, [groups, size, number].

        Args:
          indices: int64 [number], inside.
        """

    @abc.abstractmethod
    def times(self, vectors: tf.Tensor) -> tf.Tensor:
        """Return the product with a few columns, [groups, size, number].

        Args:
          vectors: [groups, depth, number].
        """

    @abc.abstractmethod
    def tile_sums(self, vectors: tf.Tensor, tile: int) -> tf.Tensor:
        """Return the same in parts, [tiles, groups, size, number], summed widely.

        Args:
          vectors: [groups, depth, number].
          tile: depth of a part; the last has what remains.
        """


def tiles_of(size: Size, tile: int) -> Size:
    """Return how many parts of `tile` a size is cut into."""
    return -(-size // tile)


class PlainSide(Side):
    """A tensor that is the matrices.

    Args:
      matrix: [groups, size, depth], or without groups.
      transposed: whether it is [..., depth, size].
    """

    def __init__(self, matrix: tf.Tensor, transposed: bool = False):
        self._matrix, self._transposed = matrix, transposed
        *groups, size, depth = sizes_of(matrix)
        self.groups = groups[0] if groups else 1
        self.size, self.depth = (depth, size) if transposed else (size, depth)

    def slices(self, rows: tf.Tensor) -> tf.Tensor:
        return self._some(rows, own=not self._transposed)

    def columns(self, indices: tf.Tensor) -> tf.Tensor:
        chosen = self._some(indices, own=self._transposed)
        return tf.linalg.matrix_transpose(chosen)

    def _some(self, indices: tf.Tensor, own: bool) -> tf.Tensor:
        """Return some rows of the tensor, or some of its columns as rows."""
        axis = self._matrix.shape.rank - (2 if own else 1)
        chosen = tf.gather(self._matrix, indices, axis=axis)
        chosen = chosen if own else tf.linalg.matrix_transpose(chosen)
        return chosen if chosen.shape.rank == 3 else chosen[tf.newaxis]

    def times(self, vectors: tf.Tensor) -> tf.Tensor:
        how = {"transpose_a": self._transposed}
        if self._matrix.shape.rank == 2:
            return tf.matmul(self._matrix, vectors[0], **how)[tf.newaxis]
        return tf.matmul(self._matrix, vectors, **how)

    def tile_sums(self, vectors: tf.Tensor, tile: int) -> tf.Tensor:
        matrix = widened(self._matrix)
        if matrix.shape.rank == 2:
            matrix = matrix[tf.newaxis]
        if not self._transposed:
            matrix = tf.linalg.matrix_transpose(matrix)
        cut, own = (in_tiles(x, 1, tile) for x in (matrix, widened(vectors)))
        return tf.einsum("gtkm,gtkj->tgmj", cut, own)


def in_tiles(x: tf.Tensor, axis: int, tile: int) -> tf.Tensor:
    """Return a tensor with an axis cut into tiles, filled up with zeros."""
    sizes = sizes_of(x)
    number = tiles_of(sizes[axis], tile)
    pads = [[0, 0]] * x.shape.rank
    pads[axis] = [0, number * tile - sizes[axis]]
    shape = [*sizes[:axis], number, tile, *sizes[axis + 1 :]]
    return tf.reshape(tf.pad(x, pads), shape)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the element of group, row and column stands in a tensor.

    Args:
      row: distance of two rows, in elements.
      column: distance of two columns.
      groups: size and distance of each axis of groups, from the outermost.
    """

    row: Size
    column: Size
    groups: Sequence[tuple[Size, Size]] = ((1, 0),)

    @property
    def transposed(self) -> "Layout":
        """Where they stand if rows are called columns."""
        return dataclasses.replace(self, row=self.column, column=self.row)

    def index(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """Return flat indices, int64 [groups, rows, columns].

        Args:
          rows: int64 [number].
          columns: int64 [number].
        """
        start = tf.zeros([1], tf.int64)
        for size, stride in self.groups:
            along = tf.range(size, dtype=tf.int64) * stride
            start = tf.reshape(start[:, tf.newaxis] + along, [-1])
        own = rows[:, tf.newaxis] * self.row + columns * self.column
        return start[:, tf.newaxis, tf.newaxis] + own


@dataclasses.dataclass(frozen=True, eq=False)
class MatrixView:
    """A product of a layer as a matrix unit computes it.

    Args:
      left: A, [groups, M, K].
      right: B transposed, [groups, N, K].
      result: the flat indices [groups, m, n] of C[m, n] in the layer's result, from
        int64 [m] and [n].
      weight: the flat indices [groups, n, k] of B[k, n] in the layer's weight operand,
        from int64 [n] and [k].
      shaped: C [groups, M, N] in the shape of the layer's result.
      factor: what C is multiplied by to give the result.
    """

    left: Side
    right: Side
    result: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    weight: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    shaped: Callable[[tf.Tensor], tf.Tensor]
    factor: float = 1.0

    def scaled(self, sums: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Return finished sums as numbers of the result.

        Args:
          sums: numbers of C.
          dtype: of the result.
        """
        return tf.cast(sums if self.factor == 1 else sums * self.factor, dtype)


def plain_view(
    left: PlainSide, right: PlainSide, shape: Sequence[Size], weight: Layout
) -> MatrixView:
    """Return the view of a product of two matrices.

    Args:
      left: A.
      right: B transposed.
      shape: of the result, row-major C.
      weight: of row n and column k of B transposed.
    """
    return MatrixView(
        left,
        right,
        Layout(right.size, 1).index,
        weight.index,
        lambda matrix: tf.reshape(matrix, shape),
    )
