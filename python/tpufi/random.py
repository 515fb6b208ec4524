# SPDX-License-Identifier: Apache-2.0
"""The counter-based generator on the host: every draw is a pure function of its name.

A stream is named by a seed and a path such as `("augment", epoch, step, replica)`; its
key is derived by running Threefry-2x32 down the path. Element i of the stream is the
cipher of counter i. The CPU and XLA kernels use the same C++ lines (`cc/lib`).
"""

import hashlib
import operator

import numpy as np

from tpufi._library import host
from tpufi.element import element

Key = tuple[int, int]


def derive(seed: int, *path: int | str) -> Key:
    """Return the key of the stream `path` under `seed`.

    Args:
      seed: 0 <= seed < 2**64.
      *path: components; integers in [0, 2**64) or strings.

    Returns:
      Two words below 2**32.

    Raises:
      ValueError: a number is negative or too large.
    """
    key = _halves(seed, "seed")
    for component in path:
        if isinstance(component, str):
            digest = hashlib.sha256(component.encode()).digest()
            # A separate cipher keeps the string "7" apart from the number 7.
            for part in (digest[:8], digest[8:16]):
                number = int.from_bytes(part, "big")
                key = host.threefry2x32(key, _halves(number, "digest"))
        else:
            key = host.threefry2x32(key, _halves(component, "path component"))
    return key


def words(key: Key, start: int, count: int) -> np.ndarray:
    """Return uint64 words `start` .. `start + count - 1` of the stream of `key`."""
    return host.words(key, start, count)


def random_patterns(
    dtype: str, key: Key, start: int, count: int, finite: bool = True
) -> np.ndarray:
    """Return the bits that `inject_random` writes at flat indices from `start`.

    Returns:
      uint64 array of `count` bit patterns of the type `dtype`.

    Example:
      >>> hex(int(random_patterns("float32", (1, 2), 5, 1)[0]))
      '0xefb5e4b0'
    """
    e = element(dtype)
    return host.random_patterns(
        e.bits,
        e.exponent_bits,
        e.mantissa_bits,
        key,
        start,
        count,
        finite,
        e.has_infinity,
    )


def _halves(number: int, what: str) -> Key:
    number = operator.index(number)  # A numpy integer may be too narrow for the mask.
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{what} {number} is outside [0, 2**64)")
    return number & 0xFFFFFFFF, number >> 32
