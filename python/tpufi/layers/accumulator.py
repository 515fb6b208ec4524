# SPDX-License-Identifier: Apache-2.0
"""The type in which sums over numbers of another type are kept."""

import tensorflow as tf

from tpufi.element import element


def accumulator(dtype: str) -> str:
    """Return the type for statistics and moments of elements of type `dtype`.

    float32 for 16-bit elements, as in the matrix units of accelerators; any other type
    is its own. 16 bits hold neither a decay of 0.999 nor the difference between the
    mean of the squares and the square of the mean.

    Args:
      dtype: name of a floating-point type.

    Example:
      >>> from tpufi.layers.accumulator import accumulator
      >>> accumulator("bfloat16"), accumulator("float64")
      ('float32', 'float64')
    """
    return "float32" if element(dtype).bits < 32 else dtype


def widened(x: tf.Tensor) -> tf.Tensor:
    """Return `x` in the type in which its sums are kept."""
    return tf.cast(x, accumulator(x.dtype.name))
