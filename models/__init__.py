# SPDX-License-Identifier: Apache-2.0
"""The workloads, one per file."""

from tpufi.errors import InputError
from tpufi.models import (
    densenet,
    effnet,
    effnet_reference,
    nfnet,
    resnet18,
    resnet18_nobn,
    resnet18_sgd,
)
from tpufi.workload import Workload

WORKLOADS = {
    module.WORKLOAD.name: module.WORKLOAD
    for module in (
        densenet,
        effnet,
        effnet_reference,
        nfnet,
        resnet18,
        resnet18_nobn,
        resnet18_sgd,
    )
}


def workload(name: str) -> Workload:
    """Return the workload called `name`.

    Raises:
      InputError: there is none; the message lists the known ones.
    """
    if name not in WORKLOADS:
        raise InputError(
            f"workload {name!r} is not available; known: {', '.join(WORKLOADS)}"
        )
    return WORKLOADS[name]
