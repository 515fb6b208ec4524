# SPDX-License-Identifier: Apache-2.0
"""The sites of a workload with what a sampler must know about each."""

import dataclasses
from collections.abc import Mapping

import tpufi
from tpufi.errors import InputError
from tpufi.faults.operation import Operation, operation
from tpufi.site_table import Site, SiteTable

_MULTIPLYING = ("forward", "grad_in", "grad_wt")
_OPERANDS = ("input", "weight", "output")


@dataclasses.dataclass(frozen=True, eq=False)
class SiteSpace:
    """Where faults of one workload can strike.

    Args:
      workload: its name, as the artefact's sampling lists know it.
      table: its sites.
      operations: (layer, direction) -> the convolution computed there.
      macs: layer -> multiply-accumulates of its forward pass for one replica; each of
        its gradients takes as many. Layers that multiply nothing may be left out.
    """

    workload: str
    table: SiteTable
    operations: Mapping[tuple[str, str], Operation]
    macs: Mapping[str, int]

    @classmethod
    def of(cls, workload: "tpufi.Workload", per_replica: int = 128) -> "SiteSpace":
        """Return the space of a workload.

        Args:
          workload: the workload.
          per_replica: images of one replica, >= 1.

        Raises:
          InputError: `per_replica` is below 1.
        """
        if per_replica < 1:
            raise InputError(f"batch of {per_replica} per replica; choose 1 or more")
        table = workload.sites(per_replica)
        by_place: dict[tuple[str, str], dict[str, Site]] = {}
        for site in table:
            place = by_place.setdefault((site.layer, site.direction), {})
            place[site.operand] = site
        operations, macs = {}, {}
        for layer, shape in workload.layers:
            macs[layer.name] = layer.macs(shape, per_replica)
            for direction in _MULTIPLYING:
                sites = by_place.get((layer.name, direction), {})
                found = operation(layer, direction, sites)
                if found is not None:
                    operations[layer.name, direction] = found
        return cls(workload.name, table, operations, macs)

    def operation_of(self, site: Site) -> Operation | None:
        """Return the convolution whose input, weight or output `site` is, or None."""
        if site.operand not in _OPERANDS:
            return None
        return self.operations.get((site.layer, site.direction))

    def macs_of(self, site: Site) -> int:
        """Return the multiply-accumulates of the operation that reads or makes `site`.

        0 for tensors that no multiplication reads or makes, e.g. batch statistics.
        """
        if site.direction not in _MULTIPLYING or site.operand not in _OPERANDS:
            return 0
        return self.macs.get(site.layer, 0)
