# SPDX-License-Identifier: Apache-2.0
"""IDX files of Fashion-MNIST and its kin, good and broken."""

import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from tests.data_files import GREY, LABELS, refused
from tpufi.data import load_dataset

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def idx(array: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, array.ndim))
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def idx_folder(folder: Path, zipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 20), ("t10k", 10)):
        for kind, array in (("images-idx3", GREY), ("labels-idx1", LABELS)):
            data = idx(array[:count] if part == "train" else array[-count:])
            name = f"{part}-{kind}-ubyte"
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_are_padded_to_32_and_given_three_channels(zipped, tmp_path):
    dataset = load_dataset(str(idx_folder(tmp_path / "clothes", zipped)))
    assert dataset.name == "clothes"
    assert dataset.train_images.shape == (20, 32, 32, 3)
    for channel in range(3):
        inner = dataset.test_images[:, 2:30, 2:30, channel]
        np.testing.assert_array_equal(inner, GREY[-10:])
    assert not dataset.train_images[:, :2].any()
    assert not dataset.train_images[:, :, 30:].any()
    assert dataset.train_labels.tolist() == LABELS[:20].tolist()


def test_fashion_mnist_is_taken_from_the_cache_first(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    idx_folder(tmp_path / "tpufi" / "fashion-mnist")
    dataset = load_dataset("fashion-mnist")
    assert dataset.name == "fashion-mnist" and len(dataset.train_labels) == 20


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="dataset-fashion-mnist not installed")
def test_the_debian_package_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = load_dataset("fashion-mnist")
    assert dataset.train_images.shape == (60_000, 32, 32, 3)
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10


@pytest.mark.skipif(DEBIAN.is_dir(), reason="dataset-fashion-mnist is installed")
def test_missing_fashion_mnist_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    refused("fashion-mnist", "apt-get install dataset-fashion-mnist")


BIG = np.array([2**31, 28, 28], ">u4").tobytes()
BROKEN_IDX = {
    "empty": (b"", "starts with nothing"),
    "short_header": (idx(GREY)[:9], "starts with 00000803"),
    "labels_for_images": (idx(LABELS), "starts with 00000801; expected 00000803"),
    "floats": (b"\0\0\x0d\x03" + idx(GREY)[4:], "00000d03"),
    "truncated": (idx(GREY[:20])[:-1], "15679 bytes of content; expected 15680"),
    "too_long": (idx(GREY[:20]) + b"\0", "more bytes of content"),
    "other_size": (idx(GREY[:, :20]), "images of 28x28 or 32x32"),
    "announces_too_much": (b"\0\0\x08\x03" + BIG, "at most 1000000 images"),
    "no_images": (idx(GREY[:0]), "shape (0, 28, 28)"),
    "count_mismatch": (idx(GREY[:19]), "20 labels for 19 images"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("data", "words"), BROKEN_IDX.values(), ids=BROKEN_IDX)
def test_a_broken_idx_file_is_refused(data, words, zipped, tmp_path):
    folder = idx_folder(tmp_path, zipped)
    path = folder / ("train-images-idx3-ubyte" + (".gz" if zipped else ""))
    path.write_bytes(gzip.compress(data) if zipped else data)
    refused(folder, str(folder), words, "-ubyte")


@pytest.mark.parametrize(
    "data",
    [b"no gzip", gzip.compress(idx(GREY))[:-20], gzip.compress(b"x" * 99)[:12]],
    ids=["no_gzip", "truncated", "cut_header"],
)
def test_a_broken_gzip_file_is_refused(data, tmp_path):
    folder = idx_folder(tmp_path)
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(data)
    refused(folder, "t10k-images-idx3-ubyte.gz", "copy it again")


def test_a_missing_idx_file_is_named(tmp_path):
    folder = idx_folder(tmp_path)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    refused(folder, "no t10k-labels-idx1-ubyte or", "add the missing one")


def test_a_file_that_would_unpack_to_a_thousand_times_its_size_is_refused(tmp_path):
    folder = idx_folder(tmp_path / "bomb")
    path = folder / "train-images-idx3-ubyte.gz"
    header = idx(GREY)[:4] + np.array((100_000, 28, 28), ">u4").tobytes()
    path.write_bytes(gzip.compress(header + bytes(100_000 * 28 * 28)))
    begun = time.monotonic()
    refused(folder, f"{path}: 78400000 bytes unpacked; expected at most 67108864")
    assert time.monotonic() - begun < 1
