# SPDX-License-Identifier: Apache-2.0
"""Range restriction: values outside what a site had without faults are brought back.

Bounds are put behind the sites of a second instrumented program
(`tpufi.instrument(..., bounds=...)`); the same faults in both are an A/B test.

Source: Chen et al., DSN'21 (Ranger): range restriction; restated, not its code.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.profile import ranges


class Bounds(NamedTuple):
    """Smallest and largest value of a site; NaN becomes the smallest."""

    low: float
    high: float


def activation_bounds(
    fi: Instrumented, batches: Sequence[tf.Tensor]
) -> dict[str, Bounds]:
    """Return the bounds of each armed floating-point site over some inputs.

    Args:
      fi: the program.
      batches: inputs, each of the same shape.

    Raises:
      InputError: no batch.
    """
    if not batches:
        raise InputError("bounds need at least one batch of inputs")
    found: dict[str, Bounds] = {}
    for batch in batches:
        for name, (low, high) in ranges(fi.armed(batch), (batch,), {}).items():
            old = found.get(name, Bounds(low, high))
            found[name] = Bounds(min(low, old.low), max(high, old.high))
    return found
