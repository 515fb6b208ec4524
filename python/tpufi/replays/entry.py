# SPDX-License-Identifier: Apache-2.0
"""Entering a golden run right before the struck step, with the fault made ready."""

import numpy as np

from tpufi.descriptor import Descriptor, Struck, replacing
from tpufi.errors import InputError
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenConfig, GoldenFolder
from tpufi.progress import Progress
from tpufi.site_table import Site
from tpufi.training import Session, State, state_digest


def check_fits(injection: Injection, config: GoldenConfig) -> None:
    """Refuse a golden run of another workload or learning rate than the injection's."""
    if injection.model != config.workload:
        raise InputError(
            f"the injection is for {injection.model}, the golden run of "
            f"{config.workload}; name a golden run of {injection.model} with --golden"
        )
    if injection.learning_rate != config.learning_rate:
        raise InputError(
            f"the injection has learning_rate {injection.learning_rate}, the golden "
            f"run {config.learning_rate}; train a golden run with tpufi golden "
            f"--learning-rate {injection.learning_rate}"
        )


def describe(injection: Injection, session: Session) -> tuple[Site, Descriptor]:
    """Return the struck site and the descriptor of an injection."""
    table = session.program.table
    site = injection.resolve(table)
    if injection.target_worker >= session.program.replicas:
        raise InputError(
            f"target_worker {injection.target_worker}: the golden run has replicas 0 "
            f"to {session.program.replicas - 1}; choose one of them"
        )
    return site, replacing(
        table.id_of(site.name),
        injection.target_worker,
        injection.flat_positions(site.shape),
        injection.words(site.dtype),
    )


def step_number(
    folder: GoldenFolder, session: Session, epoch: int, step: int, curve: dict
) -> int:
    """Return the number of a step since the start of training.

    Raises:
      InputError: an epoch has no such step, or the golden run does not have it.
    """
    if step >= session.steps_per_epoch:
        raise InputError(
            f"step {step}: an epoch of {session.batches.dataset.name} has steps 0 to "
            f"{session.steps_per_epoch - 1} at this batch; choose one with --step"
        )
    number = epoch * session.steps_per_epoch + step
    if number not in curve:
        first = folder.read_manifest()[0].first_step
        begins = f" from step {first} on" if first else ""
        raise InputError(
            f"{folder.path}: the golden run has {len(curve)} steps{begins} and does "
            f"not reach epoch {epoch} step {step} (step {number} of training); "
            f"continue it with tpufi golden --steps {number + 1}, or choose --epoch "
            "and --step"
        )
    return number


def enter(
    folder: GoldenFolder, session: Session, number: int, curve: dict[int, dict]
) -> State:
    """Return the golden state before step `number`, verified by its digest.

    Args:
      folder: the golden run.
      session: its session.
      number: steps since the start of training.
      curve: the golden run's steps by number.

    Raises:
      InputError: the run starts later, or the state cannot be reproduced here.
    """
    config, _ = folder.read_manifest()
    if number < config.first_step:
        raise InputError(
            f"{folder.path}: the golden run starts at step {config.first_step}, after "
            f"step {number}; choose a later step, or the run it started from"
        )
    start = max([0, *(c for c in folder.checkpoints() if c <= number)])
    state = (
        folder.load(session.program.workload, start)
        if start
        else session.initial_state()
    )
    walk = Progress("golden state", number - start)
    for i in walk.steps(range(start, number)):
        state = session.step(state, i).state
    check_is_golden(folder, state, number, curve)
    return state


def check_is_golden(
    folder: GoldenFolder, state: State, number: int, curve: dict[int, dict]
) -> None:
    """Refuse a state before step `number` that is not the golden run's, by digest.

    Raises:
      InputError: it differs; the message names the set-up of the golden run.
    """
    config, manifest = folder.read_manifest()
    if config.start and number == config.first_step:
        expected = config.start.state
    else:
        expected = curve[number - 1]["state"] if number else None
    if expected is None or state_digest(state) == expected:
        return
    trained = {
        key: value
        for key, value in manifest["environment"].items()
        if not key.endswith("digest")
    }
    raise InputError(
        f"{folder.path}: the state before step {number} is not bit-identical to the "
        f"golden run's, which was trained with {trained}; use the same set-up, or "
        "train a new golden run here"
    )


def golden_bits(
    injection: Injection, site: Site, rows: tuple[Struck, ...]
) -> np.ndarray:
    """Return the struck elements' bits before the fault, in the injection's order.

    Raises:
      RuntimeError: fewer elements were struck than the injection names.
    """
    struck = sum(row.count for row in rows)
    if struck != len(injection.inj_pos):
        raise RuntimeError(
            f"the fault at {site.name} struck {struck} of {len(injection.inj_pos)} "
            "positions: it did not become active as described"
        )
    golden = np.empty(struck, np.uint64)
    order = np.argsort(injection.flat_positions(site.shape), kind="stable")
    golden[order] = np.concatenate([row.golden for row in rows])
    return golden
