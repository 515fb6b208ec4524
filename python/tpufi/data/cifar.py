# SPDX-License-Identifier: Apache-2.0
"""The folder `cifar-10-batches-py`: CIFAR-10 as its authors pickled it.

Plain unpickling runs whatever a file names. Here nothing that it names is called: our
own code builds the arrays from the arguments that the file has for numpy.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from tpufi.data.dataset import CLASSES, Dataset
from tpufi.errors import InputError
from tpufi.messages import one_line, show_path

_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_PIXELS = 3 * 32 * 32
# An original batch has 31 MB and uses some 20,000 memos.
_MAX_BYTES = 64 * 2**20
_MAX_MEMO = 1_000_000
# What the pickles of uint8 arrays name, in numpy before and after version 2.
_ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


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


def batch_of(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (n, 32, 32, 3) and labels int32 (n,) of a pickled batch.

    Raises:
      pickle.UnpicklingError: it is damaged, or holds something else.
    """
    try:
        # The memo is an array as long as the largest index. (Lengths beyond the end
        # of the file do not get past `genops`.)
        for opcode, argument, _ in pickletools.genops(data):
            if "PUT" in opcode.name and argument > _MAX_MEMO:
                raise pickle.UnpicklingError(f"it uses memo {argument}")
        batch = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:
        # A damaged pickle can raise nearly anything, MemoryError included.
        raise pickle.UnpicklingError(str(error) or type(error).__name__) from None
    if type(batch) is not dict:
        raise pickle.UnpicklingError("it holds no dictionary")
    rows, labels = _entry(batch, "data"), _entry(batch, "labels")
    rows = _as_uint8(rows)
    if rows.ndim != 2 or rows.shape[1] != _PIXELS or not len(rows):
        raise pickle.UnpicklingError(f"data has shape {rows.shape}, not (n, {_PIXELS})")
    if type(labels) is not list or len(labels) != len(rows):
        raise pickle.UnpicklingError(f"labels is no list of {len(rows)} numbers")
    if not all(type(label) is int and 0 <= label < CLASSES for label in labels):
        raise pickle.UnpicklingError(f"a label is no number from 0 to {CLASSES - 1}")
    # A row is the red, the green and the blue plane one after the other.
    images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.array(labels, np.int32)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> "_Inert":
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module[:40]}.{name[:40]}")
        return _Inert(name)


class _Inert:
    """Something that the file names, or a call of it that does not take place."""

    def __init__(self, name: str, args: tuple | None = None):
        self.name, self.args, self.state = name, args, None

    def __call__(self, *args: Any) -> "_Inert | bytes":
        if self.name == "encode":
            # How Python 3 writes bytes for Python 2: as text, one letter a byte.
            return args[0].encode("latin1")
        return _Inert(self.name, args)

    def __setstate__(self, state: Any) -> None:
        if self.args is None:
            raise pickle.UnpicklingError("it changes a function")
        self.state = state


def _as_uint8(value: Any) -> np.ndarray:
    try:
        if value.name == "_reconstruct":
            _, shape, dtype, column_major, content = value.state
        else:
            content, dtype, shape, order = value.args
            column_major = order != "C"
        is_bytes = dtype.args[0] in ("u1", b"u1") and not column_major
        array = np.frombuffer(content, np.uint8).reshape(shape) if is_bytes else None
    except (AttributeError, IndexError, TypeError, ValueError):
        raise pickle.UnpicklingError("an array is not what numpy writes") from None
    if array is None:
        raise pickle.UnpicklingError("an array is not of bytes in row-major order")
    return array


def _entry(batch: dict[Any, Any], key: str) -> Any:
    for spelled in (key.encode(), key):
        if spelled in batch:
            return batch[spelled]
    raise pickle.UnpicklingError(f"it has no entry {key}")


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
            raise pickle.UnpicklingError(f"it is larger than {_MAX_BYTES} bytes")
        return batch_of(data)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{shown}: not a CIFAR-10 batch: {one_line(error)}; expected the original "
            "file; unpack cifar-10-python.tar.gz again"
        ) from None
