# SPDX-License-Identifier: Apache-2.0
"""What the process that leads a campaign has to know of its subject.

It is found out in a process of its own: TensorFlow cannot be made deterministic, nor
given a number of threads, in one where it runs already.
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tpufi._library import host
from tpufi.campaign.inference.inference_file import named_parts
from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.inference.subject import Subject, layout, set_up
from tpufi.campaign.inference.user_file import users_code
from tpufi.campaign.journal.manifest import Manifest, files_digest, plan_text
from tpufi.instrument.graph_site import GraphSite
from tpufi.own_process import in_own_process

_LIBRARIES = ("_tpufi.so", "_tpufi_ops.so")


@dataclasses.dataclass(frozen=True)
class Survey:
    """A subject from outside.

    Args:
      plan: its plan.
      sites: those that faults can be injected into.
      items: inputs that are used.
      given: inputs that the file has.
      golden: digest of the golden answers.
      measures: (name, whether it is a truth value) of each.
    """

    plan: InferencePlan
    sites: tuple[GraphSite, ...]
    items: int
    given: int
    golden: str
    measures: tuple[tuple[str, bool], ...]

    @property
    def layout(self):
        """How experiments are numbered."""
        return layout(self.plan, list(self.sites), self.items)

    def manifest(self) -> Manifest:
        """Return what the rows of the campaign depend on."""
        files = [self.plan.inputs]
        if (part := named_parts(self.plan.measures))[1]:
            files.append(pathlib.Path(part[0]))
        libraries = pathlib.Path(host.__file__).parent
        identity = self.plan.identity() | {
            "items": self.items,
            "struck sites": [[s.name, s.op, s.dtype, s.size] for s in self.sites],
        }
        return Manifest(
            plan=plan_text(_Identified(identity)),
            golden=self.golden,
            data=files_digest(files),
            library=files_digest(libraries / name for name in _LIBRARIES),
            tensorflow=tf.__version__,
            numpy=np.__version__,
        )


@dataclasses.dataclass(frozen=True)
class _Identified:
    """Something with an identity."""

    entries: dict[str, object]

    def identity(self) -> dict[str, object]:
        """Return it."""
        return self.entries


def survey(plan: InferencePlan) -> Survey:
    """Return the survey of a plan's subject, made in a process of its own.

    Raises:
      InputError: a file of the plan is wrong, or what it holds does not fit.
    """
    return in_own_process("looks at the subject", _survey, plan)


def surveyed(plan: InferencePlan, subject: Subject) -> Survey:
    """Return the survey of a subject."""
    one = subject.golden_answers(0)[0]
    values = subject.judge.values(one, one)
    return Survey(
        plan,
        tuple(subject.sites),
        len(subject.chosen),
        subject.given,
        subject.golden_digest(),
        tuple((name, isinstance(value, bool)) for name, value in values.items()),
    )


def _survey(plan: InferencePlan) -> Survey:
    set_up(plan)
    with users_code(plan.program):
        return surveyed(plan, Subject(plan))
