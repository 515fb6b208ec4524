# SPDX-License-Identifier: Apache-2.0
"""A campaign of cheap experiments in a separate process group, to be ill-treated."""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import resource
import signal
import sqlite3
import time

from tests.campaign_rows import MANIFEST, fake_row
from tests.campaign_runs import FakeRunner, kept_rows, run_small, small_plan
from tools.attacks.tally import SECONDS

from tpufi import cli
from tpufi.campaign.engine.interrupt import interruptible
from tpufi.campaign.engine.run import Scale
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.manifest import Manifest

TOTAL = 400
# Nothing here runs TensorFlow, so a fork is safe, and it starts at once.
_CONTEXT = multiprocessing.get_context("fork")
_PATIENCE = 120.0


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is special about a campaign.

    Args:
      workers: processes.
      manifest: what its rows depend on.
      file_limit: bytes that a file may have; 0: no limit.
      user: user id that it runs as; 0: the present one.
      clock: seconds that its clock is behind.
    """

    workers: int = 2
    manifest: Manifest = MANIFEST
    file_limit: int = 0
    user: int = 0
    clock: float = 0.0


PLAIN = Setting()


class CampaignProcess:
    """A running campaign.

    Args:
      folder: of the campaign.
      setting: what is special about it.
    """

    def __init__(self, folder: pathlib.Path, setting: Setting = PLAIN):
        self._folder = folder
        self._said = folder.with_name(f"{folder.name}.{time.monotonic_ns()}")
        self._process = _CONTEXT.Process(
            target=_run, args=(folder, self._said, setting)
        )
        self._process.start()
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def workers(self) -> list[int]:
        """Return its workers; they count as children of the threads that start them."""
        files = pathlib.Path(f"/proc/{self.pid}/task").glob("*/children")
        with contextlib.suppress(OSError):
            return [int(n) for file in files for n in file.read_text().split()]
        return []

    def wait_for_rows(self, count: int) -> None:
        """Wait until it has committed so many experiments, or has ended."""
        until = time.monotonic() + _PATIENCE
        while self.is_running and time.monotonic() < until:
            if rows(self._folder) >= count:
                return
            time.sleep(0.01)

    def wait_for_workers(self) -> None:
        """Wait until it has started a worker, or has ended."""
        until = time.monotonic() + _PATIENCE
        while self.is_running and not self.workers() and time.monotonic() < until:
            time.sleep(0.005)

    def ended(self) -> tuple[int | None, str]:
        """Wait for its end; return its exit code and what it said, or None for a hang.

        Nothing of it is left behind.
        """
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        if code is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.join()
        elif self._outlived():
            code = None
        return code, self._said.read_text() if self._said.exists() else ""

    def _outlived(self) -> bool:
        """Return whether a process of the group is left after some time."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return False
            time.sleep(0.02)
        os.killpg(self.pid, signal.SIGKILL)
        return True


def rows(folder: pathlib.Path) -> int:
    """Return how many experiments a journal has, 0 if it is not there yet."""
    address = f"{(folder / 'journal.sqlite').absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM experiment").fetchone()[0]
    except sqlite3.Error:
        return 0


def whole_rows() -> list[tuple]:
    """Return what every campaign has to end with, as `kept_rows` does."""
    names = [n for n in schema.COLUMNS if n not in schema.INCIDENTAL]
    found = []
    for number in range(TOTAL):
        values = dict(
            zip(schema.COLUMNS, schema.to_columns(fake_row(number)), strict=True)
        )
        found.append((*(values[name] for name in names), ()))
    return found


def found_rows(folder: pathlib.Path) -> list[tuple]:
    """Return what a campaign ended with; its journal is checked on the way."""
    return kept_rows(folder)


def _run(folder: pathlib.Path, said: pathlib.Path, setting: Setting) -> None:
    os.setsid()
    # Python's standard streams and those of libraries.
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(file, number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if setting.user:
        os.setuid(setting.user)
    if setting.file_limit:
        limits = setting.file_limit, resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    if setting.clock:
        _set_back(setting.clock)
    cli.run(lambda _: _campaign(folder, setting))


def _campaign(folder: pathlib.Path, setting: Setting) -> int:
    """Run what is missing, as `tpufi campaign run` does."""
    with interruptible() as stopping:
        ended = run_small(
            small_plan(folder, TOTAL),
            folder,
            FakeRunner(seconds=0.004),
            setting.workers,
            timeout=1,
            method="fork",
            scale=Scale(100, 5),
            manifest=setting.manifest,
            stopping=stopping,
        )
    if ended.reason is None:
        raise KeyboardInterrupt
    return 0


def _set_back(seconds: float) -> None:
    now, calendar = time.time, time.gmtime
    time.time = lambda: now() - seconds
    time.gmtime = lambda at=None: calendar(time.time() if at is None else at)
