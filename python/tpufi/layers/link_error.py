# SPDX-License-Identifier: Apache-2.0
"""What a broken link makes of the numbers that it hands on."""

import tensorflow as tf

from tpufi.layers.element_faults import altered
from tpufi.units import Link


def transmitted(
    x: tf.Tensor, link: Link, bits: tf.Tensor, before: tf.Tensor | None
) -> tf.Tensor:
    """Return numbers as a broken link hands them on.

    Args:
      x: numbers of a message.
      link: the link.
      bits: uint64 [2], see `tpufi.units.UnitFault.bits`.
      before: the same numbers of the message of the step before; None: the link is not
        stale.
    """
    match link.error:
        case "missing":
            return tf.zeros_like(x)
        case "twice":
            return x + x
        case "stale":
            return before
    return altered(x, bits)
