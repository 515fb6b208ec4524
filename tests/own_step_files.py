# SPDX-License-Identifier: Apache-2.0
"""A small training step of a user, as a file and in Python."""

import pathlib

TRAIN = """
import numpy as np
import tensorflow as tf
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.elements import Groups
from tpufi.faults.values import FlipBits


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 8, 6)).astype(np.float32)
    return [(a, a[:, :2].argmax(-1).astype(np.int32)) for a in x]


def make():
    tf.keras.utils.set_random_seed(5)
    layers = tf.keras.layers
    model = tf.keras.Sequential([
        tf.keras.Input((6,)), layers.Dense(5, activation="relu", name="hidden"),
        layers.Dense(2, name="scores"),
    ], name="net")
    adam = tf.keras.optimizers.Adam(name="adam")
    model.compile(adam, tf.keras.losses.SparseCategoricalCrossentropy(True))
    return model, data()


def large(metrics):
    return metrics["loss"] > 0.8 or metrics["loss"] != metrics["loss"]


TOP = FaultModel("TOP_BIT", "output", Groups(4), FlipBits(field="exponent"))
"""
PLAN = {
    "program": "train.py:make",
    "seed": "3",
    "experiments": "40",
    "steps": "2-9",
    "horizon": "4",
    "durations": "1-2",
    "faults": "[FLIP, RANDOM_VALUE, STALE, CHANNEL_ZERO, N64_WT, 'train.py:TOP']",
    "monitors": "[loss above 3, gradient_norm above 50, not finite, 'train.py:large']",
    "threads": "1",
}


def write_files(folder: pathlib.Path, **changes: str) -> pathlib.Path:
    """Write program and plan; return the path of the plan."""
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(TRAIN)
    return write_plan(folder, **changes)


def write_plan(folder: pathlib.Path, **changes: str) -> pathlib.Path:
    """Write the plan beside its files; return its path."""
    entries = {**PLAN, **changes}
    lines = [f"{key}: {value}" for key, value in entries.items() if value]
    path = folder / "plan.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path
