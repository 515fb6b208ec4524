# SPDX-License-Identifier: Apache-2.0
"""Folders of four IDX files, plain or gzip, as (Fashion-)MNIST is distributed."""

import gzip
import os
from pathlib import Path

import numpy as np

from tpufi.data.dataset import Dataset
from tpufi.errors import InputError
from tpufi.messages import show_path
from tpufi.untrusted import check_unpacked, reading

_PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_MAX_IMAGES = 1_000_000


def is_idx_folder(folder: Path) -> bool:
    """Return whether the folder holds training images in an IDX file."""
    return _find(folder, _PARTS[0]) is not None


def read_idx_folder(folder: Path, name: str) -> Dataset:
    """Read a data set from the four IDX files of MNIST and its kin.

    Images of 28x28 get 2 pixels of zeros on every side; grey becomes three equal
    channels.

    Args:
      folder: holds `train-images-idx3-ubyte` and so on, plain or with `.gz`.
      name: name of the data set.

    Returns:
      The data set.

    Raises:
      InputError: a file is missing or malformed; the message names it.

    Source: the IDX format as described with the MNIST database (LeCun, Cortes, Burges).
    """
    train, test = (_images_and_labels(folder, which) for which in ("train", "t10k"))
    return Dataset(name, *train, *test)


def _images_and_labels(folder: Path, which: str) -> tuple[np.ndarray, np.ndarray]:
    images = _read_idx(_file(folder, f"{which}-images-idx3-ubyte"), rank=3)
    path = _file(folder, f"{which}-labels-idx1-ubyte")
    labels = _read_idx(path, rank=1)
    if len(labels) != len(images):
        raise InputError(
            f"{show_path(path)}: {len(labels)} labels for {len(images)} images; "
            "expected one for each; take both files from one data set"
        )
    border = (32 - images.shape[1]) // 2
    padded = np.pad(images, ((0, 0), (border, border), (border, border)))
    return np.repeat(padded[..., np.newaxis], 3, axis=3), labels.astype(np.int32)


def _file(folder: Path, part: str) -> Path:
    path = _find(folder, part)
    if path is None:
        raise InputError(
            f"{show_path(folder)}: no {part} or {part}.gz; expected the four files "
            f"{', '.join(_PARTS)}; add the missing one"
        )
    return path


def _find(folder: Path, part: str) -> Path | None:
    for path in (folder / part, folder / f"{part}.gz"):
        if path.is_file():
            return path
    return None


def _read_idx(path: Path, rank: int) -> np.ndarray:
    shown = show_path(path)
    remedy = "expected an IDX file; copy it again"
    with reading(shown, remedy):
        packed = os.stat(path).st_size
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            header = file.read(4 + 4 * rank)
            if header[:4] != bytes((0, 0, 8, rank)) or len(header) != 4 + 4 * rank:
                raise InputError(
                    f"{shown}: starts with {header[:4].hex() or 'nothing'}; expected "
                    f"000008{rank:02x}, bytes in {rank} dimensions; take the original "
                    "file"
                )
            shape = tuple(int(n) for n in np.frombuffer(header[4:], ">u4"))
            if not 0 < shape[0] <= _MAX_IMAGES or shape[1:] not in (
                (),
                (28, 28),
                (32, 32),
            ):
                raise InputError(
                    f"{shown}: shape {shape}; expected at most {_MAX_IMAGES} images of "
                    "28x28 or 32x32, or their labels; take the original file"
                )
            size = int(np.prod(shape))
            check_unpacked(shown, size, packed)
            # One byte more than announced shows a file that is too long.
            data = file.read(size + 1)
    if len(data) != size:
        found = "more" if len(data) > size else f"{len(data)}"
        raise InputError(
            f"{shown}: {found} bytes of content; expected {size} for shape {shape}; "
            "copy the file again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)
