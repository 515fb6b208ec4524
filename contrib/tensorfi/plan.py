# SPDX-License-Identifier: Apache-2.0
"""Draws the faults of a run from TensorFI's configuration."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from tpufi.contrib.tensorfi.config import OperationConfig
from tpufi.contrib.tensorfi.fault_types import Rules, Tensor, change
from tpufi.contrib.tensorfi.operation_names import ALL, name_of, types_of
from tpufi.errors import InputError
from tpufi.faults.draws import Draws
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.profile import Execution
from tpufi.instrument.selection import MOVERS
from tpufi.instrument.site_fault import SiteFault

Golden = Callable[[Execution, Sequence[int]], np.ndarray]


class OperationPlan:
    """Faults in the results of operations.

    A result is the operation's first output. `ALL` stands for the floating-point
    results of operations that compute; others have faults if they are named.

    Args:
      config: what the file says.
    """

    def __init__(self, config: OperationConfig):
        self.config = config

    def choose(self, sites: Sequence[GraphSite]) -> frozenset[int]:
        """Return the ids of the sites that faults can be injected into.

        Raises:
          InputError: a named operation is not in the program (unless `legacy`), or no
            site is left.
        """
        named = self.config.probabilities
        present = {site.op for site in sites}
        for name in named:
            wanted = () if name == ALL else types_of(name)
            if wanted and not present.intersection(wanted) and not self.config.legacy:
                raise InputError(
                    f"Ops: the program has no operation {name} ({', '.join(wanted)}); "
                    f"it has {', '.join(sorted(present))}"
                )
        chosen = frozenset(site.id for site in sites if self._selects(site))
        if not chosen:
            raise InputError(
                f"Ops: {', '.join(named) or 'nothing'} selects none of the program's "
                f"operations: {', '.join(sorted(present))}"
            )
        return chosen

    def faults(
        self, run: int, executions: Sequence[Execution], golden: Golden
    ) -> list[SiteFault]:
        """Return the faults of run `run`, a pure function of it and the seed.

        Args:
          run: number of the run, >= 0.
          executions: all executions of the chosen sites in a run.
          golden: returns the bits that elements of an execution have.

        Raises:
          InputError: `Instances` says another number than there is.
        """
        config = self.config
        draws = Draws(config.seed, run)
        named = [(self._name(e.site), e) for e in executions]
        if config.mode == "errorRate":
            injected = [
                e for name, e in named[config.skip :] if self._hit(draws, name, e)
            ]
        elif config.mode == "dynamicInstance":
            fixed = Draws(config.seed, 0) if config.pin_instance else draws
            injected = self._one_of_each(fixed, named)
        elif config.mode == "oneFaultPerRun":
            injected = self._one(draws, named)
        else:
            injected = []
        changed = (self._fault(draws, execution, golden) for execution in injected)
        return [fault for fault in changed if fault is not None]

    def _selects(self, site: GraphSite) -> bool:
        name = self._name(site)
        if name is None or site.output != 0:
            return False
        computes = "float" in site.dtype and site.op not in MOVERS
        return name != ALL or computes

    def _name(self, site: GraphSite) -> str | None:
        return name_of(site.op, self.config.probabilities)

    def _hit(self, draws: Draws, name: str, execution: Execution) -> bool:
        number = draws.below(1 << 53, f"rate {_tag(execution)}")
        return number / (1 << 53) < self.config.probabilities[name]

    def _one_of_each(self, draws: Draws, named: list) -> list[Execution]:
        injected = []
        ordinal = {id(e): n for n, (_, e) in enumerate(named)}
        kind = {id(e): e.site.op if n == ALL else n for n, e in named}
        ordered = sorted((e for _, e in named), key=lambda e: kind[id(e)])
        for name, group in itertools.groupby(ordered, key=lambda e: kind[id(e)]):
            members = sorted(group, key=lambda e: ordinal[id(e)])
            count = self._declared(name, len(members))
            chosen = draws.below(count, f"instance {name}")
            if chosen < len(members) and ordinal[id(members[chosen])] >= self._skip:
                injected.append(members[chosen])
        return injected

    def _one(self, draws: Draws, named: list) -> list[Execution]:
        count = len(named)
        if self.config.instances:
            declared = sum(self.config.instances.values())
            if declared != count and not self.config.legacy:
                raise InputError(
                    f"Instances: {declared} executions in all, but a run has {count}; "
                    "correct them, or remove Instances: they are counted anyway"
                )
            count = declared
        if self.config.weight == "elements":
            sums = list(itertools.accumulate(e.size for _, e in named))
            chosen = draws.choose(sums, "instance")
        else:
            chosen = draws.below(count, "instance")
        inside = self._skip <= chosen < len(named)
        return [named[chosen][1]] if inside else []

    def _declared(self, name: str, count: int) -> int:
        declared = self.config.instances.get(name, count)
        if declared != count and not self.config.legacy:
            raise InputError(
                f"Instances: {name} = {declared}, but a run executes {count} of them; "
                "correct it, or remove Instances: they are counted anyway"
            )
        return declared

    @property
    def _skip(self) -> int:
        return self.config.skip

    def _fault(self, draws, execution: Execution, golden: Golden) -> SiteFault | None:
        config, site = self.config, execution.site
        scalar = site.shape == ()
        tensor = Tensor(
            site.dtype,
            execution.size,
            None if site.shape is None else len(site.shape),
            lambda elements: golden(execution, elements),
        )
        changed = change(
            config.scalar_type if scalar else config.tensor_type,
            tensor,
            Rules(config.bit_model, config.bit_count, config.legacy),
            draws,
            _tag(execution),
        )
        if changed is None:
            return None
        return SiteFault(site.id, *changed, iterations=execution.iterations)


def _tag(execution: Execution) -> str:
    iteration = execution.iterations[0] if execution.iterations else 0
    return f"{execution.site.id} {iteration}"
