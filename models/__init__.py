# SPDX-License-Identifier: Apache-2.0
"""The workloads, one per file."""

import functools
import importlib

import tpufi
from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.site_table import SiteTable

__all__ = ["WORKLOADS", "sites", "workload"]

# Each is a file of this folder with a `WORKLOAD` of this name.
NAMES = (
    "densenet",
    "densenet_reference",
    "effnet",
    "effnet_reference",
    "nfnet",
    "resnet18",
    "resnet18_nobn",
    "resnet18_sgd",
    "decoder",
)
WORKLOADS: "dict[str, tpufi.workload.Workload]"


@functools.cache
def _workloads() -> "dict[str, tpufi.workload.Workload]":
    # Made when they are first asked for: the names are read without TensorFlow.
    files = {name: importlib.import_module(f"{__name__}.{name}") for name in NAMES}
    return {name: file.WORKLOAD for name, file in files.items()}


def __getattr__(name: str) -> object:
    if name != "WORKLOADS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _workloads()


def workload(name: str) -> "tpufi.workload.Workload":
    """Return the workload called `name`.

    Raises:
      InputError: there is none; the message lists the known ones.
    """
    known = _workloads()
    if name not in known:
        raise InputError(
            f"workload {quote(name)} is not available; known: {', '.join(known)}"
        )
    return known[name]


def sites(of: "str | tpufi.workload.Workload", per_replica: int = 128) -> SiteTable:
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
