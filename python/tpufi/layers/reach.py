# SPDX-License-Identifier: Apache-2.0
"""Which results the error of a faulty operand reaches (decision 0012)."""

from collections.abc import Sequence

import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA, FIELDS, OPERATIONS
from tpufi.ops import inject_fault


def naming(faults: tf.Tensor, replica: tf.Tensor, ids: Sequence[int]) -> tf.Tensor:
    """Return which rows name one of some sites on a replica, bool [rows].

    Args:
      faults: int64 [rows, 12]; see `tpufi.descriptor`.
      replica: int64 scalar.
      ids: the sites.
    """
    target = _column(faults, "replica")
    here = tf.logical_or(tf.equal(target, EVERY_REPLICA), tf.equal(target, replica))
    sites = _column(faults, "site")[:, None]
    at = tf.reduce_any(tf.equal(sites, tf.constant(ids, tf.int64)), 1)
    return tf.logical_and(here, at)


def where_reached(
    faults: tf.Tensor,
    named: tf.Tensor,
    faulty: tf.Tensor,
    golden: tf.Tensor,
    perm: Sequence[int] = (),
) -> tf.Tensor:
    """Return `faulty` where the error of a fault arrives, elsewhere `golden`.

    Args:
      faults: int64 [rows, 12]; see `tpufi.descriptor`.
      named: bool [rows], rows that name an operand.
      faulty: the result of the faulty operand.
      golden: the result without the fault.
      perm: axis order of the result's layout, if it is not that of `faulty`.
    """
    y = tf.cond(
        tf.reduce_any(confined(faults, named)),
        lambda: tf.where(reach(faults, faulty, named, perm), faulty, golden),
        lambda: tf.identity(faulty),
    )
    y.set_shape(faulty.shape)
    return y


def confined(faults: tf.Tensor, named: tf.Tensor) -> tf.Tensor:
    """Return which of the `named` rows are confined to some results.

    Args:
      faults: int64 [rows, 12]; see `tpufi.descriptor`.
      named: bool [rows].
    """
    return tf.logical_and(named, tf.greater(_column(faults, "reach_count"), 0))


def reach(
    faults: tf.Tensor, result: tf.Tensor, named: tf.Tensor, perm: Sequence[int] = ()
) -> tf.Tensor:
    """Return which results keep the error of the `named` rows, bool like `result`.

    Args:
      faults: int64 [rows, 12]; see `tpufi.descriptor`.
      result: what an operation computes from operands.
      named: bool [rows], rows that name one of its operands.
      perm: axis order that the rows' flat indices refer to.

    Raises:
      tf.errors.InvalidArgumentError: the reach lies outside the result (CPU kernel).
    """
    # The rows of a fault that writes 1 into zeros wherever an error may reach.
    some = tf.greater(_column(faults, "reach_count"), 0)
    nothing = tf.zeros_like(faults[:, 0])
    one, size = nothing + 1, nothing + tf.size(result, tf.int64)
    columns = {
        "site": tf.where(named, nothing, -one),
        "replica": one * EVERY_REPLICA,
        "start": tf.where(some, _column(faults, "reach_start"), nothing),
        "count": tf.where(some, _column(faults, "reach_count"), size),
        "operation": one * OPERATIONS.index("replace"),
        "words": one,
        "block": tf.where(some, one, nothing),
        "stride": tf.where(some, _column(faults, "reach_stride"), nothing),
    }
    marks, _ = inject_fault(
        tf.zeros(result.shape, tf.uint8),
        0,
        0,
        tf.stack([columns.get(name, nothing) for name in FIELDS], 1),
        tf.ones([faults.shape[0], 1], tf.uint64),
        perm=tuple(perm),
        operations=("replace",),
    )
    return tf.equal(marks, 1)


def _column(faults: tf.Tensor, name: str) -> tf.Tensor:
    return faults[:, FIELDS.index(name)]


def same_bits(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Compare element by element, so that a NaN equals itself and -0.0 is not 0.0."""
    word = {1: tf.int8, 2: tf.int16, 4: tf.int32, 8: tf.int64}[a.dtype.size]
    return tf.equal(tf.bitcast(a, word), tf.bitcast(b, word))
