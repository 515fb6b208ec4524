# SPDX-License-Identifier: Apache-2.0
"""A small workload of like layers, and trees of objects with its weights."""

import pathlib

import tensorflow as tf

from tests.artefact_models import Part, Weights, conv
from tpufi.layers import Bias, Conv2D, GlobalAveragePooling, Sequence
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

# Four convolutions of which three look alike.
SMALL = Workload(
    name="small",
    model=Sequence(
        (
            *(part for i in range(4) for part in (
                Conv2D(f"a_conv{i}", 4, 3), Bias(f"a_conv{i}_bias"))),
            GlobalAveragePooling("pool"),
        )
    ),
    optimizer=Adam(),
    schedule=LinearDecay(0.1, 1),
    learning_rate=0.1,
    classes=4,
)  # fmt: skip


def small_parts(w: Weights) -> dict[str, Part]:
    """Return the convolutions of `SMALL` by attribute."""
    return {f"conv{i}": conv(w, f"a_conv{i}", 3, 4 if i else 3, 4) for i in range(4)}


def write(root: tf.Module, prefix: pathlib.Path) -> str:
    """Write a checkpoint with the root's attributes first in its paths."""
    return tf.train.Checkpoint(root).write(str(prefix))
