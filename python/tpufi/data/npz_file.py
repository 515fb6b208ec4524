# SPDX-License-Identifier: Apache-2.0
"""An `.npz` file with the arrays x_train, y_train, x_test, y_test."""

from pathlib import Path

import numpy as np

from tpufi.data.dataset import CLASSES, IMAGE_SHAPE, Dataset
from tpufi.data.npz_arrays import read_arrays
from tpufi.errors import InputError
from tpufi.messages import show_path
from tpufi.untrusted import reading

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_REMEDY = (
    f"expected an .npz file with {', '.join(_KEYS)}; write it again with numpy.savez"
)


def read_npz(path: Path, name: str) -> Dataset:
    """Read a data set from a numpy archive; nothing in it is unpickled.

    Args:
      path: the archive; images uint8 (n, 32, 32, 3), labels integers (n,) or (n, 1).
      name: name of the data set.

    Returns:
      The data set.

    Raises:
      InputError: the file is no archive, an array is missing or of another kind.
    """
    shown = show_path(path)

    def check(key: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        if key[0] == "x" and (dtype != np.uint8 or shape[1:] != IMAGE_SHAPE):
            raise InputError(
                f"{shown}: {key} is {dtype} {shape}; expected uint8 (n, 32, 32, 3), "
                "channels last; convert it"
            )

    with reading(path, _REMEDY):
        arrays = read_arrays(path, _KEYS, check)
    images, labels = {}, {}
    for part in ("train", "test"):
        images[part] = arrays[f"x_{part}"]
        labels[part] = _labels(arrays[f"y_{part}"], len(images[part]), part, shown)
    try:
        return Dataset(
            name, images["train"], labels["train"], images["test"], labels["test"]
        )
    except InputError as error:
        raise InputError(f"{shown}: {error}") from None


def _labels(labels: np.ndarray, count: int, part: str, shown: str) -> np.ndarray:
    if labels.dtype.kind not in "iu" or labels.shape not in ((count,), (count, 1)):
        raise InputError(
            f"{shown}: y_{part} is {labels.dtype} {labels.shape}; expected integers "
            f"({count},) or ({count}, 1), one for each image; convert it"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= CLASSES):
        raise InputError(
            f"{shown}: y_{part} runs from {labels.min()} to {labels.max()}; expected 0 "
            f"to {CLASSES - 1}; number the classes so"
        )
    return labels.reshape(-1).astype(np.int32)
