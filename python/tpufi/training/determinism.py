# SPDX-License-Identifier: Apache-2.0
"""Settings under which a step is repeatable and a disarmed site is invisible."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

# Rewrites that change the order of rounding; the other optimisers keep it. Remapping
# merges an addition with the convolution before it.
_REWRITES = ("arithmetic_optimization", "constant_folding", "remapping")


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Run functions without TensorFlow's algebraic rewrites of the graph.

    The rewrites reassociate chains of additions and of multiplications by constants,
    and a fault op in a chain stops them: the program with sites and the one without
    would round differently.

    Source: docs/decisions/0009-exact-arithmetic.md.
    """
    options = tf.config.optimizer.get_experimental_options()
    before = {name: options.get(name, True) for name in _REWRITES}
    tf.config.optimizer.set_experimental_options(dict.fromkeys(_REWRITES, False))
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options(before)


def make_deterministic() -> None:
    """Have TensorFlow use only kernels that give the same bits every time.

    This holds for the whole process and cannot be undone; command-line tools call it,
    the library does not.
    """
    tf.config.experimental.enable_op_determinism()
