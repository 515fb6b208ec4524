# SPDX-License-Identifier: Apache-2.0
"""A set of struck elements, as a compiled program is told about it."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Positions:
    """Blocks of elements at equal distances in the flat, row-major order of a tensor.

    Element i of the run, 0 <= i < count, is at `start + (i // block) * stride + i %
    block`. One contiguous run has `block == stride == count`; a channel of an NHWC
    tensor has block 1 and stride C.

    Args:
      start: flat index of the first element, >= 0.
      count: elements, >= 1.
      block: elements that follow each other, >= 1.
      stride: distance of the starts of two blocks, >= block.
    """

    start: int
    count: int
    block: int
    stride: int

    @classmethod
    def run(cls, start: int, count: int) -> "Positions":
        """Return `count` elements that follow each other."""
        return cls(start, count, count, count)

    @property
    def is_run(self) -> bool:
        """Whether the elements follow each other without a gap."""
        return self.block >= self.count or self.block == self.stride

    @property
    def last(self) -> int:
        """Flat index of the last element."""
        blocks, rest = divmod(self.count - 1, self.block)
        return self.start + blocks * self.stride + rest

    def indices(self) -> np.ndarray:
        """Return the flat indices, int64 [count], ascending."""
        i = np.arange(self.count, dtype=np.int64)
        return self.start + i // self.block * self.stride + i % self.block
