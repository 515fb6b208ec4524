# SPDX-License-Identifier: Apache-2.0
"""A lock that cannot be had says why; how writers meet is in campaign_journal_test."""

import errno
import fcntl
import os

import pytest

from tests.campaign_rows import MANIFEST, SESSION
from tpufi.campaign.journal import lock
from tpufi.campaign.journal.lock import NAME, WritersLock
from tpufi.campaign.journal.writer import Writer
from tpufi.errors import InputError
from tpufi.golden import GoldenFolder


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def refused(folder) -> str:
    before = open_files()
    with pytest.raises(InputError) as error:
        WritersLock(folder)
    assert open_files() == before
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_a_folder_in_place_of_the_lock_is_told(tmp_path):
    (tmp_path / NAME).mkdir()
    message = refused(tmp_path)
    assert f"{NAME}: cannot write: Is a directory; make the folder writable" in message


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    message = refused(tmp_path)
    assert (
        "cannot lock: No locks available; keep the campaign on a local disk" in message
    )


@pytest.mark.parametrize(
    ("holder", "is_another"),
    [("", False), ("unknown", False), ("own", False), ("1", True)],
)
def test_only_a_living_process_of_someone_else_is_another(holder, is_another):
    process = str(os.getpid()) if holder == "own" else holder
    assert lock._is_another(process) == is_another


def test_a_lock_can_be_given_back_twice(tmp_path):
    first = WritersLock(tmp_path)
    assert (tmp_path / NAME).read_text() == f"{os.getpid()}\n"
    first.close()
    first.close()
    WritersLock(tmp_path).close()


ENDINGS = (NAME, *(f"journal.sqlite{e}" for e in ("", "-wal", "-shm", "-journal")))


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("is_there", [False, True])
def test_no_file_of_a_writer_is_a_link_to_another(name, is_there, tmp_path):
    other = tmp_path / "other"
    if is_there:
        other.write_text("mine")
    folder = tmp_path / "campaign"
    folder.mkdir()
    (folder / name).symlink_to(other)
    before = open_files()
    with pytest.raises(InputError, match=f"{name}: is a symbolic link; another file"):
        Writer(folder, MANIFEST, SESSION)
    assert open_files() == before
    assert other.read_text() == "mine" if is_there else not other.exists()


def test_a_golden_run_appends_to_no_other_file(tmp_path):
    folder, other = GoldenFolder(tmp_path), tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "steps.jsonl").symlink_to(other)
    with pytest.raises(InputError, match="steps.jsonl: is a symbolic link"):
        folder.append("steps.jsonl", {"number": 0})
    assert other.read_text() == "mine"
