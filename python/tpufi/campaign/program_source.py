# SPDX-License-Identifier: Apache-2.0
"""What the faults of a program of the user come from: drawn, or of injection files."""

import pathlib
from typing import Any

from tpufi.campaign.own_models import own_digests
from tpufi.campaign.plan import allocation_entries, sampling_entries
from tpufi.campaign.plan_keys import (
    ONE_MOMENT,
    needs_operands,
    read_injections,
    read_sampling,
    refuse_drawing,
)
from tpufi.campaign.stop_rule import StopRule, read_stop_rule
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.injection_file import PROGRAM, DrawnInjection
from tpufi.faults.jsonl import fault_line
from tpufi.faults.plan import SamplingPlan, SiteSpace
from tpufi.faults.program_units import check_of_program
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
      InputError: one is not such a file, or is of a workload.
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


def check_program_sampling(sampling: SamplingPlan, ops: tuple[str, ...]) -> None:
    """Refuse units that no program has, and sites where no site is drawn.

    Args:
      sampling: what faults are drawn from.
      ops: patterns of the operation types to arm.

    Raises:
      InputError: there is such a unit, or what is said of sites serves nothing.
    """
    units = sampling.units
    for unit in units:
        try:
            check_of_program(unit)
        except InputError as error:
            raise InputError(f"faults: {error}") from None
    of_sites = ops or sampling.patterns or sampling.directions
    if of_sites and len(units) == len(sampling.models):
        raise InputError(
            "sites: a unit is in all products, and nothing else is drawn; leave sites, "
            "patterns and directions out"
        )


# Keys of a file that say what is drawn, and how often.
_OF_FAULTS = ("faults", "weights", "sites", "injections", "experiments", "stop")
_USUAL = ("FLIP",)


def read_program_faults(
    root: Node,
    values: dict[str, Any],
    folder: pathlib.Path,
    drawing: tuple[str, ...],
    **moments: Any,
) -> dict[str, Any]:
    """Return the values of a file, with fields of a plan for what is injected.

    Args:
      root: the content of the file.
      values: those of its keys.
      folder: what paths in it are relative to.
      drawing: keys that say what is drawn; `injections` stands for them.
      moments: `steps`, `durations` and `when`; an inference has one moment.

    Raises:
      InputError: a value is wrong; the message begins with `file:line`.
    """
    nodes, injections = root.value, ()
    experiments = values.get("experiments")
    if "injections" in nodes:
        refuse_drawing(nodes, drawing)
        injections = read_program_injections(nodes["injections"], folder)
        one_for_each = Node(
            nodes["injections"].where, "experiments", str(len(injections))
        )
        experiments = values.get("experiments", one_for_each)
    sites = values.get("sites", {})
    if "weights" in values:
        sites = {"weights": values["weights"]} | sites
    place = nodes.get("sites", root)
    moments = ONE_MOMENT | moments
    rest = {key: value for key, value in values.items() if key not in _OF_FAULTS}
    return rest | {
        "sampling": read_sampling(
            values.get("faults"), sites, place, folder, _USUAL, **moments
        ),
        "injections": injections,
        "ops": sites.get("ops", ()),
        "stop": read_stop_rule(experiments, values.get("stop")),
    }


def fault_entries(
    sampling: SamplingPlan, injections: tuple[Fault, ...], stop: StopRule
) -> dict[str, object]:
    """Return what a plan injects, as plain JSON values of its identity."""
    return {
        "sampling": sampling_entries(sampling),
        "injections": [fault_line(fault) for fault in injections],
        "own models": own_digests(model for model, _ in sampling.models),
        **allocation_entries(stop),
    }


def inject_into_operands(sampling: SamplingPlan, injections: tuple[Fault, ...]) -> bool:
    """Return whether a fault is in what a multiplication reads."""
    if not injections:
        return needs_operands(sampling)
    return any(fault.site.rpartition(":")[2].startswith("in") for fault in injections)
