# SPDX-License-Identifier: Apache-2.0
"""Threefry-2x32-20 in numpy, written from the paper alone."""

import numpy as np

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
# "Skein" constant for words of 32 bits.
C240 = 0x1BD11BDA
WORD = np.uint64(0xFFFFFFFF)


def threefry2x32(key: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Return the cipher of counters under keys.

    Args:
      key: uint64 [..., 2], words below 2**32.
      counter: the same.

    Returns:
      uint64 [..., 2], words below 2**32.
    """
    key, counter = np.broadcast_arrays(key, counter)
    schedule = [key[..., 0], key[..., 1], key[..., 0] ^ key[..., 1] ^ np.uint64(C240)]
    x, y = (counter[..., i] + schedule[i] & WORD for i in range(2))
    for number in range(20):
        r = np.uint64(ROTATIONS[number % 8])
        x = x + y & WORD
        y = ((y << r | y >> np.uint64(32) - r) & WORD) ^ x
        if number % 4 == 3:
            s = number // 4 + 1
            x = x + schedule[s % 3] & WORD
            y = y + schedule[(s + 1) % 3] + np.uint64(s) & WORD
    return np.stack([x, y], -1)


def halves(numbers: np.ndarray) -> np.ndarray:
    """Return 64-bit numbers as low and high words, uint64 [..., 2]."""
    numbers = np.asarray(numbers, np.uint64)
    return np.stack([numbers & WORD, numbers >> np.uint64(32)], -1)
