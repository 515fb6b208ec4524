# SPDX-License-Identifier: Apache-2.0
"""The random choices of one experiment, each a pure function of its name."""

import bisect
import statistics
from collections.abc import Sequence

import numpy as np

from tpufi import random

_WORDS = 1 << 64
_NORMAL = statistics.NormalDist()


class Draws:
    """Draws of experiment `number` of the campaign `seed`.

    Every choice has a separate stream, named by `what`: a choice that is added or
    left out changes no other. Integers are exactly uniform: words of the stream that
    would favour small remainders are passed over.

    Args:
      seed: campaign seed, 0 <= seed < 2**64.
      number: experiment, 0 <= number < 2**64.

    Raises:
      ValueError: a number is outside its range.

    Example:
      >>> Draws(1, 2).below(1000, "step") == Draws(1, 2).below(1000, "step")
      True
    """

    def __init__(self, seed: int, number: int):
        low, high = random.derive(seed, "fault", number)
        self._seed = high << 32 | low

    def word(self, what: str) -> int:
        """Return 64 random bits, e.g. the key of a stream on the device."""
        return int(self._words(what, 0, 1)[0])

    def below(self, bound: int, what: str) -> int:
        """Return an integer of [0, bound), 1 <= bound < 2**64."""
        if bound == 1:
            return 0  # A choice without alternatives needs no random bits.
        return self.integers(bound, 1, what)[0]

    def integers(self, bound: int, count: int, what: str) -> list[int]:
        """Return `count` independent integers of [0, bound), 1 <= bound < 2**64."""
        if not 1 <= bound < _WORDS:
            raise ValueError(f"bound {bound} of {what!r} is outside [1, 2**64)")
        fair = _WORDS - _WORDS % bound  # A multiple of bound: all remainders alike.
        key = random.derive(self._seed, what)
        found: list[int] = []
        start = 0
        while len(found) < count:
            words = random.words(key, start, count).tolist()
            found += [word % bound for word in words if word < fair]
            start += count
        return found[:count]

    def distinct(self, bound: int, count: int, what: str) -> list[int]:
        """Return `count` different integers of [0, bound), all sets equally likely."""
        if count > bound:
            raise ValueError(f"{what!r} asks for {count} of {bound} different integers")
        pool: dict[int, int] = {}  # A shuffle of which only the touched part exists.
        chosen = []
        for i in range(count):
            j = i + self.below(bound - i, f"{what} {i}")
            chosen.append(pool.get(j, j))
            pool[j] = pool.get(i, i)
        return chosen

    def choose(self, cumulative: Sequence[int], what: str) -> int:
        """Return an index with the weights whose running sums are `cumulative`."""
        return bisect.bisect_right(cumulative, self.below(cumulative[-1], what))

    def normals(self, count: int, what: str) -> list[float]:
        """Return `count` independent numbers of the standard normal distribution."""
        words = self._words(what, 0, count) >> np.uint64(11)
        return [_NORMAL.inv_cdf((int(word) + 0.5) / 2**53) for word in words]

    def _words(self, what: str, start: int, count: int) -> np.ndarray:
        return random.words(random.derive(self._seed, what), start, count)
