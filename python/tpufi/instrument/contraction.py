# SPDX-License-Identifier: Apache-2.0
"""A product of two tensors whose axes have labels, as a matrix unit computes it.

Labels of both operands and the result number matrices, those of one operand and the
result rows or columns, and those that the result has not are summed over. A product of
matrices, of batches of them, and an Einsum of two operands are such ones.
"""

import dataclasses

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.layers.matrix_view import MatrixView, PlainSide, Size, sizes_of

Labels = tuple[str, ...]
Sizes = dict[str, Size]


@dataclasses.dataclass(frozen=True)
class Contraction:
    """What is multiplied and summed.

    Args:
      left: labels of the left operand's axes.
      right: those of the right operand, which has the weights. In both an axis of size
        1 may have none, an empty text.
      result: those of the result.

    Raises:
      InputError: it is not a product of matrices; the message says why.

    Example:
      >>> Contraction(("a", "b", "c"), ("c", "d"), ("a", "b", "d")).rows
      ('a', 'b')
    """

    left: Labels
    right: Labels
    result: Labels

    def __post_init__(self) -> None:
        left, right, result = map(_named, (self.left, self.right, self.result))
        for labels in (left, right, result):
            if len({*labels}) != len(labels):
                raise InputError("a tensor has two axes of one label")
        if ({*left} ^ {*right}) - {*result}:
            raise InputError("an axis that one operand has is summed over")
        if {*result} - {*left} - {*right}:
            raise InputError("an axis of the result is in no operand")

    @property
    def groups(self) -> Labels:
        """Labels that number matrices."""
        both = {*self.left} & {*self.right} & {*self.result}
        return tuple(label for label in self.left if label in both)

    @property
    def rows(self) -> Labels:
        """Labels that number rows of the result, and of the left operand."""
        return tuple(label for label in _named(self.left) if label not in self.right)

    @property
    def columns(self) -> Labels:
        """Labels that number columns of the result, and of the right operand."""
        return tuple(label for label in _named(self.right) if label not in self.left)

    @property
    def depth(self) -> Labels:
        """Labels that are summed over."""
        return tuple(label for label in _named(self.left) if label not in self.result)

    def view(self, left: tf.Tensor, right: tf.Tensor) -> MatrixView:
        """Return the product as matrices.

        Args:
          left: the left operand.
          right: the right one.
        """
        sizes: Sizes = {}
        for labels, tensor in ((self.left, left), (self.right, right)):
            for label, size in zip(labels, sizes_of(tensor), strict=True):
                # Where one operand's size is known, so is the other's.
                if not isinstance(sizes.get(label), int):
                    sizes[label] = size
        order = self.groups + self.rows + self.columns
        shape = [sizes[label] for label in order]
        back = [order.index(label) for label in self.result]
        at_result, at_right = (
            _Places(_named(labels), sizes, self.groups)
            for labels in (self.result, self.right)
        )
        return MatrixView(
            self._side(left, self.left, self.rows, sizes),
            self._side(right, self.right, self.columns, sizes),
            lambda m, n: at_result.index(self.rows, m, self.columns, n),
            lambda n, k: at_right.index(self.columns, n, self.depth, k),
            lambda matrix: tf.transpose(tf.reshape(matrix, shape), back),
        )

    def _side(
        self, x: tf.Tensor, labels: Labels, own: Labels, sizes: Sizes
    ) -> PlainSide:
        """Return an operand as matrices [groups, own, depth]."""
        labels = _named(labels)
        x = tf.reshape(x, [sizes[label] for label in labels])
        stands = self.groups + own + self.depth
        transposed = labels != stands and labels == self.groups + self.depth + own
        if labels != stands and not transposed:
            x = tf.transpose(x, [labels.index(label) for label in stands])
        matrix = [_many(sizes, part) for part in (own, self.depth)]
        lead = [_many(sizes, self.groups)] if self.groups else []
        if transposed:
            matrix.reverse()
        return PlainSide(tf.reshape(x, lead + matrix), transposed)


def _named(labels: Labels) -> Labels:
    return tuple(label for label in labels if label)


def _many(sizes: Sizes, labels: Labels) -> Size:
    """Return how many indices axes have together."""
    number: Size = 1
    for label in labels:
        number *= sizes[label]
    return number


class _Places:
    """Where elements stand in a tensor.

    Args:
      labels: of its axes.
      sizes: of all labels.
      groups: labels that number matrices.
    """

    def __init__(self, labels: Labels, sizes: Sizes, groups: Labels):
        self._sizes, self._groups = sizes, groups
        self._strides = {
            label: _many(sizes, labels[place + 1 :])
            for place, label in enumerate(labels)
        }

    def index(
        self, rows: Labels, row: tf.Tensor, columns: Labels, column: tf.Tensor
    ) -> tf.Tensor:
        """Return flat indices, int64 [groups, rows, columns].

        Args:
          rows: labels that `row` counts over together, the last one fastest.
          row: int64 [number].
          columns: likewise for `column`.
          column: int64 [number].
        """
        groups = tf.range(_many(self._sizes, self._groups), dtype=tf.int64)
        group = self._along(self._groups, groups)[:, tf.newaxis, tf.newaxis]
        return (
            group + self._along(rows, row)[:, tf.newaxis] + self._along(columns, column)
        )

    def _along(self, labels: Labels, place: tf.Tensor) -> tf.Tensor:
        flat = tf.zeros_like(place)
        for label in reversed(labels):
            flat += place % self._sizes[label] * self._strides[label]
            place //= self._sizes[label]
        return flat


def of_einsum(equation: str) -> Contraction:
    """Return what an Einsum computes.

    Args:
      equation: such as `abc,cd->abd`.

    Raises:
      InputError: it is not a product of matrices; the message says why.
    """
    given, _, result = equation.replace(" ", "").partition("->")
    operands = given.split(",")
    if len(operands) != 2 or "." in equation:
        raise InputError(f"{equation} has not two operands, or it has an ellipsis")
    return Contraction(*map(tuple, (*operands, result)))


def of_matmul(
    left: tf.TensorShape, right: tf.TensorShape, transposes: tuple[bool, bool]
) -> Contraction:
    """Return what a product of matrices, or of batches of them, computes.

    A batch that only one operand has makes rows or columns of one matrix.

    Args:
      left: shape of the left operand.
      right: shape of the right one.
      transposes: whether the last two axes of each are exchanged.

    Raises:
      InputError: whether an operand has a batch, is only known when the program runs.
    """
    batch = max(left.rank, right.rank) - 2
    labels: tuple[list[str], list[str]] = ([], [])
    for place in range(-batch, 0):
        name = f"batch{place}"
        sizes = [
            shape[place - 2] if shape.rank - 2 >= -place else 1
            for shape in (left, right)
        ]
        if None in sizes and any(size not in (None, 1) for size in sizes):
            raise InputError("a batch of unknown size meets one of another size")
        for own, shape, size, other in zip(
            labels, (left, right), sizes, sizes[::-1], strict=True
        ):
            if shape.rank - 2 >= -place:
                own.append("" if size == 1 != other else name)
    for own, last, transposed in zip(
        labels, (("m", "k"), ("k", "n")), transposes, strict=True
    ):
        own.extend(last[::-1] if transposed else last)
    batches = [f"batch{place}" for place in range(-batch, 0)]
    return Contraction(*map(tuple, (*labels, (*batches, "m", "n"))))
