# SPDX-License-Identifier: Apache-2.0
"""Workers on the machines of a Ray cluster; lost ones are replaced."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.engine.events import Event, attempted
from tpufi.campaign.engine.pool import Pool, PoolWorker
from tpufi.campaign.engine.unplanned import CRASHED, HUNG
from tpufi.campaign.engine.worker import RunnerFactory
from tpufi.errors import InputError
from tpufi.extras import optional
from tpufi.messages import one_line
from tpufi.training import make_deterministic

_STARTS = 3


class _Actor:
    """Runs blocks in a process of the cluster; keeps golden state and program warm."""

    def __init__(self, make: RunnerFactory):
        make_deterministic()
        self._runner = make(lambda: None)

    def ready(self) -> None:
        """Return once the runner has been made."""

    def run(self, block: Block) -> list[Event]:
        """Return what became of each experiment."""
        return [attempted(self._runner, n, block.attempt) for n in block.numbers]


@dataclasses.dataclass
class _Worker(PoolWorker):
    """An actor and what it is doing."""

    actor: Any
    task: Any
    begun: float


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
        super().__init__(size, _STARTS)

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
                found.append(self._replace(number, HUNG, text))
        return found

    def close(self) -> None:
        """End all actors at once; the cluster stays."""
        for one in self._workers:
            self._end(one)

    def _read(self, number: int) -> list[Event]:
        one = self._workers[number]
        try:
            results = self._ray.get(one.task)
        except self._ray.exceptions.RayError as error:
            if (text := _refusal(error)) is not None:
                raise InputError(text) from None
            if not isinstance(error, self._ray.exceptions.RayActorError):
                raise
            return [self._replace(number, CRASHED, one_line(error)[:300])]
        one.task = None
        if not one.ready:
            self._is_ready(number)
            return []
        self._is_done(number)
        return results

    def _end(self, worker: _Worker) -> None:
        self._ray.kill(worker.actor)

    def _start(self) -> _Worker:
        actor = self._remote.remote(self._make)
        return _Worker(actor, actor.ready.remote(), time.monotonic())


def _refusal(error: Exception) -> str | None:
    """Return what an actor refused; None: the error is another one."""
    if isinstance(cause := getattr(error, "cause", None), InputError):
        return str(cause)
    # Of an actor that could not be made Ray keeps only the text.
    for line in str(error).splitlines():
        _, found, text = line.partition(f"{InputError.__name__}: ")
        if found:
            return text
    return None


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
