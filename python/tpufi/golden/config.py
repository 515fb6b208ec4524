# SPDX-License-Identifier: Apache-2.0
"""What determines a golden run, and the session that trains it."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tpufi.data import Batches, Examples, load_dataset
from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.models import any_workload
from tpufi.training import Program, Session
from tpufi.training.devices import DEVICES, Placement
from tpufi.training.distributed import DistributedProgram
from tpufi.training.strategies import make_program


@dataclasses.dataclass(frozen=True)
class Start:
    """The state of another golden run in which a run begins, instead of at step 0.

    The new run may take the state as one after more (or fewer) steps than were done:
    schedule and optimiser go by the number of the step, and a long training can then be
    represented by a short one.

    Args:
      step: steps that count as done; the new run goes on with this number.
      state: digest of the state, `step` as its number of updates.
      source_step: steps that the other run had done.
      source_state: digest of the state there.
      run: configuration of the other run.
    """

    step: int
    state: str
    source_step: int
    source_state: str
    run: "GoldenConfig"


@dataclasses.dataclass(frozen=True)
class GoldenConfig:
    """The choices that determine every bit of a golden run.

    Args:
      workload: name of the workload, or `file.py:NAME` of the user.
      data: data set, as `tpufi.data.load_dataset` takes it.
      seed: seed of weights, order, augmentation and dropout.
      replicas: data-parallel replicas.
      per_replica: images of a replica in a step.
      learning_rate: initial learning rate.
      strategy: where replicas run, one of `tpufi.training.strategies.STRATEGIES`; sums
        are rounded in another order elsewhere, so it is part of the run.
      steps_per_epoch: steps of an epoch; None: one pass over the data.
      start: where the run begins; None: at step 0, with the weights of the seed.
      device: where it is trained, one of `tpufi.training.devices.DEVICES`; the strategy
        `tpu` implies `tpu`. Each rounds in its own way, and so does a compiled program.
      compiled: whether XLA compiles the step; on a GPU and a TPU it always does.
    """

    workload: str
    data: str
    seed: int = 123
    replicas: int = 8
    per_replica: int = 128
    learning_rate: float = 0.001
    strategy: str = "virtual"
    steps_per_epoch: int | None = None
    start: Start | None = None
    device: str = "cpu"
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.strategy == "tpu":
            object.__setattr__(self, "device", "tpu")
        if self.device not in DEVICES:
            raise InputError(
                f"device {quote(self.device)} is unknown; known: {', '.join(DEVICES)}"
            )
        if self.device != "cpu":
            object.__setattr__(self, "compiled", True)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(
                f"learning_rate {self.learning_rate} is not a positive number; the "
                "workloads start with 0.001 to 0.1"
            )
        if self.steps_per_epoch is not None and self.steps_per_epoch < 1:
            raise InputError(
                f"steps_per_epoch {self.steps_per_epoch} is below 1; the published "
                "injections count epochs of 49 steps"
            )
        if self.start is not None and self.start.run.workload != self.workload:
            raise InputError(
                f"a golden run of {self.workload} cannot start from a run of "
                f"{self.start.run.workload}; name a run of {self.workload}"
            )

    @property
    def placement(self) -> Placement:
        """Where and how it is trained."""
        return Placement(self.device, self.compiled)

    @property
    def first_step(self) -> int:
        """Number of the first step."""
        return self.start.step if self.start else 0

    def session(
        self,
        dataset: Examples | None = None,
        program: Program | DistributedProgram | None = None,
        sites: Iterable[str] | None = None,
    ) -> Session:
        """Return the session.

        Args:
          dataset: the data set; default: it is loaded.
          program: a compiled program of the same workload, replicas and images;
            default: a new one.
          sites: names of the sites that faults may name, of a new program; None: all.

        Raises:
          InputError: the data set cannot be loaded, or the device is not here.
        """
        program = program or make_program(
            any_workload(self.workload),
            self.strategy,
            self.replicas,
            self.per_replica,
            compiled=self.compiled,
            sites=sites,
            device=self.device,
        )
        dataset = dataset if dataset is not None else load_dataset(self.data)
        size = (self.replicas, self.per_replica)
        batches = Batches(dataset, self.seed, *size, steps=self.steps_per_epoch)
        return Session(program, batches, self.seed, self.learning_rate)


def read_config(entries: dict) -> GoldenConfig:
    """Return the configuration that `dataclasses.asdict` wrote.

    Raises:
      TypeError: an entry is missing, unknown, or of another type.
    """
    for field in dataclasses.fields(GoldenConfig):
        value = entries.get(field.name, field.default)
        kind = int | float if field.type is float else field.type
        if field.name != "start" and not isinstance(value, kind):
            raise TypeError(f"{field.name} is {quote(repr(value))}")
    start = entries.get("start")
    if start is not None:
        start = Start(**{**start, "run": read_config(start["run"])})
    return GoldenConfig(**{**entries, "start": start})


def environment(session: Session) -> dict[str, str]:
    """Return what else the bits of a run depend on, by name."""
    sites = "\n".join(site.name for site in session.program.table)
    return {
        "data_digest": session.batches.dataset.digest,
        "sites_digest": hashlib.sha256(sites.encode()).hexdigest(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "cores": str(len(os.sched_getaffinity(0))),
    }
