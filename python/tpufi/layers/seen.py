# SPDX-License-Identifier: Apache-2.0
"""What faults have seen of the tensors that they name, before they changed them.

It says what a fault copies, and what its record tells. Tensors of one shape and type
share a place for each fault, which names one site at most.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tpufi.element import ELEMENTS
from tpufi.ops import Planes
from tpufi.site_table import Site

# For each row and kind of tensor the low halves of its words, and the high ones of 64
# bits, in the layout of the site.
Seen = list[list[list[tf.Tensor]]]
_Kind = tuple[tuple[int, ...], int]


@dataclasses.dataclass(frozen=True)
class SiteKinds:
    """The shapes and types of the tensors of some sites.

    Args:
      sites: the sites.
      rows: how many faults there are, >= 1.
    """

    sites: tuple[Site, ...]
    rows: int

    @property
    def elements(self) -> int:
        """Elements of the largest site, >= 1."""
        return max(1, *(site.size for site in self.sites))

    @property
    def wide(self) -> bool:
        """Whether a site has elements of 64 bits."""
        return any(ELEMENTS[site.dtype].bits == 64 for site in self.sites)

    def nothing(self) -> Seen:
        """Return what is seen before the first site."""
        return [
            [
                [tf.zeros(shape, tf.uint32) for _ in range(halves)]
                for shape, halves in self._kinds()
            ]
            for _ in range(self.rows)
        ]

    def words(self, seen: Seen) -> list[tuple[tf.Tensor, ...]]:
        """Return what each row saw, by flat index: its low halves, and its high ones.

        High halves are left out if no site has 64 bits.
        """
        return [self._flat(one) for one in seen]

    def copied(self, planes: Planes, words: tuple[tf.Tensor, ...]) -> Planes:
        """Return planes whose words are what they say is copied.

        Args:
          planes: of one row, by flat index, with flat indices for words.
          words: of `words`, of that row.
        """
        places = tf.bitcast(planes.low, tf.int32)
        found = [tf.gather(half, places) for half in words]
        return planes._replace(**dict(zip(("low", "high"), found, strict=False)))

    def place(self, site: Site) -> int:
        """Return which place tensors of a site have."""
        return self._kinds().index(_kind(site))

    def _kinds(self) -> list[_Kind]:
        return list(dict.fromkeys(map(_kind, self.sites)))

    def _flat(self, seen: Sequence[Sequence[tf.Tensor]]) -> tuple[tf.Tensor, ...]:
        # All others are zero: a row names one site.
        words = [tf.zeros([self.elements], tf.uint32)] * (2 if self.wide else 1)
        for halves in seen:
            for number, half in enumerate(halves):
                flat = tf.reshape(half, [-1])
                words[number] += tf.pad(flat, [[0, self.elements - flat.shape[0]]])
        return tuple(words)


def _kind(site: Site) -> _Kind:
    return site.shape, 2 if ELEMENTS[site.dtype].bits == 64 else 1
