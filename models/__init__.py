# SPDX-License-Identifier: Apache-2.0
"""The workloads, one per file; and those in files of users."""

import dataclasses
import functools
import importlib

import tpufi
from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.site_table import SiteTable
from tpufi.user_file import named_parts, python_object, whole_path

__all__ = ["WORKLOADS", "any_workload", "sites", "workload"]

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


def any_workload(name: str) -> "tpufi.workload.Workload":
    """Return the workload called `name`, or that of a Python file.

    Args:
      name: a known name, or `file.py:NAME`; the file is run, once in a process. The
        workload has this for its name, with the whole path.

    Raises:
      InputError: there is none, or the file does not hold one.
    """
    return _of_file(whole_path(name)) if named_parts(name)[1] else workload(name)


@functools.cache
def _of_file(where: str) -> "tpufi.workload.Workload":
    found = python_object(where)
    if not isinstance(found, tpufi.workload.Workload):
        raise InputError(
            f"{where}: {type(found).__name__}; expected a tpufi.Workload "
            "(docs/how_to/own_workload.md)"
        )
    return dataclasses.replace(found, name=where)


def sites(of: "str | tpufi.workload.Workload", per_replica: int = 128) -> SiteTable:
    """Return the table of all fault sites of a workload.

    Args:
      of: a workload or its name, as `any_workload` takes it.
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
    return (any_workload(of) if isinstance(of, str) else of).sites(per_replica)
