# SPDX-License-Identifier: Apache-2.0
"""Which results the error of a faulty operand reaches (decision 0012)."""

import functools
from collections.abc import Sequence

import tensorflow as tf


def naming(sites: tf.Tensor, ids: Sequence[int]) -> tf.Tensor:
    """Return which rows name one of some sites, bool [rows].

    Args:
      sites: the site of each row, an integer tensor [rows].
      ids: the sites.
    """
    tests = [tf.equal(sites, tf.constant(one, sites.dtype)) for one in ids]
    return functools.reduce(tf.logical_or, tests)


def where_reached(
    reaches: tf.Tensor,
    named: tf.Tensor,
    faulty: tf.Tensor,
    golden: tf.Tensor,
    perm: Sequence[int] = (),
) -> tf.Tensor:
    """Return `faulty` where the error of a fault arrives, elsewhere `golden`.

    Args:
      reaches: integers [rows, 3]: start, count and stride of the results that a row is
        confined to; count 0: it is not.
      named: bool [rows], rows that name an operand.
      faulty: the result of the faulty operand.
      golden: the result without the fault.
      perm: axis order of the result's layout, if it is not that of `faulty`.
    """
    return where_bits(reach(reaches, faulty, named, perm), faulty, golden)


def reach(
    reaches: tf.Tensor, result: tf.Tensor, named: tf.Tensor, perm: Sequence[int] = ()
) -> tf.Tensor:
    """Return which results keep the error of the `named` rows, bool like `result`.

    Args:
      reaches: see `where_reached`.
      result: what an operation computes from operands.
      named: bool [rows], rows that name one of its operands.
      perm: axis order that the rows' flat indices refer to.

    Raises:
      tf.errors.InvalidArgumentError: the reach lies outside the result (CPU kernel).
    """
    size = result.shape.num_elements()
    kind = tf.int32 if size < 2**31 else tf.int64
    reached = tf.zeros(result.shape, tf.bool)
    for row in range(reaches.shape[0]):
        start, count, step = tf.unstack(reaches[row])
        whole = tf.equal(count, 0)
        # No sum or product overflows, whatever the numbers.
        inside = (start >= 0) & (start < size) & (count > 0) & (step > 0)
        inside &= count - 1 <= tf.where(inside, size - 1 - start, 0) // tf.maximum(
            step, 1
        )
        message = f"the results of a reach have flat indices outside [0, {size})"
        tf.debugging.Assert(
            ~named[row] | whole | inside, [message, reaches[row]], name="reach"
        )
        start, count, step = (
            tf.cast(tf.where(inside, n, 1), kind) for n in (start, count, step)
        )
        ahead = _flat_indices(result.shape, perm, -start)
        hit = (ahead >= 0) & tf.equal(ahead % step, 0) & (ahead // step < count)
        reached |= named[row] & (whole | (inside & hit))
    return reached


def _flat_indices(
    shape: tf.TensorShape, perm: Sequence[int], first: tf.Tensor
) -> tf.Tensor:
    """Return the flat index of each element in its layout, the first one being `first`.

    It is not known before a program runs, so that no program has a constant of the
    size of a tensor.
    """
    index, stride = first, 1
    for axis in reversed(perm or range(shape.rank)):
        along = [1] * shape.rank
        along[axis] = -1
        index += tf.reshape(tf.range(shape[axis], dtype=first.dtype) * stride, along)
        stride *= shape[axis]
    return index


def same_bits(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Compare element by element, so that a NaN equals itself and -0.0 is not 0.0."""
    return tf.equal(_words(a), _words(b))


def where_bits(test: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return `tf.where(test, a, b)` with the bits of every NaN.

    A compiler may choose among 16-bit numbers as float32, which makes NaNs quiet.
    """
    chosen = tf.where(test, _words(a), _words(b))
    return chosen if a.dtype == tf.bool else tf.bitcast(chosen, a.dtype)


def _words(x: tf.Tensor) -> tf.Tensor:
    """Return numbers as integers of the same bits; a `bool` as it is."""
    if x.dtype == tf.bool:
        return x
    words = {1: tf.int8, 2: tf.int16, 4: tf.int32, 8: tf.int64}
    return tf.bitcast(x, words[x.dtype.size])
