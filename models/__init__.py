# SPDX-License-Identifier: Apache-2.0
"""The workloads, one per file."""

from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.models import (
    decoder,
    densenet,
    densenet_reference,
    effnet,
    effnet_reference,
    nfnet,
    resnet18,
    resnet18_nobn,
    resnet18_sgd,
)
from tpufi.site_table import SiteTable
from tpufi.workload import Workload

__all__ = ["WORKLOADS", "sites", "workload"]

WORKLOADS = {
    module.WORKLOAD.name: module.WORKLOAD
    for module in (
        densenet,
        densenet_reference,
        effnet,
        effnet_reference,
        nfnet,
        resnet18,
        resnet18_nobn,
        resnet18_sgd,
        decoder,
    )
}


def workload(name: str) -> Workload:
    """Return the workload called `name`.

    Raises:
      InputError: there is none; the message lists the known ones.
    """
    if name not in WORKLOADS:
        raise InputError(
            f"workload {quote(name)} is not available; known: {', '.join(WORKLOADS)}"
        )
    return WORKLOADS[name]


def sites(of: str | Workload, per_replica: int = 128) -> SiteTable:
    """Return the table of all fault sites of a workload.

    Args:
      of: a workload or its name.
      per_replica: examples of one replica in a step, >= 1; positions count within them.

    Raises:
      InputError: there is no such workload, or no example.

    Example:
      >>> import tpufi
      >>> tpufi.sites("resnet18")[0].name
      'conv1/forward/input'
    """
    if per_replica < 1:
        raise InputError(f"batch of {per_replica} per replica; choose 1 or more")
    return (workload(of) if isinstance(of, str) else of).sites(per_replica)
