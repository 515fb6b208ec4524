# SPDX-License-Identifier: Apache-2.0
"""A workload with every kind of layer that traces in seconds: 8x8 images, one block."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from tpufi.data.batches import Batch
from tpufi.layers import BatchNorm, Dense, GlobalAveragePooling, ReLU, Sequence
from tpufi.models import WORKLOADS
from tpufi.models.resnet18 import basic_block, convolution
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

TINY = Workload(
    name="tiny",
    model=Sequence(
        (
            convolution("conv1", 4, 3),
            BatchNorm("bn1"),
            ReLU("relu1"),
            basic_block("block", 8, 2, dropout=0.15),
            GlobalAveragePooling("pool"),
            Dense("fc", 10),
        )
    ),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.001,
    input_shape=(8, 8, 3),
)


@contextlib.contextmanager
def tiny_as_published(*names: str) -> Iterator[None]:
    """Let this workload have published names, the only ones of injection files."""
    small = dataclasses.replace(TINY, input_shape=(32, 32, 3))
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setitem(WORKLOADS, name, dataclasses.replace(small, name=name))
        yield


def tiny_batch(replicas: int, per_replica: int, seed: int = 0) -> tuple:
    """Return a random batch and the keys of its replicas."""
    rng = np.random.default_rng(seed)
    shape = (replicas, per_replica)
    batch = Batch(
        rng.normal(size=(*shape, 8, 8, 3)).astype(np.float32),
        rng.integers(0, 10, shape).astype(np.int32),
        np.ones(shape, bool),
    )
    return batch, rng.integers(0, 1 << 32, (replicas, 2), dtype=np.uint32)
