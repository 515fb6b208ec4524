# SPDX-License-Identifier: Apache-2.0
"""The folder `cifar-10-batches-py`: CIFAR-10 as its authors distribute it."""

from pathlib import Path
from typing import Any

import numpy as np

from tpufi.data.dataset import CLASSES, Dataset
from tpufi.data.inert_pickle import InertPickleError, as_uint8, load
from tpufi.errors import InputError
from tpufi.messages import one_line, show_path

_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_PIXELS = 3 * 32 * 32
# An original batch has 31 MB.
_MAX_BYTES = 64 * 2**20


def is_cifar_folder(folder: Path) -> bool:
    """Return whether the folder holds the first training batch."""
    return (folder / _TRAIN[0]).is_file()


def read_cifar_folder(folder: Path, name: str) -> Dataset:
    """Read CIFAR-10 from its six pickled batches, without executing any of them.

    Args:
      folder: holds `data_batch_1` to `data_batch_5` and `test_batch`.
      name: name of the data set.

    Returns:
      The data set, images in the order of the batches.

    Raises:
      InputError: a file is missing, damaged, or holds something else.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
      the layout of the rows as described with the data set.
    """
    train = [_read_batch(folder / part) for part in _TRAIN]
    test_images, test_labels = _read_batch(folder / _TEST)
    return Dataset(
        name,
        np.concatenate([images for images, _ in train]),
        np.concatenate([labels for _, labels in train]),
        test_images,
        test_labels,
    )


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    shown = show_path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{shown}: cannot read: {one_line(error)}; expected the files "
            f"{', '.join(_TRAIN)} and {_TEST}; unpack cifar-10-python.tar.gz again"
        ) from None
    try:
        if len(data) > _MAX_BYTES:
            raise InertPickleError(f"it is larger than {_MAX_BYTES} bytes")
        return _contents(load(data))
    except InertPickleError as error:
        raise InputError(
            f"{shown}: not a CIFAR-10 batch: {one_line(error)}; expected the original "
            "file; unpack cifar-10-python.tar.gz again"
        ) from None


def _contents(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    if type(batch) is not dict:
        raise InertPickleError("it holds no dictionary")
    rows = _entry(batch, "data")
    labels = _entry(batch, "labels")
    rows = as_uint8(rows)
    if rows.ndim != 2 or rows.shape[1] != _PIXELS or not len(rows):
        raise InertPickleError(f"data has shape {rows.shape}, not (n, {_PIXELS})")
    if type(labels) is not list or len(labels) != len(rows):
        raise InertPickleError(f"labels is no list of {len(rows)} numbers")
    if not all(type(label) is int and 0 <= label < CLASSES for label in labels):
        raise InertPickleError(f"a label is no number from 0 to {CLASSES - 1}")
    # A row is the red, the green and the blue plane one after the other.
    images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.array(labels, np.int32)


def _entry(batch: dict[Any, Any], key: str) -> Any:
    for spelled in (key.encode(), key):
        if spelled in batch:
            return batch[spelled]
    raise InertPickleError(f"it has no entry {key}")
