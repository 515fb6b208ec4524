# SPDX-License-Identifier: Apache-2.0
"""What is to be compiled for a TPU and compared."""

import dataclasses

from tpufi.faults.artefact_lists import sampling_list
from tpufi.faults.injection import STAGES
from tpufi.workload import Workload

DTYPES = ("float32", "bfloat16")
MOST_SITES = 1500  # An armed program of more has those of the artefact's lists.
_OPERANDS = ("input", "weight", "output")


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be compared.

    Args:
      workload: what is trained.
      topology: name that libtpu knows.
      per_replica: examples of a replica, >= 1.
      dtype: element type in place of the workload's own, or None.
      replicas: chips that run the step together, >= 1.
    """

    workload: Workload
    topology: str
    per_replica: int
    dtype: str | None = None
    replicas: int = 1

    @property
    def typed_workload(self) -> Workload:
        """The workload, with the element type that is asked for."""
        if self.dtype is None:
            return self.workload
        return dataclasses.replace(self.workload, dtype=self.dtype)

    @property
    def sites(self) -> tuple[str, ...] | None:
        """Names of the sites of the armed program; None: all.

        Of a workload with more than MOST_SITES they are operands and results of the
        layers that the artefact's campaigns drew from, forward and backward.
        """
        table = self.workload.sites(self.per_replica)
        if len(table) <= MOST_SITES:
            return None
        places = [(layer, "forward") for layer in self._listed(STAGES[0])]
        places += [_backward(layer) for layer in self._listed(STAGES[1])]
        names = (
            f"{layer}/{direction}/{operand}"
            for layer, direction in places
            for operand in _OPERANDS
        )
        # A variant may lack a layer of its family's list.
        return tuple(name for name in dict.fromkeys(names) if name in table)

    def _listed(self, stage: str) -> tuple[str, ...]:
        return sampling_list(self.workload.name, stage)


def described(request: Request) -> dict:
    """Return the entries of a result that say what is compared."""
    return {
        "model": request.workload.name,
        "topology": request.topology,
        "dtype": request.dtype or request.workload.dtype,
        "replicas": request.replicas,
        "per_replica": request.per_replica,
    }


def _backward(name: str) -> tuple[str, str]:
    """Return layer and direction of a layer that the artefact names for backward."""
    for direction in ("grad_in", "grad_wt"):
        if name.endswith(f"_{direction}"):
            return name.removesuffix(f"_{direction}"), direction
    raise ValueError(f"{name} names no gradient")
