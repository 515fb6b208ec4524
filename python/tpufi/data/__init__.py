# SPDX-License-Identifier: Apache-2.0
"""Data sets, and the batches of every step as a pure function of the seed."""

from tpufi.data.augment import Augmentation, augment, draw_augmentation
from tpufi.data.batches import Batch, Batches, Examples
from tpufi.data.dataset import Dataset
from tpufi.data.load import load_dataset
from tpufi.data.text import Text, python_text

__all__ = [
    "Augmentation",
    "Batch",
    "Batches",
    "Dataset",
    "Examples",
    "Text",
    "augment",
    "draw_augmentation",
    "load_dataset",
    "python_text",
]
