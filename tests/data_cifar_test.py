# SPDX-License-Identifier: Apache-2.0
"""The pickled batches of CIFAR-10: good, broken and malicious ones."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data_files import COLOUR, LABELS, Malicious, refused
from tpufi.data import cifar, load_dataset


def rows(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), -1))


def python2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """The opcodes that Python 2 and numpy 1 wrote into the original batches."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return (
            b"K" + bytes([value]) if value < 256 else b"M" + value.to_bytes(2, "little")
        )

    dtype = (
        b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\x01\x87R"
        b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"
        + text(b"b")
        + b"\x87R(K\x01"
        + number(data.shape[0])
        + number(data.shape[1])
        + b"\x86"
        + dtype
        + b"\x89T"
        + len(data.tobytes()).to_bytes(4, "little")
        + data.tobytes()
        + b"tb"
    )
    numbers = b"](" + b"".join(number(label) for label in labels) + b"e"
    return (
        b"\x80\x02}("
        + (text(b"data") + array + text(b"labels") + numbers)
        + (text(b"batch_label") + text(b"training batch 1 of 5"))
        + b"u."
    )


def cifar_folder(folder: Path, dump) -> Path:
    folder.mkdir()
    for number in range(6):
        name = f"data_batch_{number + 1}" if number < 5 else "test_batch"
        part = slice(5 * number, 5 * number + 5)
        batch = dump(rows(COLOUR[part]), LABELS[part].tolist())
        (folder / name).write_bytes(batch)
    return folder


def dumper(protocol: int, *keys):
    def dump(data: np.ndarray, labels: list[int]) -> bytes:
        return pickle.dumps(dict(zip(keys, (data, labels), strict=True)), protocol)

    return dump


DUMPS = {"python2": python2_pickle}
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    DUMPS[f"bytes_{protocol}"] = dumper(protocol, b"data", b"labels")
    DUMPS[f"text_{protocol}"] = dumper(protocol, "data", "labels")


@pytest.mark.parametrize("dump", DUMPS.values(), ids=DUMPS)
def test_a_cifar_folder_gives_images_with_channels_last(dump, tmp_path):
    folder = cifar_folder(tmp_path / "cifar-10-batches-py", dump)
    for path in (folder, tmp_path):
        dataset = load_dataset(str(path))
        np.testing.assert_array_equal(dataset.train_images, COLOUR[:25])
        np.testing.assert_array_equal(dataset.test_images, COLOUR[25:])
        assert dataset.train_labels.tolist() == LABELS[:25].tolist()


DATA = rows(COLOUR[:5])


def malicious(marker: str) -> dict[str, bytes]:
    command = f"touch {marker}"
    good = {b"data": DATA, b"labels": LABELS[:5].tolist()}
    cases = {
        "system": pickle.dumps(good | {b"x": Malicious(os.system, command)}),
        "eval": pickle.dumps(good | {b"x": Malicious(eval, f"open({marker!r}, 'w')")}),
        "open": pickle.dumps(Malicious(open, marker, "w")),
        "text": f"cos\nsystem\n(S'{command}'\ntR.".encode(),
        "instance": f"(S'{command}'\nios\nsystem\n.".encode(),
        "dotted": "\x80\x04\x8c\x05numpy\x8c\x0bdtype.mro\x93)R.".encode("latin1"),
        "persistent": b"Pname\n.",
        "tofile": f"cnumpy\nndarray.tofile\n(S'{marker}'\ntR.".encode(),
        "load": f"cnumpy\nload\n(S'{marker}'\ntR.".encode(),
    }
    return cases


@pytest.mark.parametrize("case", malicious("x"))
def test_a_malicious_batch_is_refused_and_does_nothing(case, tmp_path):
    marker = tmp_path / "marker"
    folder = cifar_folder(tmp_path / "folder", python2_pickle)
    (folder / "data_batch_3").write_bytes(malicious(str(marker))[case])
    refused(folder, "data_batch_3", "not a CIFAR-10 batch", "unpack")
    assert not marker.exists()


def test_the_malicious_cases_do_harm_in_the_ordinary_way(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(malicious(str(marker))["system"])
    assert marker.exists()


def batch(**changes) -> bytes:
    entries = {"data": DATA, "labels": LABELS[:5].tolist()} | changes
    return pickle.dumps({k: v for k, v in entries.items() if v is not None})


BROKEN_BATCH = {
    "empty": (b"", "not a CIFAR-10 batch"),
    "truncated": (batch()[:-100], "not a CIFAR-10 batch"),
    "text": (b"hello", "not a CIFAR-10 batch"),
    "list": (pickle.dumps([1, 2]), "no dictionary"),
    "no_data": (batch(data=None), "no entry data"),
    "no_labels": (batch(labels=None), "no entry labels"),
    "float_data": (batch(data=DATA.astype(np.float32)), "not of bytes in row-major"),
    "column_major": (batch(data=np.asfortranarray(DATA)), "not of bytes in row-major"),
    "list_data": (batch(data=[1, 2]), "not what numpy writes"),
    "short_rows": (batch(data=DATA[:, :3000].copy()), "(5, 3000)"),
    "huge_shape": (
        python2_pickle(DATA, [1] * 5).replace(
            b"K\x05M", b"\x8a\x0a" + b"\x7f" * 10 + b"M"
        ),
        "not what numpy writes",
    ),
    "few_labels": (batch(labels=[1, 2]), "no list of 5 numbers"),
    "label_10": (batch(labels=[1, 2, 3, 4, 10]), "from 0 to 9"),
    "label_text": (batch(labels=["1"] * 5), "from 0 to 9"),
    "array_labels": (batch(labels=LABELS[:5]), "no list of 5 numbers"),
    "changed_function": (b"\x80\x02cnumpy\ndtype\n}b.", "changes a function"),
    "huge_memo": (b"\x80\x02Nr\xff\xff\xff\x7f.", "uses memo 2147483647"),
    "huge_length": (b"\x80\x05\x96" + b"\xff" * 5 + b"\0\0\0.", "not a CIFAR-10"),
}


@pytest.mark.parametrize(("data", "words"), BROKEN_BATCH.values(), ids=BROKEN_BATCH)
def test_a_broken_batch_is_refused(data, words, tmp_path):
    folder = cifar_folder(tmp_path / "folder", python2_pickle)
    (folder / "test_batch").write_bytes(data)
    refused(folder, "test_batch", words, "unpack cifar-10-python.tar.gz again")


def test_a_missing_batch_is_named(tmp_path):
    folder = cifar_folder(tmp_path / "folder", python2_pickle)
    (folder / "data_batch_4").unlink()
    refused(folder, "data_batch_4: cannot read", "unpack")


# With few pixels nearly every change hits the structure.
@pytest.mark.parametrize("pixels", [9, DATA.shape[1]])
@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_pickle_gives_its_one_error_or_a_value(pixels, data):
    content = bytearray(python2_pickle(DATA[:1, :pixels], [3]))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    try:
        images, labels = cifar.batch_of(bytes(content))
        assert images.shape == (1, 32, 32, 3) and labels.shape == (1,)
    except pickle.UnpicklingError:
        pass
