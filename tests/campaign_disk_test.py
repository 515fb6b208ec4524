# SPDX-License-Identifier: Apache-2.0
"""The journal on a full disk, in a read-only folder and after a loss of power."""

import os
import pathlib
import random
import shutil
import subprocess
import tempfile

import pytest

from tests.campaign_journal_test import numbers, refused, written
from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tpufi.campaign.journal import database
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.errors import InputError

LOG = database.NAME + "-wal"
BATCH = 20


def add_until_full(journal: Writer) -> int:
    """Add batches until one is refused; return how many experiments are committed."""
    for first in range(0, 1_000_000, BATCH):
        try:
            journal.add([fake_row(n) for n in range(first, first + BATCH)])
        except InputError as error:
            assert "all committed experiments are kept; free some" in str(error)
            assert "\n" not in str(error)
            return first
    raise AssertionError("the disk was never full")


def test_a_full_database_keeps_what_was_committed_and_goes_on_later(tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        list(journal.query("PRAGMA max_page_count = 60"))
        done = add_until_full(journal)
        assert done > 100 and journal.count() == done
    assert numbers(tmp_path) == list(range(done))
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        assert journal.add([fake_row(n) for n in range(done + 5)]) == 5


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting a file system needs the rights of root")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_keeps_what_was_committed_and_goes_on_later(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    with Writer(small_disk, MANIFEST, SESSION) as journal:
        done = add_until_full(journal)
        assert done > 0 and journal.count() == done
        assert [row.experiment for row in journal.rows()] == list(range(done))
    assert numbers(small_disk) == list(range(done))
    ballast.unlink()
    with Writer(small_disk, MANIFEST, SESSION) as journal:
        assert journal.add([fake_row(n) for n in range(done + 5)]) == 5


def test_a_disk_that_is_full_from_the_start_is_told(small_disk):
    (small_disk / "ballast").write_bytes(bytes(2**20 - 8192))
    message = refused(Writer, small_disk, MANIFEST, SESSION)
    assert "space" in message


@pytest.fixture
def readonly():
    """A folder that cannot be written to, and how to call something as its reader."""
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_reader(call) -> str:
    """Call in a child without the rights of root; return what it prints or raises."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            text = str(call())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as file:
        return file.read()


def test_a_read_only_folder_is_read_and_refused_to_a_writer(readonly):
    written(readonly, range(5))
    readonly.chmod(0o555)
    assert as_reader(lambda: numbers(readonly)) == "[0, 1, 2, 3, 4]"
    told = as_reader(lambda: Writer(readonly, MANIFEST, SESSION))
    assert told.startswith("InputError: ") and "cannot write: " in told
    assert "make the folder writable" in told and "\n" not in told


def test_a_read_only_folder_with_a_pending_log_says_what_to_do(readonly):
    journal = Writer(readonly, MANIFEST, SESSION)
    journal.add([fake_row(0)])
    copy = readonly / "copy"
    copy.mkdir()
    for name in (database.NAME, LOG):
        shutil.copy(readonly / name, copy / name)
    journal.close()
    copy.chmod(0o555)
    told = as_reader(lambda: numbers(copy))
    assert told.startswith("InputError: ") and "copy all files of the campaign" in told


def test_a_new_folder_in_a_read_only_one_is_told(readonly):
    readonly.chmod(0o555)
    told = as_reader(lambda: Writer(readonly / "new", MANIFEST, SESSION))
    assert told.startswith("InputError: ") and "choose another one" in told


def test_a_commit_is_synchronised_to_the_disk(tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        assert list(journal.query("PRAGMA synchronous")) == [(2,)]  # FULL
        assert list(journal.query("PRAGMA journal_mode")) == [("wal",)]


@pytest.mark.parametrize("seed", range(4))
def test_a_log_cut_off_anywhere_leaves_a_prefix_of_the_batches(seed, tmp_path):
    rng = random.Random(seed)
    source, ends = tmp_path / "source", []
    with Writer(source, MANIFEST, SESSION) as journal:
        list(journal.query("PRAGMA wal_autocheckpoint = 0"))
        list(journal.query("PRAGMA wal_checkpoint(TRUNCATE)"))
        for first in range(0, 30 * BATCH, BATCH):
            journal.add([fake_row(n, wall_s=0.5) for n in range(first, first + BATCH)])
            ends.append((source / LOG).stat().st_size)
        # What the disk holds when the power fails, then cut and scribbled on.
        for trial in range(25):
            copy = tmp_path / f"copy{trial}"
            copy.mkdir()
            for name in (database.NAME, LOG):
                shutil.copy(source / name, copy / name)
            cut = rng.randrange(ends[-1])
            if trial % 2:
                os.truncate(copy / LOG, cut)
            else:
                with open(copy / LOG, "r+b") as file:
                    file.seek(cut)
                    file.write(rng.randbytes(min(4096, ends[-1] - cut)))
            whole = sum(end <= cut for end in ends)
            check_prefix(copy, whole)


@pytest.mark.parametrize("seed", range(8))
def test_a_checkpoint_cut_off_anywhere_loses_nothing(seed, tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    with Writer(source, MANIFEST, SESSION) as journal:
        list(journal.query("PRAGMA wal_autocheckpoint = 0"))
        for first in range(0, 30 * BATCH, BATCH):
            journal.add([fake_row(n, wall_s=0.5) for n in range(first, first + BATCH)])
        before = (source / database.NAME).read_bytes()
        list(journal.query("PRAGMA wal_checkpoint"))
        after = (source / database.NAME).read_bytes()
        copy.mkdir()
        shutil.copy(source / LOG, copy / LOG)
    # Some pages have reached the disk, in any order, the others have not.
    assert len(after) > len(before)
    rng = random.Random(seed)
    pages = [
        (after if rng.random() < 0.5 else before.ljust(len(after), b"\0"))[i : i + 4096]
        for i in range(0, len(after), 4096)
    ]
    (copy / database.NAME).write_bytes(b"".join(pages))
    check_prefix(copy, 30)


def check_prefix(folder: pathlib.Path, whole: int) -> None:
    """Batches before the damage are there, later ones as a whole or not; it goes on."""
    with Writer(folder, MANIFEST, SESSION) as journal:
        found = [row.experiment for row in journal.rows()]
        assert found == list(range(len(found)))
        assert len(found) % BATCH == 0 and len(found) // BATCH == whole
        journal.add([fake_row(n, wall_s=0.5) for n in range(30 * BATCH)])
    with Reader.open(folder) as journal:
        expected = [fake_row(n, wall_s=0.5) for n in range(30 * BATCH)]
        assert list(journal.rows()) == expected
