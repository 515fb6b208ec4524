# SPDX-License-Identifier: Apache-2.0
"""What is shown: a fault of a file or of a campaign, and its golden step."""

import dataclasses
import pathlib

import numpy as np

from tpufi.campaign.engine.replayed import same_fault
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.subjects import recorded_subject
from tpufi.descriptor import EVERY_REPLICA, Descriptor
from tpufi.errors import InputError
from tpufi.experiment.follow import Follower
from tpufi.experiment.fork import GoldenWalk, step_number
from tpufi.experiment.inject import NotActive, check_fits, fault_of, injections_of
from tpufi.fault import Fault
from tpufi.faults.csv import read_injection
from tpufi.golden import GoldenFolder, open_golden
from tpufi.models import any_workload
from tpufi.site_table import Site
from tpufi.training import Session, State
from tpufi.training.devices import USUAL, Asked


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A fault and the golden step it is injected into.

    Args:
      title: one line that tells the fault.
      session: session of the golden run.
      number: steps since the start of training.
      state: the golden state before that step.
      after: digest of the golden state after it.
      site: the faulty site.
      descriptor: the fault.
      positions: int64, flat indices of the faulty elements.
      replica: the faulty replica; the first if all are.
    """

    title: str
    session: Session
    number: int
    state: State
    after: str
    site: Site
    descriptor: Descriptor
    positions: np.ndarray
    replica: int


def from_file(
    path: str | pathlib.Path,
    golden: str | pathlib.Path,
    epoch: int | None = None,
    step: int | None = None,
    asked: Asked = USUAL,
) -> Subject:
    """Return the fault of an injection file at a step of a golden run.

    Args:
      path: the injection file.
      golden: folder of the golden run.
      epoch: instead of the file's epoch.
      step: instead of the file's step.
      asked: device and compilation, which have to be the golden run's.

    Raises:
      InputError: the file or the golden run cannot be used, or does not fit the other.
    """
    config, _ = GoldenFolder(pathlib.Path(golden)).read_manifest()
    asked.check_same(config.placement, golden)
    injection = read_injection(
        path, lambda name: any_workload(name).sites(config.per_replica)
    )
    check_fits(injection, config)
    _check_virtual(golden)
    folder, session = open_golden(golden)
    _, fault = fault_of(injection, session)
    fault = dataclasses.replace(
        fault,
        epoch=fault.epoch if epoch is None else epoch,
        step=fault.step if step is None else step,
    )
    step_number(folder, session, fault.epoch, fault.step, folder.curve())
    walk = GoldenWalk(folder, session, shown=True)
    shown = injection.flat_positions(fault.shape)
    name = pathlib.Path(path).name
    return _subject(name, fault, shown, walk, Follower(session, walk))


def from_campaign(
    folder: pathlib.Path,
    experiment: int,
    golden: pathlib.Path | None = None,
    asked: Asked = USUAL,
) -> Subject:
    """Return the fault of an experiment of a campaign at its first step.

    Args:
      folder: of the campaign.
      experiment: its number.
      golden: folder of the golden run, if it is not any more where it was.
      asked: device and compilation, which have to be the golden run's.

    Raises:
      InputError: no such experiment, or it cannot be repeated here.
    """
    with Reader.open(folder) as journal:
        row = journal.row(experiment)
        subject = recorded_subject(folder, journal, golden, asked)
    _check_virtual(subject.plan.golden)
    fault = same_fault(subject, row)
    runner = subject.open()
    shown, name = fault.elements.indices(), f"experiment {experiment}"
    return _subject(name, fault, shown, runner.walk, runner.follower)


def _subject(
    name: str,
    fault: Fault,
    shown: np.ndarray,
    walk: GoldenWalk,
    follower: Follower,
) -> Subject:
    session = follower.session
    number = follower.first(fault)
    try:
        fault = follower.filled(fault)
    except NotActive as problem:
        raise InputError(f"{problem}; choose another fault") from None
    table = session.program.table
    if fault.when is not None:
        number = _first_injected(fault, number, walk, session)
        own = fault.when.of_values
        fault = dataclasses.replace(fault, when=own, duration=1)
    replica = fault.replica
    epoch, step = divmod(number, session.steps_per_epoch)
    return Subject(
        f"{name}: {fault.model} in {fault.site}, epoch {epoch} "
        f"step {step}, replica {'all' if replica == EVERY_REPLICA else replica}",
        session,
        number,
        walk.state(number),
        walk.curve[number]["state"],
        table[table.id_of(fault.site)],
        fault.descriptor(table),
        shown,
        max(replica, 0),
    )


def _first_injected(
    fault: Fault, first: int, walk: GoldenWalk, session: Session
) -> int:
    """Return the first step of the golden run that a fault is injected in.

    Raises:
      InputError: there is none, or not every replica has it there.
    """
    steps, replicas = max(walk.curve) + 1 - first, session.program.replicas
    table = session.program.table
    for step, times in enumerate(injections_of(fault, table, replicas, first, steps)):
        if times == 0:
            continue
        if fault.replica == EVERY_REPLICA and fault.when.rate < 1:
            raise InputError(
                "the fault is drawn for each replica, and the picture is of one; show "
                "a fault that names a replica"
            )
        return first + step
    raise InputError(
        f"the fault is injected in none of the {steps} steps of the golden run from "
        "its first on; choose another fault"
    )


def _check_virtual(golden: str | pathlib.Path) -> None:
    config, _ = GoldenFolder(pathlib.Path(golden)).read_manifest()
    if config.strategy != "virtual":
        raise InputError(
            f"{golden}: a golden run with strategy {config.strategy}, whose sums are "
            "rounded in another order; show one with strategy virtual"
        )
