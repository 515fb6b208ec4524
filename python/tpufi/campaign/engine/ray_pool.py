# SPDX-License-Identifier: Apache-2.0
"""Workers on the machines of a Ray cluster; lost ones are replaced."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.engine.events import Event, Failed, Finished, Lost, Pool
from tpufi.campaign.engine.unplanned import CRASHED, HUNG
from tpufi.campaign.engine.worker import RunnerFactory
from tpufi.campaign.journal.row import Row
from tpufi.errors import InputError
from tpufi.extras import optional
from tpufi.messages import one_line
from tpufi.training import make_deterministic

# A worker that is lost before it is ready, so often in a row, will never be.
_FAILED_STARTS = 3


class _Actor:
    """Runs blocks in a process of the cluster; keeps golden state and program warm."""

    def __init__(self, make: RunnerFactory):
        make_deterministic()
        self._runner = make(lambda: None)

    def ready(self) -> None:
        """Return once the runner has been made."""

    def run(self, block: Block) -> list[Row | tuple[int, str]]:
        """Return a row, or a number with the text of an error, for each experiment."""
        found: list[Row | tuple[int, str]] = []
        for number in block.numbers:
            try:
                found.append(self._runner.run(number, block.attempt))
            except InputError:
                raise
            except Exception as error:  # noqa: BLE001 - it goes into the journal.
                text = f"{type(error).__name__}: {one_line(error)}"
                found.append((number, text))
        return found


@dataclasses.dataclass
class _Worker:
    """An actor and what it is doing."""

    actor: Any
    task: Any
    begun: float
    ready: bool = False
    block: Block | None = None


class RayPool(Pool):
    """Actors of a Ray cluster.

    A block comes back as a whole: if its actor is lost, all of it is done again.

    Args:
      make: makes the runner in each actor; has to be picklable.
      size: number of actors, >= 1.
      timeout: seconds for an experiment after which its actor hangs.
      start_timeout: seconds until an actor is ready, waiting for its machine included.
      resources: what an actor takes of its machine, e.g. {"CPU": 2} or {"TPU": 4}.
      address: of the cluster; None: the one that is connected, or a local one.

    Raises:
      InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(
        self,
        make: RunnerFactory,
        size: int,
        timeout: float,
        start_timeout: float,
        resources: Mapping[str, float],
        address: str | None = None,
    ):
        self._ray = connected(address)
        self.size = size
        self.idle: set[int] = set()
        self._make = make
        self._timeout = timeout
        self._start_timeout = start_timeout
        others = {k: v for k, v in resources.items() if k not in ("CPU", "GPU")}
        self._remote = self._ray.remote(
            num_cpus=resources.get("CPU", 0),
            num_gpus=resources.get("GPU", 0),
            resources=others,
            max_restarts=0,
        )(_Actor)
        self._failed_starts = 0
        self._workers = [self._start() for _ in range(size)]

    @property
    def busy(self) -> int:
        """Number of workers that have a block."""
        return sum(w.block is not None for w in self._workers)

    def hand(self, worker: int, block: Block) -> None:
        """Give a block to an idle worker."""
        one = self._workers[worker]
        one.block, one.begun = block, time.monotonic()
        one.task = one.actor.run.remote(block)
        self.idle.discard(worker)

    def events(self, seconds: float) -> list[Event]:
        """Wait for reports; see `Pool`."""
        tasks = {w.task: n for n, w in enumerate(self._workers) if w.task is not None}
        if not tasks:
            time.sleep(seconds)
            return []
        ended, _ = self._ray.wait(list(tasks), timeout=seconds)
        found: list[Event] = []
        for task in ended:
            found.extend(self._read(tasks[task]))
        now = time.monotonic()
        for number, one in enumerate(self._workers):
            count = len(one.block.numbers) if one.block else 0
            limit = self._timeout * count if one.ready else self._start_timeout
            if one.task is not None and now - one.begun > limit:
                text = f"no result for {limit:g} s"
                found.extend(self._replace(number, HUNG, text))
        return found

    def close(self) -> None:
        """End all actors at once; the cluster stays."""
        for one in self._workers:
            self._ray.kill(one.actor)

    def _read(self, number: int) -> list[Event]:
        one = self._workers[number]
        try:
            results = self._ray.get(one.task)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise InputError(str(error.cause)) from None
            raise
        except self._ray.exceptions.RayActorError as error:
            if isinstance(cause := getattr(error, "cause", None), InputError):
                raise InputError(str(cause)) from None
            _raise_if_refused(error)
            return self._replace(number, CRASHED, one_line(error)[:300])
        block, one.block, one.task = one.block, None, None
        self.idle.add(number)
        if not one.ready:
            one.ready, self._failed_starts = True, 0
            return []
        return [
            Finished(result)
            if isinstance(result, Row)
            else Failed(result[0], block.attempt, result[1])
            for result in results
        ]

    def _replace(self, number: int, outcome: str, text: str) -> list[Event]:
        one = self._workers[number]
        self._ray.kill(one.actor)
        self.idle.discard(number)
        if not one.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise RuntimeError(f"workers cannot be started: {text}")
        self._workers[number] = self._start()
        return [Lost(one.block, frozenset(), None, outcome, text)]

    def _start(self) -> _Worker:
        actor = self._remote.remote(self._make)
        return _Worker(actor, actor.ready.remote(), time.monotonic())


def _raise_if_refused(error: Exception) -> None:
    """Raise what an actor refused when it was made; Ray keeps only its text."""
    for line in str(error).splitlines():
        _, found, text = line.partition(f"{InputError.__name__}: ")
        if found:
            raise InputError(text)


def connected(address: str | None) -> Any:
    """Return the module `ray`, connected to a cluster."""
    ray = optional("ray", "the engine ray", "choose --engine local")
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False)
        except ConnectionError as error:
            raise InputError(
                f"no Ray cluster at {address}: {one_line(error)}; start one with: ray "
                "start --head"
            ) from None
    return ray
