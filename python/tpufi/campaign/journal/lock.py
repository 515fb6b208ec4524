# SPDX-License-Identifier: Apache-2.0
"""One writer at a time: a lock that ends with its process, however that ends."""

import fcntl
import os
import pathlib
import time
import weakref

from tpufi.errors import InputError
from tpufi.messages import one_line, show_path

NAME = "journal.lock"
_SECONDS_TO_WAIT = 5


class WritersLock:
    """The lock of a campaign's folder, held until `close` or the end of the process.

    The lock is the kernel's, not the file's, which stays behind: a kill releases it.
    Forked workers let go of it at once, so that those of a killed campaign do not keep
    the next one out.

    Args:
      folder: of the campaign.

    Raises:
      InputError: a writer holds it, or the folder cannot be written to.
    """

    def __init__(self, folder: pathlib.Path):
        path = folder / NAME
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(
                f"{show_path(path)}: cannot write: {one_line(error)}; make the folder "
                "writable, or copy the campaign to one that is"
            ) from None
        try:
            if not self._taken():
                raise InputError(
                    f"{show_path(folder)}: process {self._holder()} is writing this "
                    "campaign; wait for it, end it, or use another folder"
                )
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)
        except InputError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise InputError(
                f"{show_path(path)}: cannot lock: {one_line(error)}; keep the campaign "
                "on a local disk with free space"
            ) from None
        itself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _close_if_alive(itself))

    def close(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _taken(self) -> bool:
        """Take the lock, waiting only for what a killed writer left behind."""
        end = time.monotonic() + _SECONDS_TO_WAIT
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                # A worker that was being forked has not let go of it yet.
                if time.monotonic() > end or _is_another(self._holder()):
                    return False
            time.sleep(0.01)

    def _holder(self) -> str:
        text = os.pread(self._handle, 20, 0).decode("ascii", "replace").strip()
        return text or "unknown"


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


def _close_if_alive(reference: "weakref.ref[WritersLock]") -> None:
    lock = reference()
    if lock is not None:
        lock.close()
