# SPDX-License-Identifier: Apache-2.0
"""Kills, signals and hardships of campaigns: whatever comes, the rows are the same."""

import dataclasses
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable

from tests.campaign_files import write_plan
from tools.attacks.campaign_process import (
    PLAIN,
    TOTAL,
    CampaignProcess,
    Setting,
    found_rows,
    whole_rows,
)
from tools.attacks.tally import Tally, one_line, until

from tpufi.campaign.journal.manifest import golden_digest
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.errors import InputError

_INTERRUPTED = "Interrupted. Run the same command to resume"
_NOBODY = 65534
_KILLS_IN_A_ROW = 3


@dataclasses.dataclass(frozen=True)
class _Case:
    """One campaign that something happens to.

    Args:
      rng: draws the moments.
      folder: of the campaign.
    """

    rng: random.Random
    folder: pathlib.Path

    def start(self, setting: Setting = PLAIN) -> CampaignProcess:
        """Start it, and return it at a random moment of starting or running."""
        process = CampaignProcess(self.folder, setting)
        if self.rng.random() < 0.3:
            process.wait_for_workers()
        else:
            process.wait_for_rows(self.rng.randrange(1, TOTAL // 2))
        time.sleep(self.rng.uniform(0, 0.05))
        return process


def attack(tally: Tally, seconds: float, seed: int) -> None:
    """Ill-treat campaigns, all kinds in turn, until the time is over."""
    expected = whole_rows()
    kinds = list(_KINDS)
    for number in until(seconds):
        name = kinds[number % len(kinds)]
        rng = random.Random(f"campaigns {seed} {number}")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            pathlib.Path(scratch).chmod(0o755)
            folder = pathlib.Path(scratch, "campaign")
            try:
                wrong = _KINDS[name](_Case(rng, folder))
                wrong = wrong or _finished(folder, expected, name)
            except (Exception, SystemExit) as error:  # noqa: BLE001
                wrong = f"{type(error).__name__}: {error!s:.300}"
        told = f"case {number} of seed {seed}: {wrong}"
        tally.note(f"campaign, {name}", wrong and told)


def _finished(folder: pathlib.Path, expected: list[tuple], name: str) -> str | None:
    """Run what is left; return what is wrong with the rows."""
    if name in _WITHOUT_ROWS:
        return None
    wrong = _unless(CampaignProcess(folder), (0,), "")
    if wrong:
        return f"taken up again: {wrong}"
    found = found_rows(folder)
    differing = [a[0] for a, b in zip(found, expected, strict=False) if a != b]
    if len(found) != TOTAL or differing:
        return f"{len(found)} rows, {len(differing)} differ: {differing[:5]}"
    return None


def _unless(process: CampaignProcess, codes: tuple[int, ...], last: str) -> str | None:
    """Return what is wrong with how a campaign ended, what it said included."""
    code, said = process.ended()
    if code is None:
        return f"it, or a process of it, did not end: {said[-300:]!r}"
    if code not in codes:
        return f"exit code {code}, expected {codes}: {said[-300:]!r}"
    if "Traceback" in said or "Error:" in said:
        return f"exit code {code}: {said[-300:]!r}"
    lines = said.splitlines()
    if last and code and (not lines or last not in lines[-1]):
        return f"exit code {code}: said {said[-300:]!r}, not {last!r}"
    return None


def _killed(case: _Case) -> str | None:
    """Kill the coordinator, or its group, several times."""
    for _ in range(_KILLS_IN_A_ROW):
        process = case.start()
        _signal(process, signal.SIGKILL, case.rng.random() < 0.5)
        if wrong := _unless(process, (-9, 0), ""):
            return wrong
    return None


def _ended(number: signal.Signals, group: bool) -> Callable[[_Case], str | None]:
    """Return what sends an ending signal; HUP, which nobody handles, ends at once."""
    codes = (-number, 0) if number == signal.SIGHUP else (130, 0)
    last = "" if number == signal.SIGHUP else _INTERRUPTED

    def do(case: _Case) -> str | None:
        process = case.start()
        _signal(process, number, group)
        return _unless(process, codes, last)

    return do


def _worker(number: signal.Signals) -> Callable[[_Case], str | None]:
    """Return what sends a signal to a worker; a stopped one may go on later."""

    def do(case: _Case) -> str | None:
        process = case.start(Setting(workers=3))
        for worker in case.rng.sample(
            process.workers(), min(1, len(process.workers()))
        ):
            _send(worker, number)
            if number == signal.SIGSTOP:
                time.sleep(case.rng.uniform(0, 2.5))
                _send(worker, signal.SIGCONT)
        return _unless(process, (0,), "")

    return do


def _stopped(group: bool) -> Callable[[_Case], str | None]:
    """Return what stops and continues the coordinator or its group."""

    def do(case: _Case) -> str | None:
        process = case.start()
        _signal(process, signal.SIGSTOP, group)
        time.sleep(case.rng.uniform(0.5, 3))
        _signal(process, signal.SIGCONT, group)
        return _unless(process, (0,), "")

    return do


def _full_disk(case: _Case) -> str | None:
    """Let no file of the journal grow beyond a limit."""
    limit = case.rng.randrange(1 << 14, 1 << 18)
    process = CampaignProcess(case.folder, Setting(file_limit=limit))
    return _unless(process, (2, 0), "; ")


def _full_mount(case: _Case) -> str | None:
    """Put the campaign on a small file system, then give it a larger one."""
    case.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", case.folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return _full_disk(case)  # Not allowed here.
    try:
        wrong = _unless(CampaignProcess(case.folder), (2,), "free some")
        kept = case.folder.with_name("kept")
        shutil.copytree(case.folder, kept)
    finally:
        subprocess.run(["umount", case.folder], check=True)
    shutil.copytree(kept, case.folder, dirs_exist_ok=True)
    return wrong


def _no_permission(case: _Case) -> str | None:
    """Take the rights to the folder away while it runs, and before it runs."""
    case.folder.mkdir()
    user = _NOBODY if os.getuid() == 0 else 0
    if user:
        case.folder.parent.chmod(0o777)
        os.chown(case.folder, user, user)
    process = case.start(Setting(user=user))
    case.folder.chmod(0o500)
    wrong = _unless(process, (0, 2), "; ")
    if not wrong:
        wrong = _unless(CampaignProcess(case.folder, Setting(user=user)), (0, 2), "; ")
    case.folder.chmod(0o755)
    return wrong


def _other_plan(case: _Case) -> str | None:
    """Take it up again with a manifest of another campaign."""
    process = case.start()
    _signal(process, signal.SIGKILL, True)
    if wrong := _unless(process, (-9, 0), ""):
        return wrong
    manifest = dataclasses.replace(PLAIN.manifest, plan='{"seed":8}')
    if not (case.folder / "journal.sqlite").exists() or not found_safely(case.folder):
        return None
    other = CampaignProcess(case.folder, Setting(manifest=manifest))
    return _unless(other, (2,), "begun with another plan")


def _two_writers(case: _Case) -> str | None:
    """Run it twice at the same time."""
    process = case.start()
    if not process.is_running:
        return _unless(process, (0,), "")
    wrong = _unless(CampaignProcess(case.folder), (2, 0), "is writing this campaign")
    return wrong or _unless(process, (0,), "")


def _clock(case: _Case) -> str | None:
    """Kill it, and take it up again a year earlier."""
    process = case.start()
    _signal(process, signal.SIGKILL, True)
    if wrong := _unless(process, (-9, 0), ""):
        return wrong
    return _unless(CampaignProcess(case.folder, Setting(clock=3e7)), (0,), "")


def _golden(case: _Case) -> str | None:
    """Delete or cut files of the golden run, or the run, under a plan."""
    case.folder.mkdir()
    file = write_plan(case.folder)
    folder = case.folder / "golden"
    names = sorted(os.listdir(folder))
    for name in case.rng.sample(names, case.rng.randint(1, len(names))):
        if case.rng.random() < 0.5:
            (folder / name).unlink()
        else:
            size = (folder / name).stat().st_size
            os.truncate(folder / name, case.rng.randrange(size + 1))
    if case.rng.random() < 0.2:
        shutil.rmtree(folder)

    def use() -> None:
        plan = read_plan(file)
        check_golden(plan)
        golden_digest((plan.golden,))

    return one_line(use)


def found_safely(folder: pathlib.Path) -> list[tuple]:
    """Return the rows of a campaign; none if it was never begun."""
    try:
        return found_rows(folder)
    except InputError:
        return []


def _signal(process: CampaignProcess, number: signal.Signals, group: bool) -> None:
    try:
        (os.killpg if group else os.kill)(process.pid, number)
    except ProcessLookupError:
        pass  # It has ended before.


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass


_KINDS: dict[str, Callable[[_Case], str | None]] = {
    "killed": _killed,
    **{
        f"{number.name} to {'group' if group else 'coordinator'}": _ended(number, group)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for group in (False, True)
    },
    **{
        f"{number.name} to worker": _worker(number)
        for number in (
            *(signal.SIGKILL, signal.SIGTERM, signal.SIGINT),
            *(signal.SIGHUP, signal.SIGSTOP),
        )
    },
    "coordinator stopped": _stopped(False),
    "group stopped": _stopped(True),
    "file limit": _full_disk,
    "full disk": _full_mount,
    "no permission": _no_permission,
    "other plan": _other_plan,
    "two writers": _two_writers,
    "clock set back": _clock,
    "golden run deleted": _golden,
}
_WITHOUT_ROWS = ("golden run deleted",)
