# SPDX-License-Identifier: Apache-2.0
"""Whether faults are injected in a step, as a program computes it; see `tpufi.when`.

The bits are those of the host in eager mode, in a graph and under XLA: all of it are
sums, rotations and comparisons of integers.
"""

from typing import NamedTuple

import tensorflow as tf

from tpufi.when import MOMENT_FIELDS

_GROUP = 4  # Rounds between two keys.
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_LOW = 0xFFFFFFFF
_WINDOWS = MOMENT_FIELDS.index("windows")


class Halves(NamedTuple):
    """A number of 64 bits, or two of 32.

    Args:
      low: uint32, any shape.
      high: uint32 like `low`.
    """

    low: tf.Tensor
    high: tf.Tensor

    @classmethod
    def of(cls, number: tf.Tensor) -> "Halves":
        """Return the halves of int64 numbers."""
        mask = tf.constant(_LOW, tf.int64)
        upper = tf.bitwise.right_shift(number, tf.constant(32, tf.int64))
        halves = (tf.bitwise.bitwise_and(half, mask) for half in (number, upper))
        return cls(*(tf.cast(half, tf.uint32) for half in halves))

    def is_at_most(self, other: "Halves") -> tf.Tensor:
        """Return which numbers are not above others, without sign, bool."""
        below = self.high < other.high
        return below | (tf.equal(self.high, other.high) & (self.low <= other.low))


def threefry2x32(key: Halves, counter: Halves) -> Halves:
    """Return the 64 random bits of counters under keys; shapes are broadcast.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11; 20
    rounds, as `cc/lib/threefry.h`.
    """
    parity = _xor(_xor(key.low, key.high), tf.constant(_PARITY, tf.uint32))
    keys = key.low, key.high, parity
    low, high = counter.low + keys[0], counter.high + keys[1]
    for group in range(1, 6):
        for number in range(_GROUP):
            rotation = _ROTATIONS[(_GROUP * (group - 1) + number) % len(_ROTATIONS)]
            low += high
            high = _xor(_rotated(high, rotation), low)
        low += keys[group % 3]
        high += keys[(group + 1) % 3] + tf.constant(group, tf.uint32)
    return Halves(low, high)


def is_drawn(
    key: tf.Tensor,
    seldom: tf.Tensor,
    step: tf.Tensor,
    replica: tf.Tensor,
    sites: tf.Tensor,
) -> tf.Tensor:
    """Return where faults are injected by their rates, bool; shapes are broadcast.

    With keys of shape [rows, 1] and sites of shape [n] each row draws for each site.
    It is `tpufi.when.drawn(key, step, replica, site) <= When.limit`.

    Args:
      key: int64, bits of the keys.
      seldom: int64, `When.limit` with every bit inverted, as in a row of moments;
        0: injected always.
      step: int64 scalar, steps since the start of training.
      replica: int64 scalar.
      sites: int64, ids of sites.
    """
    of_step = threefry2x32(Halves.of(key), Halves.of(step))
    counter = Halves(Halves.of(sites).low, Halves.of(replica).low)
    draw = threefry2x32(of_step, counter)
    return draw.is_at_most(Halves.of(tf.bitwise.invert(seldom)))


def is_covered(moments: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Return which rows can be injected in a step, whatever is drawn, bool [rows].

    Args:
      moments: int64 [rows, fields], see `tpufi.when.MOMENT_FIELDS`.
      step: int64 scalar, steps since the start of training.
    """
    own = step - moments[:, 0]
    period = tf.maximum(moments[:, 1], 1)
    ends = moments[:, _WINDOWS + 1 :]
    since = own[:, None]
    within = tf.reduce_any((since >= ends[:, ::2]) & (since < ends[:, 1::2]), axis=1)
    anywhere = tf.equal(moments[:, _WINDOWS], 0)
    return (own >= 0) & tf.equal(own % period, 0) & (anywhere | within)


def is_injected(
    moments: tf.Tensor, step: tf.Tensor, replica: tf.Tensor, sites: tf.Tensor
) -> tf.Tensor:
    """Return which faults are injected at sites, in a step and replica.

    Args:
      moments: int64 [rows, fields], see `tpufi.when.MOMENT_FIELDS`.
      step: int64 scalar, steps since the start of training.
      replica: int64 scalar.
      sites: int64 [rows], the site of each row; or [rows, n], many for each; or [1, n].

    Returns:
      Bool [rows], or [rows, n].
    """
    key, seldom = moments[:, 2], moments[:, 3]
    covered = is_covered(moments, step)
    if sites.shape.rank == 2:
        key, seldom, covered = key[:, None], seldom[:, None], covered[:, None]
    return covered & is_drawn(key, seldom, step, replica, sites)


def _xor(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(a, b)


def _rotated(x: tf.Tensor, left: int) -> tf.Tensor:
    upper = tf.bitwise.left_shift(x, tf.constant(left, tf.uint32))
    lower = tf.bitwise.right_shift(x, tf.constant(32 - left, tf.uint32))
    return tf.bitwise.bitwise_or(upper, lower)
