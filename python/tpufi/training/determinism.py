# SPDX-License-Identifier: Apache-2.0
"""Settings under which a step is repeatable and a disarmed site is invisible."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_OPTION = "arithmetic_optimization"


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Run functions without TensorFlow's algebraic rewrites of the graph.

    The rewrites reassociate chains of additions, and a fault op in a chain stops them:
    the program with sites and the one without would round differently.

    Source: docs/decisions/0009-exact-arithmetic.md.
    """
    before = tf.config.optimizer.get_experimental_options().get(_OPTION, True)
    tf.config.optimizer.set_experimental_options({_OPTION: False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_OPTION: before})


def make_deterministic() -> None:
    """Have TensorFlow use only kernels that give the same bits every time.

    This holds for the whole process and cannot be undone; command-line tools call it,
    the library does not.
    """
    tf.config.experimental.enable_op_determinism()
