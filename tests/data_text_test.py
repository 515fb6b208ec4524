# SPDX-License-Identifier: Apache-2.0
"""Texts as data: windows, their order, and the text that comes with Python."""

import sys

import numpy as np
import pytest

from tpufi.data import Batches, Text, load_dataset, python_text
from tpufi.errors import InputError
from tpufi.random import derive, words

# 500 bytes in which every pair of neighbours tells where it stands.
BYTES = bytes(b for i in range(250) for b in (i, (i * 7 + 3) % 256))
CONTEXT = 8


def text(content: bytes = BYTES, context: int = CONTEXT) -> Text:
    return Text("small", content, context)


def test_a_window_predicts_each_next_byte():
    batch = Batches(text(), seed=3, replicas=2, per_replica=5).train(0, 0)
    assert batch.images.shape == batch.labels.shape == (2, 5, CONTEXT)
    assert batch.images.dtype == batch.labels.dtype == np.int32
    np.testing.assert_array_equal(batch.images[..., 1:], batch.labels[..., :-1])
    for tokens, labels in zip(
        batch.images.reshape(-1, CONTEXT),
        batch.labels.reshape(-1, CONTEXT),
        strict=True,
    ):
        assert bytes(tokens.tolist()) + bytes(labels[-1:].tolist()) in BYTES[:450]


def test_training_windows_move_by_their_own_draw():
    dataset, seed, epoch, step = text(), 5, 2, 1
    batches = Batches(dataset, seed, replicas=2, per_replica=4)
    batch, indices = batches.train(epoch, step), batches.train_indices(epoch, step)
    for replica in range(2):
        stream = words(derive(seed, "window", epoch, step, replica), 0, 4)
        for j, word in enumerate(stream.tolist()):
            offset = (word % 2**32) * CONTEXT // 2**32
            start = int(indices[replica, j]) * CONTEXT + offset
            window = BYTES[start : start + CONTEXT + 1]
            assert batch.images[replica, j].tolist() == list(window[:-1])
            assert batch.labels[replica, j].tolist() == list(window[1:])


def test_offsets_are_uniform():
    indices = np.zeros((4, 5000), np.int64)
    content = np.arange(2560, dtype=np.uint16).view(np.uint8).tobytes()
    tokens, _ = text(content, 16).train_examples(indices, 1, 0, 0)
    # Low bytes at even places count up: they tell the offset.
    even = tokens[..., 0] * 2 * (tokens[..., 1] == 0)
    odd = tokens[..., 1] * 2 - 1
    offsets = np.where(tokens[..., 1] == 0, even, odd)
    counts = np.bincount(offsets.ravel(), minlength=16)
    assert counts.size == 16
    assert abs(counts - 20000 / 16).max() < 5 * (20000 / 16) ** 0.5


@pytest.mark.parametrize("length", [90, 91, 143, 160, 500, 567])
def test_regions_do_not_overlap_and_every_window_lies_in_its_own(length):
    content = BYTES + BYTES
    dataset = text(content[:length])
    test, train = length // 10, length - length // 10
    highest = np.array([[len(dataset.train_labels) - 1] * 200])
    tokens, labels = dataset.train_examples(highest, 1, 0, 0)
    joined = np.concatenate([tokens, labels[..., -1:]], -1)[0]
    region = np.frombuffer(content[:length], np.uint8)
    for row in joined:
        starts = [
            i
            for i in range(length - CONTEXT)
            if (region[i : i + CONTEXT + 1] == row).all()
        ]
        assert any(start + CONTEXT < train for start in starts)
    tokens, labels = dataset.test_examples(slice(None))
    assert len(tokens) == len(dataset.test_labels) == (test - 1) // CONTEXT
    np.testing.assert_array_equal(tokens.ravel(), region[train : train + tokens.size])
    np.testing.assert_array_equal(labels, dataset.test_labels)


def test_every_training_window_is_taken_in_an_epoch():
    dataset = text()
    batches = Batches(dataset, seed=1, replicas=2, per_replica=8)
    size = len(dataset.train_labels)
    assert size == 450 // CONTEXT - 1
    taken = [batches.train_indices(3, step) for step in range(batches.steps)]
    assert set(np.concatenate(taken).ravel().tolist()) == set(range(size))


def test_direct_entry_equals_walking():
    walk = Batches(text(), seed=1, replicas=2, per_replica=8)
    walked = {(e, s): walk.train(e, s) for e in range(2) for s in range(walk.steps)}
    for epoch, step in [(1, 2), (0, 0), (1, 0)]:
        jump = Batches(text(), seed=1, replicas=2, per_replica=8).train(epoch, step)
        assert jump.images.tobytes() == walked[epoch, step].images.tobytes()
        assert jump.labels.tobytes() == walked[epoch, step].labels.tobytes()
    assert walked[0, 0].images.tobytes() != walked[1, 0].images.tobytes()


def test_test_batches_hold_every_window_once_and_mark_the_rest_absent():
    batches = Batches(text(), seed=1, replicas=2, per_replica=8, test_per_replica=4)
    seen = batches.test(0)
    assert batches.test_steps == 1 and seen.images.shape == (2, 4, CONTEXT)
    assert seen.present.sum() == len(text().test_labels) == 6
    np.testing.assert_array_equal(seen.labels[seen.present], text().test_labels)
    assert not seen.images[~seen.present].any()


def test_equal_content_has_one_digest_and_a_changed_byte_or_context_another():
    assert text().digest == Text("other", BYTES, CONTEXT).digest
    for other in (text(BYTES[:-1] + b"?"), text(b"?" + BYTES[1:]), text(context=9)):
        assert other.digest != text().digest


@pytest.mark.parametrize(
    ("content", "context", "words"),
    [
        (b"", 64, "0 bytes; expected at least 650 for windows of 64"),
        (b"x" * 89, 8, "89 bytes; expected at least 90"),
        (b"x" * 100, 0, "context 0 is below 1"),
    ],
)
def test_a_text_without_windows_is_refused(content, context, words):
    with pytest.raises(InputError, match=words) as caught:
        Text("short", content, context)
    assert len(str(caught.value).splitlines()) == 1


# ---- naming texts


def test_the_text_of_python_is_the_help_on_its_language():
    dataset = load_dataset("python-text")
    assert (dataset.name, dataset.context) == ("python-text", 64)
    assert dataset.digest == python_text().digest
    assert len(dataset.text) > 300_000
    assert b'The "while" statement' in dataset.text
    assert dataset.example_shape == (64,) and dataset.example_dtype == "int32"


def test_a_python_without_its_help_is_an_input_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(InputError, match="no module pydoc_data.topics; .* a .txt file"):
        load_dataset("python-text")


def test_a_text_file_gives_its_bytes(tmp_path):
    file = tmp_path / "book.txt"
    file.write_bytes(b"\xff\x00" * 400)
    dataset = load_dataset(str(file))
    assert (dataset.name, dataset.text) == ("book.txt", b"\xff\x00" * 400)


def test_a_short_text_file_is_an_input_error(tmp_path):
    file = tmp_path / "note.txt"
    file.write_text("too short")
    with pytest.raises(InputError, match="note.txt: 9 bytes; expected at least 650"):
        load_dataset(str(file))
