# SPDX-License-Identifier: Apache-2.0
"""The boundary where what a file makes Python or a library raise becomes one line.

Every reader of a file works inside `reading`; no reader lists the exceptions of what it
calls. Sizes are bounded before anything is unpacked, by `read_bounded` and
`check_unpacked`.
"""

import contextlib
import json
import os
import re
import stat
import warnings
from collections.abc import Iterator
from typing import Any

from absl import logging

from tpufi.errors import InputError
from tpufi.messages import one_line, show_path

_SMALL = 64 << 20
_MOST_TIMES = 20


@contextlib.contextmanager
def reading(
    path: str | os.PathLike[str], remedy: str, what: str = "cannot read"
) -> Iterator[None]:
    """Raise InputError for whatever reading a file raises.

    `--verbose` prints where an error came from.

    Args:
      path: of the file, or what else stands in front of the message.
      remedy: ends the message: what was expected and what to do.
      what: the message, without its reason.

    Raises:
      InputError: reading raised an exception; an `InputError` stays as it is.

    Example:
      >>> with reading("numbers.json", "write it again"):
      ...     raise ValueError("no number")
      Traceback (most recent call last):
      ...
      tpufi.errors.InputError: numbers.json: cannot read: no number; write it again
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        logging.debug("%s", show_path(path), exc_info=True)
        where = show_path(path)
        raise InputError(f"{where}: {what}: {one_line(error)}; {remedy}") from None


def regular_expression(text: str) -> re.Pattern[str]:
    """Compile a pattern of a file, within `reading`; Python's warnings are no lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(text)


def read_bounded(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the content of a file, within `reading`.

    Args:
      path: of the file.
      most: bytes that it may have.

    Raises:
      ValueError: it is larger, or no file that has an end.
      OSError: it cannot be read.
    """
    # One that is not regular, as a pipe without a writer, would be waited for.
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return content


def check_unpacked(shown: str, size: int, packed: int, most: int = 4 << 30) -> None:
    """Refuse what would unpack to far more than a file of its kind holds.

    Args:
      shown: the path, for the message.
      size: bytes that it announces.
      packed: bytes of the file.
      most: bytes that no file may unpack to, 4 GiB.

    Raises:
      InputError: it announces over `most`, or over 64 MiB and 20 times the file.
    """
    most = min(most, max(_SMALL, _MOST_TIMES * packed))
    if size > most:
        raise InputError(
            f"{shown}: {size} bytes unpacked; expected at most {most} of a file of "
            f"{packed}; save less, or save it uncompressed"
        )


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object of a JSON text.

    Raises:
      ValueError: it is none.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found
