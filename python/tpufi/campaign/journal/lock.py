# SPDX-License-Identifier: Apache-2.0
"""One writer at a time: a lock that ends with its process, however that ends."""

import os
import pathlib

import filelock

from tpufi.errors import InputError
from tpufi.io import open_to_write
from tpufi.messages import one_line, printable, show_path

NAME = "journal.lock"
_SECONDS_TO_WAIT = 5


class WritersLock:
    """The lock of a campaign's folder, held until `close` or the end of the process.

    The lock is the kernel's, not the file's, which stays behind with the number of the
    process: a kill releases it. Forked workers do not hold it.

    Args:
      folder: of the campaign.

    Raises:
      InputError: a writer holds it, or the folder cannot be written to.
    """

    def __init__(self, folder: pathlib.Path):
        path = folder / NAME
        try:
            open_to_write(path, "ab").close()
        except OSError as error:
            raise InputError(
                f"{show_path(path)}: cannot write: {one_line(error)}; make the folder "
                "writable, or copy the campaign to one that is"
            ) from None
        self._lock = filelock.FileLock(path, fallback_to_soft=False)
        try:
            # A worker that a killed writer was forking lets go of it in a moment.
            seconds = 0 if _is_another(_holder(path)) else _SECONDS_TO_WAIT
            self._lock.acquire(timeout=seconds, poll_interval=0.01)
            with open_to_write(path) as file:
                file.write(f"{os.getpid()}\n")
        except filelock.Timeout:
            raise InputError(
                f"{show_path(folder)}: process {_holder(path)} is writing this "
                "campaign; wait for it, end it, or use another folder"
            ) from None
        except OSError as error:
            self.close()
            raise InputError(
                f"{show_path(path)}: cannot lock: {one_line(error)}; keep the campaign "
                "on a local disk with free space"
            ) from None

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()


def _holder(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        return printable(file.read(20).decode("ascii", "replace").strip()) or "unknown"


def _is_another(process: str) -> bool:
    """Whether it is alive, and not this one, whose forks let go in a moment."""
    try:
        if int(process) == os.getpid():
            return False
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass  # Of another user.
    return True
