# SPDX-License-Identifier: Apache-2.0
"""Inferences of a program as the subject of a campaign."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.inference.loaded import LoadedInference
from tpufi.campaign.inference.runner import InferenceRunner
from tpufi.campaign.journal.manifest import Manifest, files_digest
from tpufi.campaign.present_manifest import present_manifest
from tpufi.campaign.program_inputs import set_up
from tpufi.campaign.program_source import program_source
from tpufi.campaign.subject import Subject, no_sign
from tpufi.errors import InputError
from tpufi.faults.sampler import FaultSource
from tpufi.faults.unit_model import Addresses
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.program_space import ProgramSpace
from tpufi.own_process import in_own_process
from tpufi.user_file import named_parts, users_code

_RUNS = 4  # Of a batch, that a worker takes at once.


@dataclasses.dataclass(frozen=True)
class InferenceSubject(Subject):
    """Program and inputs of a plan, seen from outside.

    Args:
      plan: the plan.
      sites: those that faults can be injected into.
      addresses: of the units that can be drawn; None: none can.
      chosen: numbers of the inputs that are used.
      given: inputs that the file has.
      golden: digest of the golden answers.
      measures: (name, whether it is a truth value) of each.
    """

    plan: InferencePlan
    sites: tuple[GraphSite, ...]
    addresses: Addresses | None
    chosen: tuple[int, ...]
    given: int
    golden: str
    measures: tuple[tuple[str, bool], ...]

    @classmethod
    def of(cls, plan: InferencePlan) -> "InferenceSubject":
        """Return the subject of a plan, looked at in a separate process.

        TensorFlow cannot be made deterministic, nor given a number of threads, in one
        where it runs already.

        Raises:
          InputError: a file of the plan is wrong, or what it holds does not fit.
        """
        return in_own_process("looks at the program", _looked_at, plan)

    @classmethod
    def of_loaded(
        cls, plan: InferencePlan, loaded: LoadedInference
    ) -> "InferenceSubject":
        """Return the subject of a program that is loaded."""
        return cls(
            plan,
            tuple(loaded.space.graph.values()),
            loaded.space.addresses,
            tuple(loaded.chosen.tolist()),
            loaded.given,
            loaded.golden_digest(),
            loaded.measures(),
        )

    @property
    def title(self) -> str:
        return f"inference of {self.plan.program}"

    @property
    def origin(self) -> object:
        return self.plan.inputs

    @functools.cached_property
    def source(self) -> FaultSource:
        space = ProgramSpace.of_sites(self.sites, self.plan.batch, self.addresses)
        return program_source(space, self.plan.sampling, self.plan.injections)

    @property
    def golden_steps(self) -> int:
        return len(self.chosen)

    def item(self, number: int) -> int:
        return self.chosen[number % len(self.chosen)]

    def order(self, number: int) -> tuple[int, ...]:
        run, item = divmod(number, len(self.chosen))
        return item // self.plan.batch, run, item

    def window(self, asked: int) -> int:
        return len(self.chosen) * self.plan.rounds

    def block(self, asked: int) -> int:
        return _RUNS * self.plan.batch

    def open(self, alive: Callable[[], None] = no_sign) -> InferenceRunner:
        set_up(self.plan.threads)
        return self.opened(alive)

    def opened(self, alive: Callable[[], None] = no_sign) -> InferenceRunner:
        """Return the runner, in a process that has been set up.

        Raises:
          InputError: the golden answers are others here.
        """
        loaded = LoadedInference(self.plan, alive)
        if loaded.golden_digest(alive) != self.golden:
            raise InputError(
                "the golden answers of two processes differ: the program is not "
                "deterministic, or a file of the plan was changed; see to it"
            )
        return InferenceRunner(self, loaded)

    def manifest(self) -> Manifest:
        files = [self.plan.inputs]
        if (part := named_parts(self.plan.measures))[1]:
            files.append(pathlib.Path(part[0]))
        more = {
            "items": len(self.chosen),
            "sites": [[s.name, s.layer, s.direction, s.operand, s.op, s.dtype, s.size]
                      for s in self.sites],
        }  # fmt: skip
        return present_manifest(
            self.plan, self.source, self.golden, files_digest(files), more
        )

    def noted(self) -> dict[str, object]:
        return {
            "program": self.plan.program,
            "inputs": str(self.plan.inputs),
            "inputs given": self.given,
        }


def _looked_at(plan: InferencePlan) -> InferenceSubject:
    set_up(plan.threads)
    with users_code(plan.program):
        return InferenceSubject.of_loaded(plan, LoadedInference(plan))
