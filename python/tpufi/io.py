# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole or not at all."""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import IO

from tpufi.errors import InputError
from tpufi.messages import one_line, show_path


def make_folder(path: pathlib.Path, remedy: str, option: str = "") -> None:
    """Make a folder and those around it, unless it is there.

    Args:
      path: the folder.
      remedy: ends the message.
      option: stands in front of the message, with a space behind it.

    Raises:
      InputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{option}{show_path(path)}: cannot make the folder: {one_line(error)}; "
            f"{remedy}"
        ) from None


@contextlib.contextmanager
def atomic_write(
    path: pathlib.Path,
    remedy: str = "choose a path in a writable folder with free space",
    sole_writer: bool = False,
) -> Iterator[pathlib.Path]:
    """Give a hidden path beside `path` that takes its name when the block ends.

    The block makes a file or a folder there. Its bytes are on the disk before the name
    is theirs. If the block raises, `path` is what it was and nothing is left beside it.

    Args:
      path: file or folder to write; one that exists is replaced.
      remedy: ends the message of a path that cannot be written.
      sole_writer: whether nobody else writes `path` meanwhile. Then the hidden path is
        always the same, and what a kill left there is overwritten.

    Returns:
      A context manager; its value has the ending of `path`.

    Raises:
      InputError: the file or folder cannot be written.

    Example:
      >>> import tempfile
      >>> with atomic_write(pathlib.Path(tempfile.mkdtemp(), "rows.txt")) as scratch:
      ...     size = scratch.write_text("masked")
    """
    mark = "partial" if sole_writer else os.urandom(4).hex()
    scratch = path.parent / f".{path.stem}.{mark}{path.suffix}"
    try:
        if "\0" in str(path):
            raise OSError("a path has no null characters")
        if sole_writer:
            _remove(scratch)
        yield scratch
        _synchronise(scratch)
        _move(scratch, path)
    except OSError as error:
        raise InputError(
            f"{show_path(path)}: cannot write: {one_line(error)}; {remedy}"
        ) from None
    finally:
        with contextlib.suppress(OSError, ValueError):
            _remove(scratch)


def _synchronise(scratch: pathlib.Path) -> None:
    """Bring a file, or all files of a folder, to the disk."""
    files = [scratch]
    if scratch.is_dir():
        files = [path for path in scratch.rglob("*") if path.is_file()]
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _move(scratch: pathlib.Path, path: pathlib.Path) -> None:
    """Give a file or folder its name; a folder that has it goes aside meanwhile."""
    if not (scratch.is_dir() and path.exists()):
        os.replace(scratch, path)
        return
    old = scratch.with_name(f"{scratch.name}.old")
    os.replace(path, old)
    try:
        os.replace(scratch, path)
    except OSError:
        os.replace(old, path)
        raise
    _remove(old)


def open_to_write(path: str | os.PathLike[str], mode: str = "w") -> IO:
    """Open a file to write to, or to append to; a link is not followed.

    Args:
      path: of the file.
      mode: as of `open`.

    Raises:
      InputError: the name is a symbolic link, so that another file would be written.
      OSError: it cannot be written.
    """
    try:
        return open(path, mode, opener=_without_following)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    refuse_link(pathlib.Path(path))
    raise AssertionError(f"{path}: no link, and yet a loop of links")


def refuse_link(path: pathlib.Path) -> None:
    """Raise InputError if a file that is to be written is a symbolic link."""
    if path.is_symlink():
        raise InputError(
            f"{show_path(path)}: is a symbolic link; another file would be written; "
            "remove the link"
        )


def _without_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
