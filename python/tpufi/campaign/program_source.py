# SPDX-License-Identifier: Apache-2.0
"""What the faults of a program of the user come from: drawn, or of injection files."""

import pathlib

from tpufi.campaign.plan_keys import read_injections
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.injection_file import PROGRAM, DrawnInjection
from tpufi.faults.plan import SamplingPlan, SiteSpace
from tpufi.faults.sampler import FaultSource, GivenFaults, Sampler
from tpufi.yaml_reader import Node


def program_source(
    space: SiteSpace, sampling: SamplingPlan, injections: tuple[Fault, ...]
) -> FaultSource:
    """Return the source of a plan's faults.

    Args:
      space: where faults can be injected.
      sampling: what they are drawn from.
      injections: in place of drawn ones; empty: they are drawn.

    Raises:
      InputError: a fault model or an injection does not fit the sites.
    """
    if not injections:
        return Sampler(space, sampling)
    for fault in injections:
        fault.check(space.table[space.table.id_of(fault.site)])
    return GivenFaults(injections, space.table)


def read_program_injections(node: Node, folder: pathlib.Path) -> tuple[Fault, ...]:
    """Return the faults of injection files of a program.

    Args:
      node: a list of files and folders.
      folder: what they are relative to.

    Raises:
      InputError: one is no such file, or of a workload.
    """
    found = []
    for name, injection in read_injections(node, folder):
        if not isinstance(injection, DrawnInjection) or injection.model != PROGRAM:
            raise InputError(
                f"{node.where}: injections: {name}: of workload {injection.model}; a "
                f"program takes files with model,{PROGRAM}"
            )
        if injection.drawn.epoch:
            raise InputError(
                f"{node.where}: injections: {name}: target_epoch "
                f"{injection.drawn.epoch}; all steps of a program are those of epoch 0"
            )
        found.append(injection.drawn)
    return tuple(found)


def counted_files(nodes: dict[str, Node], injections: tuple[Fault, ...]) -> Node:
    """Return the value of `experiments` where it is not there: one for each file."""
    return Node(nodes["injections"].where, "experiments", str(len(injections)))


def inject_into_operands(injections: tuple[Fault, ...]) -> bool:
    """Return whether a fault is in what a multiplication reads."""
    return any(fault.site.rpartition(":")[2].startswith("in") for fault in injections)
