# SPDX-License-Identifier: Apache-2.0
"""The two questions: is the handwritten gradient right, what does a fault do to it."""

import dataclasses
import pathlib

from tpufi.contrib.isca23.gradient_comparison.difference import Difference, compare_all
from tpufi.contrib.isca23.gradient_comparison.summed import GradientProgram, in_dtype
from tpufi.data.batches import check_step
from tpufi.element import from_words
from tpufi.errors import InputError
from tpufi.experiment.fork import enter
from tpufi.experiment.inject import fault_of
from tpufi.experiment.record import hit_of
from tpufi.faults.injection_file import InjectionFile
from tpufi.golden import GoldenConfig, open_golden
from tpufi.training import Session, State


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One training step: the state before it, and by its number batch and keys.

    Args:
      session: the run.
      state: the state before the step.
      number: steps since the start of training, from 0.
      origin: where the state comes from, for people.
    """

    session: Session
    state: State
    number: int
    origin: str

    @classmethod
    def fresh(cls, config: GoldenConfig, epoch: int = 0, step: int = 0) -> "Case":
        """Return a step with the first weights of the seed, whatever its number.

        Raises:
          InputError: an epoch has no such step.
        """
        session = config.session()
        number = _number(session, epoch, step)
        return cls(session, session.initial_state(), number, "initial weights")

    @classmethod
    def of_golden(cls, path: str | pathlib.Path, epoch: int, step: int) -> "Case":
        """Return a step of a golden run.

        Raises:
          InputError: there is no golden run, or it does not reach the step.
        """
        folder, session = open_golden(path)
        number = _number(session, epoch, step)
        curve = folder.curve()
        first = folder.read_manifest()[0].first_step
        # The state after the last step counts too: its gradients need no golden step.
        if number > max(curve, default=first - 1) + 1:
            raise InputError(
                f"{folder.path}: the golden run has {len(curve)} steps from step "
                f"{first} on and does not reach epoch {epoch} step {step} (step "
                f"{number} of training); continue it to --steps {number}, or choose "
                "--epoch and --step"
            )
        state = enter(folder, session, number)
        return cls(session, state, number, f"golden run {folder.path.name}")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison showed.

    Args:
      reference: what the gradients are compared with: `autodiff` or `golden`.
      other: what is compared: `handwritten` or `faulty`.
      dtype: type of weights and gradients.
      losses: mean loss of the step with the reference and with the other.
      rows: a difference for each variable in the order of creation, then `(all)`.
      injected: for a fault, what it did to each element, for people.
    """

    reference: str
    other: str
    dtype: str
    losses: tuple[float, float]
    rows: tuple[Difference, ...]
    injected: tuple[str, ...] = ()


def against_autodiff(case: Case, dtype: str = "float32") -> Comparison:
    """Compare the handwritten gradients with TensorFlow's autodiff.

    Args:
      case: the step.
      dtype: float32, as training computes, or float64, where rounding hides nothing.
    """
    program = case.session.program
    workload, state = in_dtype(program.workload, case.state, dtype)
    expected, actual = (
        GradientProgram(
            workload, program.replicas, program.per_replica, autodiff=autodiff
        )(case.session, state, case.number, None)
        for autodiff in (True, False)
    )
    rows = compare_all(expected.gradients, actual.gradients)
    losses = (expected.loss, actual.loss)
    return Comparison("autodiff", "handwritten", dtype, losses, rows)


def with_injection(case: Case, injection: InjectionFile) -> Comparison:
    """Compare the gradients of a step with those of the same step with a fault.

    Args:
      case: the step; that of the injection is not looked at.
      injection: the fault.

    Raises:
      InputError: the injection does not fit the workload or its replicas.
      RuntimeError: the fault was not injected into all that it names.
    """
    program = case.session.program
    workload = program.workload
    if injection.model != workload.name:
        raise InputError(
            f"the injection is for {injection.model}, the step of {workload.name}; "
            f"name --workload {injection.model} or a golden run of it"
        )
    site, fault = fault_of(injection, case.session)
    row = fault.descriptor(program.table)
    gradients = GradientProgram(workload, program.replicas, program.per_replica)
    golden = gradients(case.session, case.state, case.number, None)
    faulty = gradients(case.session, case.state, case.number, row)
    hit = hit_of(injection, fault, site, faulty.record)
    before = from_words(hit.golden, site.dtype)
    after = [f"({fault.operation})"] * len(before)
    if hit.faulty is not None:
        after = from_words(hit.faulty, site.dtype)
    injected = tuple(
        f"{site.name} of replica {fault.replica} at "
        f"{'/'.join(map(str, position))}: {old} -> {new}"
        for position, old, new in zip(hit.positions, before, after, strict=True)
    )
    rows = compare_all(golden.gradients, faulty.gradients)
    losses = (golden.loss, faulty.loss)
    return Comparison("golden", "faulty", workload.dtype, losses, rows, injected)


def _number(session: Session, epoch: int, step: int) -> int:
    check_step(step, session.steps_per_epoch)
    return epoch * session.steps_per_epoch + step
