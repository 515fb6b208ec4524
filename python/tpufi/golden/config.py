# SPDX-License-Identifier: Apache-2.0
"""What determines a golden run, and the session that trains it."""

import dataclasses
import hashlib
import math
import os

import numpy as np
import tensorflow as tf

from tpufi.data import Batches, Dataset, load_dataset
from tpufi.errors import InputError
from tpufi.models import workload
from tpufi.training import Session
from tpufi.training.strategies import make_program


@dataclasses.dataclass(frozen=True)
class GoldenConfig:
    """The choices that determine every bit of a golden run.

    Args:
      workload: name of the workload.
      data: data set, as `tpufi.data.load_dataset` takes it.
      seed: seed of weights, order, augmentation and dropout.
      replicas: data-parallel replicas.
      per_replica: images of a replica in a step.
      learning_rate: initial learning rate.
      strategy: where replicas run, one of `tpufi.training.strategies.STRATEGIES`; sums
        are rounded in another order elsewhere, so it is part of the run.
    """

    workload: str
    data: str
    seed: int = 123
    replicas: int = 8
    per_replica: int = 128
    learning_rate: float = 0.001
    strategy: str = "virtual"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(
                f"learning_rate {self.learning_rate} is not a positive number; the "
                "workloads start with 0.001 to 0.1"
            )

    def session(self, dataset: Dataset | None = None) -> Session:
        """Return the session, loading the data set unless it is given."""
        program = make_program(
            workload(self.workload), self.strategy, self.replicas, self.per_replica
        )
        dataset = dataset if dataset is not None else load_dataset(self.data)
        batches = Batches(dataset, self.seed, self.replicas, self.per_replica)
        return Session(program, batches, self.seed, self.learning_rate)


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
