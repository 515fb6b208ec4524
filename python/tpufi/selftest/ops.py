# SPDX-License-Identifier: Apache-2.0
"""The ops write the bits they promise in eager, graph and XLA mode."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tpufi import ops
from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.random import random_patterns
from tpufi.selftest.check import CheckFailed

MODES = ("eager", "graph", "xla")
_DTYPES = ("float32", "bfloat16", "float64", "int8")
_SHAPE, _START, _COUNT, _KEY = (3, 5, 7), 11, 29, (20, 23)


def check_ops() -> str:
    """Compare every op in every mode with integer arithmetic of numpy.

    Raises:
      CheckFailed: bits differ; the message names op, type, mode and first element.
    """
    for dtype in _DTYPES:
        before = np.arange(np.prod(_SHAPE), dtype=np.uint64) * 0x9E3779B97F4A7C15
        x = from_words(before & ELEMENTS[dtype].mask, dtype).reshape(_SHAPE)
        mask = 0x5A5A5A5A5A5A5A5A & ELEMENTS[dtype].mask
        expected = _expected(to_words(x).reshape(-1), mask, dtype)
        for mode in MODES:
            found = _in_mode(mode)(
                tf.constant(x),
                tf.constant(_START, tf.int64),
                tf.constant(_COUNT, tf.int64),
                tf.constant(mask, tf.uint64),
                tf.constant(_KEY, tf.uint32),
            )
            for (op, want), tensor in zip(expected.items(), found, strict=True):
                _compare(to_words(tensor.numpy()).reshape(-1), want, op, dtype, mode)
    return (
        f"{', '.join(_expected(before, 0, 'float64'))} in {', '.join(MODES)} mode for "
        f"{', '.join(_DTYPES)}: the bits of numpy"
    )


def _faulty(x, start, count, mask, key) -> tuple[tf.Tensor, ...]:
    return (
        ops.flip_bits(x, start, count, mask),
        ops.inject_random(x, start, count, key),
        ops.zero_out(x, start, count),
    )


def _in_mode(mode: str) -> Callable:
    if mode == "eager":
        return _faulty
    # A function of its own, else TensorFlow warns of many traces of one.
    faulty = functools.partial(_faulty)
    return tf.function(faulty, jit_compile=mode == "xla", autograph=False)


def _expected(words: np.ndarray, mask: int, dtype: str) -> dict[str, np.ndarray]:
    run = slice(_START, _START + _COUNT)
    flipped, drawn, zeroed = words.copy(), words.copy(), words.copy()
    flipped[run] ^= np.uint64(mask)
    drawn[run] = random_patterns(dtype, _KEY, _START, _COUNT)
    zeroed[run] = 0
    return {"flip_bits": flipped, "inject_random": drawn, "zero_out": zeroed}


def _compare(
    found: np.ndarray, expected: np.ndarray, op: str, dtype: str, mode: str
) -> None:
    different = np.flatnonzero(found != expected)
    if different.size:
        first = int(different[0])
        raise CheckFailed(
            f"{op} of {dtype} in {mode} mode: {different.size} elements differ; "
            f"element {first} is {int(found[first]):#x}, not {int(expected[first]):#x}"
        )
