# SPDX-License-Identifier: Apache-2.0
"""Naming data sets: specs, `.npz` files, Keras."""

import os
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data_files import COLOUR, GREY, LABELS, Malicious, refused
from tpufi.data import load_dataset

# ---- names


@pytest.mark.parametrize(
    "spec", ["mnist", "", "CIFAR10", "no/such/file", "a\0b", "a\nb"]
)
def test_an_unknown_spec_lists_the_known_forms(spec):
    refused(
        spec, "unknown data set", "fashion-mnist", "synthetic:N", "cifar-10-batches-py"
    )


@pytest.mark.parametrize("number", ["", "x", "-5", "1e3", "5", "999999999", "9" * 50])
def test_a_wrong_number_of_synthetic_images_is_refused(number):
    refused(f"synthetic:{number}", "synthetic:8192 for example")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "cifar.tar.gz").write_bytes(b"x")
    refused(tmp_path / "cifar.tar.gz", "is no .npz file", "unpacked folder")


def test_an_empty_folder_is_refused(tmp_path):
    refused(tmp_path, str(tmp_path), "data_batch_1", "train-images-idx3-ubyte")


# ---- .npz files


def npz(path: Path, **changes) -> Path:
    arrays = {
        "x_train": COLOUR[:20],
        "y_train": LABELS[:20],
        "x_test": COLOUR[20:],
        "y_test": LABELS[20:, np.newaxis],
    } | changes
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def test_an_npz_file_gives_its_arrays(tmp_path):
    dataset = load_dataset(str(npz(tmp_path / "part.npz")))
    np.testing.assert_array_equal(dataset.train_images, COLOUR[:20])
    assert dataset.test_labels.tolist() == LABELS[20:].tolist()
    assert dataset.name == "part.npz"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_test": None}, "has no x_test, only 'x_train'"),
        ({"x_test": None, "a\nb\x01": LABELS}, r"'a\nb\x01'"),
        ({"x_train": COLOUR[:20].astype(np.float32)}, "x_train is float32"),
        ({"x_train": COLOUR[:20].transpose(0, 3, 1, 2)}, "channels last"),
        ({"x_test": GREY[20:]}, "x_test is uint8 (10, 28, 28)"),
        ({"y_train": LABELS[:19]}, "y_train is uint8 (19,)"),
        ({"y_train": LABELS[:20] / 2}, "y_train is float64"),
        ({"y_train": LABELS[:20].astype(np.int64) - 10}, "expected 0 to 9"),
        ({"y_train": LABELS[:20].astype(object)}, "cannot read"),
        ({"x_test": COLOUR[:0], "y_test": LABELS[:0]}, "n > 0"),
    ],
)
def test_an_npz_file_with_a_wrong_array_is_refused(changes, words, tmp_path):
    path = npz(tmp_path / "wrong.npz", **changes)
    refused(path, f"{path}: ", words)


def test_an_object_array_is_never_unpickled(tmp_path):
    marker = tmp_path / "marker"
    evil = np.array([Malicious(os.system, f"touch {marker}")], object)
    refused(npz(tmp_path / "evil.npz", y_train=evil), "cannot read")
    assert not marker.exists()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY", pickle.dumps([1])])
def test_a_file_that_is_no_archive_is_refused(data, tmp_path):
    path = tmp_path / "broken.npz"
    path.write_bytes(data)
    refused(path, "cannot read", "numpy.savez")


def test_an_archive_of_another_packing_or_far_larger_unpacked_is_refused(
    tmp_path,
):
    path = tmp_path / "bomb.npz"
    # 150 MiB of nothing in 150 KiB: as CIFAR-10 would be, were it empty.
    np.savez_compressed(
        path,
        x_train=np.zeros((50_000, 32, 32, 3), np.uint8),
        y_train=np.zeros(50_000, np.uint8),
        x_test=COLOUR,
        y_test=LABELS,
    )
    refused(path, "bytes unpacked; expected at most 67108864 of a file of")
    good = npz(tmp_path / "good.npz")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", 14) as new:
        for entry in old.namelist():
            new.writestr(entry, old.read(entry))
    refused(path, "'x_train.npy' is packed or encrypted otherwise than by numpy")


def test_a_single_array_and_a_cut_archive_are_refused(tmp_path):
    path = tmp_path / "single.npz"
    with open(path, "wb") as file:
        np.save(file, COLOUR)
    refused(path, "single array")
    whole = npz(tmp_path / "whole.npz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "cannot read")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    refused(path, "cannot read")


# ---- Keras


def keras_that(load_data, monkeypatch) -> None:
    module = types.SimpleNamespace(cifar10=types.SimpleNamespace(load_data=load_data))
    monkeypatch.setitem(sys.modules, "keras.datasets", module)


def test_cifar10_comes_from_keras(monkeypatch):
    pair = (COLOUR, LABELS[:, np.newaxis])
    keras_that(lambda: (pair, pair), monkeypatch)
    dataset = load_dataset("cifar10")
    assert dataset.train_labels.dtype == np.int32
    assert dataset.train_labels.tolist() == LABELS.tolist()


def test_a_failed_download_names_the_way_out(monkeypatch):
    def fail():
        raise Exception("URL fetch failure:\n no network")

    keras_that(fail, monkeypatch)
    refused(
        "cifar10", "fetch failure: no network", "path of a folder cifar-10-batches-py"
    )
