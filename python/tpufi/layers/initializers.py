# SPDX-License-Identifier: Apache-2.0
"""First values of weights: pure functions of a random key and a shape."""

import math

import numpy as np
import tensorflow as tf

from tpufi.random import Key

# Standard deviation of a standard normal cut at +-2.
_CUT_NORMAL_DEVIATION = 0.87962566103423978


def zeros(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros."""
    del key
    return np.zeros(shape, np.float32)


def ones(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """Return ones."""
    del key
    return np.ones(shape, np.float32)


def glorot_normal(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """Return normal values cut at two deviations, of variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio 2010; the cut and its correction as in Keras.
    """
    area = math.prod(shape[:-2])
    deviation = math.sqrt(2 / (area * (shape[-2] + shape[-1])))
    seed = np.array(key, np.uint32).view(np.int32)
    return tf.random.stateless_truncated_normal(
        shape, seed, stddev=deviation / _CUT_NORMAL_DEVIATION
    ).numpy()


def fan_in_normal(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """Return normal values of variance 1 / fan_in, not cut.

    Source: LeCun et al. 1998.
    """
    deviation = math.sqrt(1 / math.prod(shape[:-1]))
    seed = np.array(key, np.uint32).view(np.int32)
    return tf.random.stateless_normal(shape, seed, stddev=deviation).numpy()


def small_normal(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """Return normal values of deviation 0.02, not cut, for tables of vectors.

    Source: Radford et al. 2018.
    """
    seed = np.array(key, np.uint32).view(np.int32)
    return tf.random.stateless_normal(shape, seed, stddev=0.02).numpy()
