# SPDX-License-Identifier: Apache-2.0
"""A synthetic data set: ten patterns under noise, the same on every machine."""

import numpy as np

from tpufi.data.dataset import CLASSES, Dataset
from tpufi.errors import InputError
from tpufi.random import derive, words

DEFAULT_IMAGES = 8192
MAX_IMAGES = 200_000

_SEED = 0
_CELLS = 8
_CELL = 32 // _CELLS


def synthetic(train_images: int = DEFAULT_IMAGES) -> Dataset:
    """Make images of ten classes that a small network can learn.

    A class is a coarse random pattern of 8x8 colour cells, symmetric under both flips
    so that augmentation keeps it; an image is its class pattern (0 to 127) plus
    uniform noise (0 to 127) on every pixel. Labels go round the classes.

    Args:
      train_images: number of training images; a quarter as many are for the test, and
        at least 10.

    Returns:
      The data set, a pure function of the number.

    Raises:
      InputError: the number is below 10 or above 200000.
    """
    if not CLASSES <= train_images <= MAX_IMAGES:
        raise InputError(
            f"synthetic:{train_images}: expected {CLASSES} to {MAX_IMAGES} images; "
            f"write synthetic:{DEFAULT_IMAGES} for example"
        )
    patterns = _patterns()
    arrays = []
    for part, count in (
        ("train", train_images),
        ("test", max(CLASSES, train_images // 4)),
    ):
        labels = np.arange(count, dtype=np.int32) % CLASSES
        shape = (count, 32, 32, 3)
        noise = _bytes(shape, "synthetic", part, "noise") >> np.uint8(1)
        arrays += [patterns[labels] + noise, labels]
    return Dataset(f"synthetic:{train_images}", *arrays)


def _patterns() -> np.ndarray:
    quarter = _CELLS // 2
    shape = (CLASSES, quarter, quarter, 3)
    corner = _bytes(shape, "synthetic", "patterns") >> np.uint8(1)
    top = np.concatenate([corner, corner[:, :, ::-1]], axis=2)
    cells = np.concatenate([top, top[:, ::-1]], axis=1)
    return cells.repeat(_CELL, axis=1).repeat(_CELL, axis=2)


def _bytes(shape: tuple[int, ...], *path: str) -> np.ndarray:
    size = int(np.prod(shape))
    stream = words(derive(_SEED, *path), 0, -(-size // 8))
    # Little-endian by definition, so that other machines make the same images.
    return stream.astype("<u8").view(np.uint8)[:size].reshape(shape)
