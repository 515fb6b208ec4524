# SPDX-License-Identifier: Apache-2.0
"""A campaign on many workers, simulated with the engine's own queue.

Time is simulated, the queue is real: blocks, parts, taking over and second attempts are
those of `engine.block_queue`. The coordinator is one process that hands out blocks and
commits rows; its work is done one after the other.
"""

import dataclasses
import heapq
import math
import random

from tpufi.campaign.engine.block_queue import Block, BlockQueue


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What is simulated; times are in seconds.

    Args:
      workers: number of workers.
      experiment: mean time of an experiment.
      spread: standard deviation of the logarithm of that time.
      walk: time of a golden step; a worker walks the steps its experiments strike.
      start: from asking for a worker until it can begin.
      slow_share: share of workers that are stragglers.
      slowdown: their times against those of the others.
      lost_after: mean time until a worker is lost; infinity: never.
      row: coordinator's time to commit a row.
      hand: coordinator's time to hand out a block and take back its rows.
    """

    workers: int
    experiment: float
    spread: float = 0.5
    walk: float = 0.1
    start: float = 180.0
    slow_share: float = 0.01
    slowdown: float = 5.0
    lost_after: float = math.inf
    row: float = 64e-6
    hand: float = 1e-3


@dataclasses.dataclass(frozen=True)
class Load:
    """The work.

    Args:
      experiments: of the campaign.
      window: experiments between two looks at the stop rules.
      block: experiments that a worker takes at once.
      steps: golden steps that experiments strike, evenly.
    """

    experiments: int
    window: int
    block: int
    steps: int


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What came out of a simulation.

    Args:
      seconds: from the start to the last row.
      efficiency: time of all experiments, done once, over that of all workers.
      coordinator: share of the time in which the coordinator worked.
      lost_workers: workers that were lost.
      done_twice: experiments that were done again since their worker was lost.
      rows: experiments that came out.
      given_up: experiments that workers were lost with twice.
    """

    seconds: float
    efficiency: float
    coordinator: float
    lost_workers: int
    done_twice: int
    rows: int
    given_up: int


def simulate(cluster: Cluster, load: Load, seed: int = 1) -> Forecast:
    """Return how a campaign goes on a cluster.

    Args:
      cluster: the workers.
      load: the work.
      seed: of all random times.
    """
    run = _Run(cluster, load, random.Random(seed))
    for begin in range(0, load.experiments, load.window):
        run.window(min(load.window, load.experiments - begin))
    busy = run.useful / (cluster.workers * run.now)
    return Forecast(
        run.now,
        busy,
        run.coordinator_busy / run.now,
        run.lost,
        run.done_twice,
        run.rows,
        run.given_up,
    )


class _Run:
    """The state of a simulation."""

    def __init__(self, cluster: Cluster, load: Load, rng: random.Random):
        self._cluster, self._load, self._rng = cluster, load, rng
        self.now = 0.0
        self.useful = self.coordinator_busy = 0.0
        self.lost = self.done_twice = self.rows = self.given_up = 0
        self._coordinator_free = 0.0
        # When each worker can begin, what it is, and where its golden walk has come to.
        self._ready = [cluster.start] * cluster.workers
        self._factor = [self._drawn_factor() for _ in range(cluster.workers)]
        self._at = [0.0] * cluster.workers

    def window(self, size: int) -> None:
        """Simulate one window; its end is waited for by all workers."""
        queue = BlockQueue(range(size), self._cluster.workers, self._load.block)
        # Experiments go by steps: each stands for this share of the window's walk.
        steps = self._load.steps / size
        events = [(ready, worker, None) for worker, ready in enumerate(self._ready)]
        heapq.heapify(events)
        idle: list[int] = []
        end = self.now
        while events:
            now, worker, block = heapq.heappop(events)
            if block is not None:
                now, lost = self._taken_back(queue, now, block)
                end = max(end, now)
                # Work that came back wakes those that wait.
                while idle and len(queue):
                    heapq.heappush(events, (now, idle.pop(), None))
                if lost:
                    self._factor[worker] = self._drawn_factor()
                    self._ready[worker] = now + self._cluster.start
                    heapq.heappush(events, (self._ready[worker], worker, None))
                    continue
            given = queue.take(worker)
            if given is None:
                idle.append(worker)
                continue
            self._begin(events, now, worker, given, steps)
        self.now = end
        self._ready = [max(ready, end) for ready in self._ready]

    def _begin(
        self, events: list, now: float, worker: int, block: Block, steps: float
    ) -> None:
        begin = self._coordinate(now, self._cluster.hand)
        position = block.numbers[0] * steps
        walked = abs(position - self._at[worker]) + len(block.numbers) * steps
        # A checkpoint is never further than this many golden steps away.
        walk = min(walked, 50 + len(block.numbers) * steps) * self._cluster.walk
        self._at[worker] = (block.numbers[-1] + 1) * steps
        times = [self._drawn_time() for _ in block.numbers]
        took = (sum(times) + walk) * self._factor[worker]
        life = math.inf
        if self._cluster.lost_after < math.inf:
            life = self._rng.expovariate(1 / self._cluster.lost_after)
        if life < took:
            heapq.heappush(events, (begin + life, worker, (block, times, True)))
        else:
            heapq.heappush(events, (begin + took, worker, (block, times, False)))

    def _taken_back(
        self, queue: BlockQueue, now: float, ended: tuple
    ) -> tuple[float, bool]:
        block, times, lost = ended
        if lost:
            self.lost += 1
            self.done_twice += len(block.numbers)
            if queue.give_back(block, 0) is not None:
                self.given_up += 1
            return now, True
        count = len(block.numbers)
        self.rows += count
        self.useful += sum(times)
        return self._coordinate(now, self._cluster.row * count), False

    def _coordinate(self, now: float, seconds: float) -> float:
        """Return when the coordinator has done a piece of work."""
        self._coordinator_free = max(now, self._coordinator_free) + seconds
        self.coordinator_busy += seconds
        return self._coordinator_free

    def _drawn_time(self) -> float:
        spread = self._cluster.spread
        mean = math.log(self._cluster.experiment) - spread * spread / 2
        return self._rng.lognormvariate(mean, spread)

    def _drawn_factor(self) -> float:
        slow = self._rng.random() < self._cluster.slow_share
        return self._cluster.slowdown if slow else 1.0
