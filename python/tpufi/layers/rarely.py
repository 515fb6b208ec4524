# SPDX-License-Identifier: Apache-2.0
"""Branches that only a faulty step takes, kept small in the graph of every step."""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

Result = TypeVar("Result")


def rarely(
    test: tf.Tensor, faulty: Callable[[], Result], usual: Callable[[], Result]
) -> Result:
    """Return `faulty()` if `test` holds, else `usual()`.

    TensorFlow's executor passes through the nodes of a branch that is not taken, too.
    `faulty` is one node for it, however much it computes: a function that stays a call.

    Args:
      test: bool scalar.
      faulty: what a fault makes; called while a step is traced.
      usual: what the step makes without it.

    Source: docs/decisions/0017-what-sites-cost-a-cpu.md
    """
    call = tf.function(
        faulty, autograph=False, experimental_attributes={"_noinline": True}
    )
    return tf.cond(test, call, usual)
