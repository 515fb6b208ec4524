# SPDX-License-Identifier: Apache-2.0
"""One worker in the process of the campaign, for programs that no other can be sent."""

from collections.abc import Iterator

from tpufi.campaign.engine import worker
from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.engine.pool import Pool
from tpufi.errors import InputError


class HereWorker(worker.Worker):
    """Runs blocks in this process; nothing tells if it hangs.

    Args:
      make: makes the runner.

    Attributes:
      blocks: how many blocks it was handed.
    """

    def __init__(self, make: worker.RunnerFactory):
        self._host, self._make = worker.RunnerHost(), make
        self.blocks = 0

    def ready(self) -> InputError | None:
        return self._host.make(self._make)

    def run(self, block: Block) -> Iterator[worker.Answer]:
        self.blocks += 1
        for number in block.numbers:
            yield self._host.run(number, block.attempt)

    def kill(self) -> None:
        pass


class HerePool(Pool):
    """The worker of this process, in a separate thread.

    Args:
      own: the worker.
    """

    def __init__(self, own: HereWorker):
        self._own = own
        super().__init__(1)

    def _start(self) -> worker.Worker:
        return self._own
