# SPDX-License-Identifier: Apache-2.0
"""From the name or path of a data set to its arrays."""

import os
import re
from pathlib import Path
from typing import Literal, overload

import numpy as np

from tpufi.data.batches import Examples
from tpufi.data.cifar import is_cifar_folder, read_cifar_folder
from tpufi.data.dataset import Dataset
from tpufi.data.idx_files import is_idx_folder, read_idx_folder
from tpufi.data.npz_file import read_npz
from tpufi.data.synthetic import DEFAULT_IMAGES, synthetic
from tpufi.data.text import Text, python_text, read_text
from tpufi.errors import InputError
from tpufi.messages import one_line, quote, show_path

FORMS = (
    "fashion-mnist, cifar10, synthetic, synthetic:N, python-text, the path of a folder "
    "cifar-10-batches-py, of a folder with four IDX files, or of an .npz or .txt file"
)

# Where Debian's package dataset-fashion-mnist puts its files.
_DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@overload
def load_dataset(spec: Literal["fashion-mnist", "cifar10", "synthetic"]) -> Dataset: ...


@overload
def load_dataset(spec: Literal["python-text"]) -> Text: ...


@overload
def load_dataset(spec: str) -> Examples: ...


def load_dataset(spec: str) -> Examples:
    """Load a data set by its name or path.

    Args:
      spec: `fashion-mnist` (the cache folder, else Debian's package), `cifar10`
        (through Keras, which downloads it once), `synthetic` or `synthetic:N`,
        `python-text`, or the path of a folder `cifar-10-batches-py`, of a folder with
        four IDX files, of an `.npz` file with x_train, y_train, x_test, y_test, or of a
        `.txt` file.

    Returns:
      The data set.

    Raises:
      InputError: the spec is unknown, or its data are missing or malformed.

    Example:
      >>> load_dataset("synthetic:100").train_images.shape
      (100, 32, 32, 3)
    """
    if spec == "fashion-mnist":
        return _fashion_mnist()
    if spec == "cifar10":
        return _cifar10()
    if spec == "synthetic":
        return synthetic()
    if spec.startswith("synthetic:"):
        number = spec.removeprefix("synthetic:")
        if not re.fullmatch(r"[0-9]{1,9}", number):
            raise InputError(
                f"data set {quote(spec)}: {quote(number)} is no number of images; "
                f"write synthetic:{DEFAULT_IMAGES} for example"
            )
        return synthetic(int(number))
    if spec == "python-text":
        return python_text()
    return _from_path(spec)


def _from_path(spec: str) -> Examples:
    path = Path(os.path.expanduser(spec))
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):
        is_folder = is_file = False
    if not spec or not (is_folder or is_file):
        raise InputError(
            f"unknown data set {quote(spec)}, and no file or folder of that name; "
            f"expected {FORMS}"
        )
    name = path.resolve().name
    if is_file:
        if path.suffix == ".npz":
            return read_npz(path, name)
        if path.suffix == ".txt":
            return read_text(path, name)
        raise InputError(
            f"{show_path(path)}: is no .npz file and no .txt file; expected {FORMS}; "
            "name the unpacked folder or convert the file"
        )
    for folder in (path, path / "cifar-10-batches-py"):
        if is_cifar_folder(folder):
            return read_cifar_folder(folder, name)
    if is_idx_folder(path):
        return read_idx_folder(path, name)
    raise InputError(
        f"{show_path(path)}: holds neither data_batch_1 nor train-images-idx3-ubyte; "
        f"expected {FORMS}; name the folder that holds the files"
    )


def _fashion_mnist() -> Dataset:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cached = Path(cache) / "tpufi" / "fashion-mnist"
    for folder in (cached, _DEBIAN_FASHION_MNIST):
        if is_idx_folder(folder):
            return read_idx_folder(folder, "fashion-mnist")
    raise InputError(
        f"fashion-mnist: no files in {show_path(cached)} or {_DEBIAN_FASHION_MNIST}; "
        "expected the four IDX files; run apt-get install dataset-fashion-mnist, or "
        "put the files into the first folder"
    )


def _cifar10() -> Dataset:
    remedy = "or name the path of a folder cifar-10-batches-py"
    try:
        # Here, not above: Keras takes seconds to import and few runs need it.
        from keras.datasets import cifar10

        (train_images, train_labels), (test_images, test_labels) = cifar10.load_data()
    except Exception as error:
        # Keras raises plain Exception when the download fails.
        raise InputError(
            f"cifar10: Keras cannot load it: {one_line(error)}; expected a download; "
            f"check the network, {remedy}"
        ) from None
    return Dataset(
        "cifar10",
        train_images,
        train_labels.reshape(-1).astype(np.int32),
        test_images,
        test_labels.reshape(-1).astype(np.int32),
    )
