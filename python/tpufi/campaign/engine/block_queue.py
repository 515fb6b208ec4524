# SPDX-License-Identifier: Apache-2.0
"""The experiments of a window, handed to workers in blocks.

Each worker has a separate part, in the order of the faulty steps, so that it walks
the golden run forwards. One that has done its part takes over half of what the slowest
has left. Work of a lost worker comes back; an experiment that a worker was lost with is
tried once more, alone.
"""

import collections
import dataclasses
from collections.abc import Sequence

ATTEMPTS = 2  # Of an experiment that fails, or that a worker is lost with.


@dataclasses.dataclass(frozen=True)
class Block:
    """Experiments that a worker does one after the other.

    Args:
      numbers: of the experiments.
      attempt: which attempt this is for all of them, from 1.
    """

    numbers: tuple[int, ...]
    attempt: int = 1


class BlockQueue:
    """What is left to do of a window.

    Args:
      ordered: numbers of the experiments, in the order in which they are done best.
      workers: how many share them, >= 1.
      size: experiments of a block, >= 1.
    """

    def __init__(self, ordered: Sequence[int], workers: int, size: int):
        ends = [len(ordered) * i // workers for i in range(workers + 1)]
        self._parts = [
            collections.deque(ordered[begin:end])
            for begin, end in zip(ends, ends[1:], strict=False)
        ]
        self._size = size
        self._again: collections.deque[Block] = collections.deque()
        self._left = len(ordered)

    def __len__(self) -> int:
        """Return how many experiments can still be taken."""
        return self._left

    def take(self, worker: int) -> Block | None:
        """Return the next block for a worker; None: there is nothing left."""
        if not self._left:
            return None
        block = self._again.popleft() if self._again else self._next(worker)
        self._left -= len(block.numbers)
        return block

    def _next(self, worker: int) -> Block:
        part = self._parts[worker]
        if not part:
            longest = max(self._parts, key=len)
            part.extendleft(longest.pop() for _ in range((len(longest) + 1) // 2))
        count = min(self._size, len(part))
        return Block(tuple(part.popleft() for _ in range(count)))

    def give_back(self, block: Block, done: int, begun: bool = True) -> int | None:
        """Take back what a lost worker has not done.

        Args:
          block: what it had.
          done: how many experiments of it have ended; it was lost with the next.
          begun: whether it had begun the next; else that is none of its attempts.

        Returns:
          An experiment that workers were lost with twice; it is not tried again.
        """
        if not begun:
            self._come_again(Block(block.numbers[done:], block.attempt))
            return None
        suspect, *others = block.numbers[done:]
        if others:
            self._come_again(Block(tuple(others), block.attempt))
        return self.failed(suspect, block.attempt)

    def failed(self, number: int, attempt: int) -> int | None:
        """Note that an experiment failed; return it if it is not tried again."""
        if attempt >= ATTEMPTS:
            return number
        self._come_again(Block((number,), attempt + 1))
        return None

    def _come_again(self, block: Block) -> None:
        self._again.append(block)
        self._left += len(block.numbers)
