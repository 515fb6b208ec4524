# SPDX-License-Identifier: Apache-2.0
"""An `.npz` file with the arrays x_train, y_train, x_test, y_test."""

from pathlib import Path

import numpy as np

from tpufi.data.dataset import CLASSES, IMAGE_SHAPE, Dataset
from tpufi.errors import InputError
from tpufi.messages import one_line, quote, show_path

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_MAX_BYTES = 4 * 2**30


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
    try:
        arrays = _read_arrays(path, shown)
    except InputError:
        raise
    except Exception as error:
        # numpy raises nearly anything for what is damaged, or no archive at all.
        raise InputError(
            f"{shown}: cannot read: {one_line(error)}; expected an .npz file with "
            f"{', '.join(_KEYS)}; write it again with numpy.savez"
        ) from None
    images, labels = {}, {}
    for part in ("train", "test"):
        images[part] = arrays[f"x_{part}"]
        if images[part].dtype != np.uint8 or images[part].shape[1:] != IMAGE_SHAPE:
            raise InputError(
                f"{shown}: x_{part} is {images[part].dtype} {images[part].shape}; "
                "expected uint8 (n, 32, 32, 3), channels last; convert it"
            )
        labels[part] = _labels(arrays[f"y_{part}"], len(images[part]), part, shown)
    try:
        return Dataset(
            name, images["train"], labels["train"], images["test"], labels["test"]
        )
    except InputError as error:
        raise InputError(f"{shown}: {error}") from None


def _read_arrays(path: Path, shown: str) -> dict[str, np.ndarray]:
    archive = np.load(path, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array")
    with archive:
        missing = [key for key in _KEYS if key not in archive]
        if missing:
            found = ", ".join(quote(key) for key in archive.files[:8])
            raise InputError(
                f"{shown}: has no {', '.join(missing)}, only "
                f"{found or 'nothing'}; expected the arrays "
                f"{', '.join(_KEYS)}; name them so"
            )
        size = sum(entry.file_size for entry in archive.zip.infolist())
        if size > _MAX_BYTES:
            raise InputError(
                f"{shown}: {size} bytes unpacked; expected at most {_MAX_BYTES}; save "
                "fewer images"
            )
        return {key: archive[key] for key in _KEYS}


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
