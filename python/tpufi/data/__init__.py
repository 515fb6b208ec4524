# SPDX-License-Identifier: Apache-2.0
"""Data sets, and the batches of every step as a pure function of the seed."""

from tpufi.data.augment import Augmentation, augment, draw_augmentation
from tpufi.data.batches import Batch, Batches
from tpufi.data.dataset import Dataset
from tpufi.data.load import load_dataset
from tpufi.data.order import batch_indices, epoch_indices, steps_per_epoch

__all__ = [
    "Augmentation",
    "Batch",
    "Batches",
    "Dataset",
    "augment",
    "batch_indices",
    "draw_augmentation",
    "epoch_indices",
    "load_dataset",
    "steps_per_epoch",
]
