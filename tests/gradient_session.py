# SPDX-License-Identifier: Apache-2.0
"""A training run of the tiny workload on drawn images, for comparisons of gradients."""

import dataclasses

import numpy as np

from tests.tiny_workload import TINY, tiny_batch
from tpufi.data.batches import Batch
from tpufi.random import derive
from tpufi.training import Program, Session
from tpufi.workload import Workload

REPLICAS, PER_REPLICA, STEPS, SEED = 3, 4, 5, 7


class DrawnImages:
    """What a session asks of a data set."""

    name = "drawn"
    example_dtype, example_shape = TINY.input_dtype, TINY.input_shape


class DrawnBatches:
    """Batches of 8x8 images, a pure function of (epoch, step)."""

    dataset = DrawnImages()
    steps = STEPS

    def train(self, epoch: int, step: int) -> Batch:
        return tiny_batch(REPLICAS, PER_REPLICA, seed=epoch * STEPS + step)[0]


def session(workload: Workload = TINY, **changes: object) -> Session:
    """Return a run of the tiny workload, perhaps with other fields."""
    workload = dataclasses.replace(workload, **changes)
    program = Program(workload, REPLICAS, PER_REPLICA)
    return Session(program, DrawnBatches(), SEED, workload.learning_rate)


def dropout_key(number: int, replica: int) -> np.ndarray:
    """Return the key of a step of one replica, as `Session` derives it."""
    epoch, step = divmod(number, STEPS)
    return np.array(derive(SEED, "dropout", epoch, step, replica), np.uint32)
