# SPDX-License-Identifier: Apache-2.0
"""The three ways TensorFlow runs a function, and comparison by bits."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tpufi.element import ELEMENTS, to_words

MODES = ("eager", "graph", "xla")


def in_mode(mode: str, function: Callable) -> Callable:
    """Return `function` as it runs in `mode`."""
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "xla", autograph=False)


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    """Compare element by element; NaNs with their payloads and -0.0 count."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype, (actual.dtype, expected.dtype)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    different = np.argwhere(to_words(actual) != to_words(expected))
    assert len(different) == 0, f"{len(different)} elements differ, at {different[:4]}"


def random_bits(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    """Return an array whose bit patterns are all equally likely (NaNs included)."""
    layout = ELEMENTS[dtype]
    words = rng.integers(0, 1 << 64, shape, np.uint64).astype(layout.word)
    return words.reshape(shape).view(layout.numpy)


def injected(x: np.ndarray, start: int, count: int, rule: Callable) -> np.ndarray:
    """Return `x` with `rule(word, index)` applied to the words of a run."""
    words = to_words(x).reshape(-1)
    for i in range(start, start + count):
        words[i] = rule(int(words[i]), i)
    layout = ELEMENTS[x.dtype.name]
    return words.astype(layout.word).view(layout.numpy).reshape(x.shape)
