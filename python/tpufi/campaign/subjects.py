# SPDX-License-Identifier: Apache-2.0
"""The subject of a campaign: of its file, or of its journal."""

import os
import pathlib

from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.inference.subject import InferenceSubject
from tpufi.campaign.journal.manifest import golden_digest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.own_step.step_plan import StepPlan
from tpufi.campaign.own_step.subject import StepSubject
from tpufi.campaign.plan import CampaignPlan, Plan
from tpufi.campaign.plan_file import read_plan, read_plans
from tpufi.campaign.subject import Subject
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.errors import InputError
from tpufi.training.devices import USUAL, Asked


def subject_of(path: str | os.PathLike[str], member: str = "") -> Subject:
    """Return what a campaign file injects into, checked against its golden run.

    Args:
      path: the file.
      member: of a file with several workloads or programs, the name of one.

    Raises:
      InputError: the file is wrong, or does not fit the golden run or the program.
    """
    return _subject(read_plan(path, member))


def subjects_of(
    path: str | os.PathLike[str], verify: bool = True
) -> dict[str, Subject]:
    """Return what a campaign file injects into, by name of the campaign's folder.

    Args:
      path: the file; with a single workload or program, the name is empty.
      verify: whether the set-up has to repeat the golden run of a workload, bitwise.

    Raises:
      InputError: the file is wrong, or does not fit a golden run or a program.
    """
    plans = read_plans(path)
    return {name: _subject(plan, verify) for name, plan in plans.items()}


def _subject(plan: Plan, verify: bool = True) -> Subject:
    if not verify and not isinstance(plan, CampaignPlan):
        raise InputError(
            "a program of yours has to repeat its golden run; make it repeatable, and "
            "leave out --allow-nondeterminism"
        )
    if isinstance(plan, InferencePlan):
        return InferenceSubject.of(plan)
    if isinstance(plan, StepPlan):
        return StepSubject.of(plan)
    check_golden(plan)
    return WorkloadSubject.of(plan, verify)


def recorded_subject(
    folder: pathlib.Path,
    journal: Reader,
    golden: pathlib.Path | None = None,
    asked: Asked = USUAL,
) -> WorkloadSubject:
    """Return the workload that the experiments of a journal were done on.

    Args:
      folder: of the campaign.
      journal: open for reading.
      golden: folder of the golden run, if it is not any more where it was.
      asked: device and compilation, which have to be the golden run's.

    Raises:
      InputError: the journal was never begun, is of another tpufi or of a program of
        the user, or its golden run has moved or changed.
    """
    plan, deterministic = recorded_plan(journal, golden)
    if golden_digest((plan.golden, *plan.band)) != journal.manifest()["golden"]:
        raise InputError(
            f"{plan.golden}: is not the golden run of {folder}; name that with --golden"
        )
    subject = WorkloadSubject.of(plan, deterministic == "yes")
    asked.check_same(subject.config.placement, plan.golden)
    return subject
