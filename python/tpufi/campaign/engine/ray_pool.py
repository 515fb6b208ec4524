# SPDX-License-Identifier: Apache-2.0
"""Workers on the machines of a Ray cluster; lost ones are replaced."""

from collections.abc import Iterator, Mapping
from typing import Any

from tpufi.campaign.engine import worker
from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.unplanned import CRASHED, HUNG
from tpufi.errors import InputError
from tpufi.extras import optional
from tpufi.messages import one_line

_LONGEST_REASON = 300


class RayPool(Pool):
    """Actors of a Ray cluster.

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
        make: worker.RunnerFactory,
        size: int,
        timeout: float,
        start_timeout: float,
        resources: Mapping[str, float],
        address: str | None = None,
    ):
        ray = connected(address)
        others = {k: v for k, v in resources.items() if k not in ("CPU", "GPU")}
        actor = ray.remote(
            num_cpus=resources.get("CPU", 0),
            num_gpus=resources.get("GPU", 0),
            resources=others,
            max_restarts=0,
        )(worker.RunnerHost)
        self._how = ray, actor, make, timeout, start_timeout
        super().__init__(size)

    def _start(self) -> worker.Worker:
        return _RayWorker(*self._how)


class _RayWorker(worker.Worker):
    """An actor; it does its calls one after the other, as they were made."""

    def __init__(
        self,
        ray: Any,
        actor: Any,
        make: worker.RunnerFactory,
        timeout: float,
        start_timeout: float,
    ):
        self._ray, self._timeout, self._start_timeout = ray, timeout, start_timeout
        self._actor = actor.remote()
        self._made = self._actor.make.remote(make)

    def ready(self) -> InputError | None:
        return self._answer(self._made, self._start_timeout)

    def run(self, block: Block) -> Iterator[worker.Answer]:
        calls = [self._actor.run.remote(n, block.attempt) for n in block.numbers]
        for call in calls:
            yield self._answer(call, self._timeout)

    def kill(self) -> None:
        self._ray.kill(self._actor)

    def _answer(self, call: Any, limit: float) -> worker.Answer | None:
        try:
            return self._ray.get(call, timeout=limit)
        except self._ray.exceptions.GetTimeoutError:
            raise worker.WorkerLost(HUNG, f"no result for {limit:g} s") from None
        except self._ray.exceptions.RayError as error:
            text = one_line(error)[:_LONGEST_REASON]
            raise worker.WorkerLost(CRASHED, text) from None


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
