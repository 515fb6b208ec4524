# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from tpufi.errors import InputError
from tpufi.messages import one_line, show_path


@contextlib.contextmanager
def appearing_whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give a hidden path beside `path` that takes its name when the block ends.

    The bytes are on the disk before the name is theirs. If the block raises, `path` is
    what it was and nothing is left beside it.

    Args:
      path: file to write; one that exists is replaced.

    Returns:
      A context manager; its value has the ending of `path`.

    Raises:
      InputError: the file cannot be written.

    Example:
      >>> import tempfile
      >>> with appearing_whole(pathlib.Path(tempfile.mkdtemp(), "rows.txt")) as scratch:
      ...     size = scratch.write_text("masked")
    """
    name = f".{path.stem}.{os.urandom(4).hex()}{path.suffix}"
    scratch = path.with_name(name)
    try:
        yield scratch
        with open(scratch, "rb") as file:
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except OSError as error:
        raise InputError(
            f"{show_path(path)}: cannot write: {one_line(error)}; choose a path in a "
            "writable folder with free space"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()
