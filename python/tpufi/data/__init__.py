# SPDX-License-Identifier: Apache-2.0
"""Data sets, and the batches of every step as a pure function of the seed."""

from tpufi.data.augment import Augmentation, augment, draw_augmentation
from tpufi.data.batches import Batch, Batches
from tpufi.data.dataset import Dataset
from tpufi.data.examples import Examples
from tpufi.data.load import load_dataset
from tpufi.data.order import batch_indices, epoch_indices, steps_per_epoch
from tpufi.data.python_text import python_text
from tpufi.data.text import Text

__all__ = [
    "Augmentation",
    "Batch",
    "Batches",
    "Dataset",
    "Examples",
    "Text",
    "augment",
    "batch_indices",
    "draw_augmentation",
    "epoch_indices",
    "load_dataset",
    "python_text",
    "steps_per_epoch",
]
