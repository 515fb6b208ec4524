# SPDX-License-Identifier: Apache-2.0
"""What is to be compiled for a TPU and compared."""

import dataclasses
import math
import pathlib

from tpufi.training.grouped import Cut
from tpufi.workload import Workload

DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be compared.

    Args:
      workload: what is trained.
      topology: name that libtpu knows.
      per_replica: examples of a replica, >= 1.
      lowering: see `tpufi.training.Program`.
      dtype: element type in place of the workload's own, or None.
      replicas: chips that run the step together, >= 1.
      groups: groups of sites of lowering `grouped`; see `tpufi.training.Program`.
      apart: folder for the figures of branches, each compiled as a program of its own,
        lowering `grouped` only; None: all branches in one program.
      at_most: apart, a branch of a larger ratio is cut in two, as long as it has sites.
      estimates_only: leave out what improves the code only.
    """

    workload: Workload
    topology: str
    per_replica: int
    lowering: str
    dtype: str | None = None
    replicas: int = 1
    groups: Cut = None
    apart: pathlib.Path | None = None
    at_most: float = math.inf
    estimates_only: bool = False

    @property
    def typed_workload(self) -> Workload:
        """The workload, with the element type that is asked for."""
        if self.dtype is None:
            return self.workload
        return dataclasses.replace(self.workload, dtype=self.dtype)

    @property
    def without_code_passes(self) -> bool:
        """Whether what improves the code only is left out: apart, of all programs.

        It can change what the compiler estimates, so both sides of a comparison are
        compiled alike (decision 0015).
        """
        return self.estimates_only or self.apart is not None


def described(request: Request) -> dict:
    """Return the entries of a result that say what is compared."""
    return {
        "model": request.workload.name,
        "topology": request.topology,
        "dtype": request.dtype or request.workload.dtype,
        "replicas": request.replicas,
        "per_replica": request.per_replica,
        "lowering": request.lowering,
    }
