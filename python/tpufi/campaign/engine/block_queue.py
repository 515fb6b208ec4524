# SPDX-License-Identifier: Apache-2.0
"""The experiments of a window, handed to workers in blocks.

Each worker has a part of its own, in the order of the struck steps, so that it walks
the golden run forwards. One that has done its part takes over half of what the slowest
has left. Work of a lost worker comes back; an experiment that a worker was lost with is
tried once more, alone.
"""

import collections
import dataclasses
import heapq
from collections.abc import Collection, Sequence

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
        # Of parts by length, longest first; entries may be out of date.
        self._longest = [(-len(part), i) for i, part in enumerate(self._parts)]
        heapq.heapify(self._longest)
        self._again: collections.deque[Block] = collections.deque()

    def __len__(self) -> int:
        """Return how many experiments can still be taken."""
        again = sum(len(block.numbers) for block in self._again)
        return again + sum(map(len, self._parts))

    def take(self, worker: int) -> Block | None:
        """Return the next block for a worker; None: there is nothing left."""
        if self._again:
            return self._again.popleft()
        part = self._parts[worker]
        if not part:
            self._take_over(worker)
        count = min(self._size, len(part))
        return Block(tuple(part.popleft() for _ in range(count))) if count else None

    def _take_over(self, worker: int) -> None:
        """Move half of the longest part to a worker whose own part is done."""
        part = self._parts[worker]
        while self._longest:
            length, owner = heapq.heappop(self._longest)
            longest = self._parts[owner]
            if not longest:
                continue
            if -length != len(longest):
                heapq.heappush(self._longest, (-len(longest), owner))
                continue
            for _ in range((len(longest) + 1) // 2):
                part.appendleft(longest.pop())
            heapq.heappush(self._longest, (-len(longest), owner))
            heapq.heappush(self._longest, (-len(part), worker))
            return

    def give_back(
        self, block: Block, done: Collection[int], suspect: int | None
    ) -> int | None:
        """Take back what a lost worker has not done.

        Args:
          block: what it had.
          done: experiments of it whose rows have come.
          suspect: the experiment it was lost with; None: nobody knows which.

        Returns:
          An experiment that workers were lost with twice; it is not tried again.
        """
        left = tuple(number for number in block.numbers if number not in done)
        if suspect is None and len(left) == 1:
            suspect = left[0]
        if suspect is None:
            # Alone, each that is at fault will be known.
            self._again.extend(Block((n,), block.attempt) for n in left)
            return None
        others = tuple(number for number in left if number != suspect)
        if others:
            self._again.append(Block(others, block.attempt))
        return self.failed(suspect, block.attempt)

    def failed(self, number: int, attempt: int) -> int | None:
        """Note that an experiment failed; return it if it is not tried again."""
        if attempt >= ATTEMPTS:
            return number
        self._again.append(Block((number,), attempt + 1))
        return None
