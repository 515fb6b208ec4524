# SPDX-License-Identifier: Apache-2.0
"""What is written is there whole or not at all, and leaves nothing beside it."""

import os

import pytest

from tpufi.errors import InputError
from tpufi.io import atomic_write, open_to_write


def listed(folder) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("sole_writer", [False, True])
def test_a_file_has_its_name_only_when_the_block_ends(sole_writer, tmp_path):
    path = tmp_path / "rows.txt"
    for text in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with atomic_write(path, sole_writer=sole_writer) as scratch:
            assert scratch.suffix == ".txt" and scratch.name.startswith(".")
            scratch.write_text(text)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == text and listed(tmp_path) == ["rows.txt"]


def test_a_folder_takes_the_place_of_one_that_is_there(tmp_path):
    path = tmp_path / "report"
    for name in ("old", "new"):
        with atomic_write(path) as scratch:
            (scratch / "tables").mkdir(parents=True)
            (scratch / "tables" / name).write_text(name)
        assert listed(path / "tables") == [name] and listed(tmp_path) == ["report"]


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_a_block_that_raises_leaves_what_was_there(error, is_folder, tmp_path):
    path = tmp_path / "kept"
    path.write_text("before")
    told = InputError if error is OSError else error
    with pytest.raises(told, match="the disk fell off"), atomic_write(path) as scratch:
        scratch.mkdir() if is_folder else scratch.write_text("half")
        raise error("the disk fell off")
    assert listed(tmp_path) == ["kept"] and path.read_text() == "before"


def test_a_sole_writer_overwrites_what_a_kill_left(tmp_path):
    (tmp_path / ".state.partial.npz").mkdir()
    (tmp_path / ".state.partial.npz" / "half").touch()
    with atomic_write(tmp_path / "state.npz", sole_writer=True) as scratch:
        assert not scratch.exists()
        scratch.write_bytes(b"whole")
    assert listed(tmp_path) == ["state.npz"]


@pytest.mark.parametrize("name", ["no_folder/x.csv", "taken", ".", "a\0b"])
def test_a_path_that_cannot_be_written_is_one_line_with_the_remedy(name, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    message = "cannot write: .*; name another file$"
    with pytest.raises(InputError, match=message) as error:
        with atomic_write(tmp_path / name, "name another file") as scratch:
            scratch.write_text("text")
    assert len(str(error.value).splitlines()) == 1
    assert listed(tmp_path) == ["taken"] and listed(tmp_path / "taken") == ["x"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_link_where_a_sole_writer_writes_is_taken_away(is_folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir() if is_folder else other.write_text("mine")
    (tmp_path / ".steps.partial.jsonl").symlink_to(other)
    with atomic_write(tmp_path / "steps.jsonl", sole_writer=True) as scratch:
        scratch.write_text("whole")
    assert listed(tmp_path) == ["other", "steps.jsonl"]
    assert other.is_dir() if is_folder else other.read_text() == "mine"


@pytest.mark.parametrize("mode", ["w", "a", "ab"])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_link_is_not_written_through(mode, is_there, tmp_path):
    if is_there:
        (tmp_path / "other").write_text("mine")
    (tmp_path / "x").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="x: is a symbolic link; another file would"):
        open_to_write(tmp_path / "x", mode)
    assert (tmp_path / "other").exists() == is_there
    with open_to_write(tmp_path / "y", mode) as file:
        file.write(b"a" if "b" in mode else "a")
    assert (tmp_path / "y").read_text() == "a"
