# SPDX-License-Identifier: Apache-2.0
"""The step with all sites against the step without: one row of docs/results/tpu.md."""

import dataclasses
import pathlib
from collections.abc import Callable

from tpufi.errors import InputError
from tpufi.layers.lowering import LEAN
from tpufi.tpu.branch_costs import branch_costs, mean_ratio
from tpufi.tpu.compiler import Compiled, compile_for
from tpufi.tpu.exported_step import CLEAN, StepVariant, export_step, site_kinds
from tpufi.training.grouped import GROUPED, GROUPS
from tpufi.workload import Workload

DTYPES = ("float32", "bfloat16")
ARMED = "armed"


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
      groups: how many groups of sites lowering `grouped` has, >= 1.
    """

    workload: Workload
    topology: str
    per_replica: int
    lowering: str
    dtype: str | None = None
    replicas: int = 1
    groups: int = GROUPS


def compare(
    request: Request,
    *,
    by_group: bool = False,
    save: pathlib.Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict:
    """Compile the clean and the armed step and return what they cost.

    Args:
      request: what is to be compared.
      by_group: also compile a step for each kind of site alone.
      save: folder for the optimised programs.
      report: called with a line before each compilation.

    Returns:
      A JSON object. `ratio` is armed over clean estimated cycles; of lowering
      `grouped` that of the dearest branch, and `branches` has all of them.

    Raises:
      InputError: a program does not compile, or exchanges data with its host.
    """
    workload = request.workload
    if request.dtype:
        workload = dataclasses.replace(workload, dtype=request.dtype)
    kinds = site_kinds(workload)
    variants = [
        StepVariant(CLEAN, None),
        StepVariant(ARMED, request.lowering, groups=request.groups),
    ]
    if by_group:
        variants += [StepVariant(kind, LEAN, frozenset([kind])) for kind in kinds]
    programs: dict[str, dict] = {}
    branches: list[dict] = []
    for variant in variants:
        report(f"{workload.name}: compiling {variant.name} for {request.topology}")
        module = export_step(workload, request.per_replica, variant, request.replicas)
        compiled = compile_for(module, request.topology, request.replicas)
        if save:
            _save(compiled, save, f"{workload.name}_{variant.name}")
        programs[variant.name] = _figures(compiled)
        if variant.lowering == GROUPED:
            branches = branch_costs(
                workload.sites(request.per_replica),
                request.groups,
                compiled.cost.branch_cycles,
                programs[CLEAN]["cycles"],
            )
        versions, chip = compiled.figures["versions"], compiled.figures["chip"]
    clean, armed = programs[CLEAN]["cycles"], programs[ARMED]["cycles"]
    worst = max((branch["cycles"] for branch in branches), default=armed)
    spared = programs[ARMED]["disarmed_cycles"]
    if branches:
        spared = branches[0]["cycles"]
    return described(request) | {
        "chip": chip,
        "sites": sum(kinds.values()),
        "compiles": True,
        "armed_cycles": worst,
        "ratio": round(worst / clean, 4),
        "mean_ratio": round(mean_ratio(branches) if branches else worst / clean, 4),
        "disarmed_ratio": round(spared / clean, 4),
        "host_transfers": sum(p["host_transfers"] for p in programs.values()),
        "programs": {name: programs[name] for name in (CLEAN, ARMED)},
        "branches": branches,
        "groups": [
            {
                "kind": kind,
                "sites": kinds[kind],
                "cycles": programs[kind]["cycles"],
                "ratio": round(programs[kind]["cycles"] / clean, 4),
            }
            for kind in kinds
            if by_group
        ],
        "versions": versions,
    }


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


def _figures(compiled: Compiled) -> dict:
    """Return the figures of one program; `host_transfers` is their number."""
    cost, figures = compiled.cost, compiled.figures
    if cost.cycles == 0:
        raise InputError(
            "the compiled program names no estimated cycles; this libtpu writes other "
            "text than the pinned one, use the versions in requirements-tpu.lock"
        )
    keep = [n for n in figures if n not in ("versions", "chip")]
    return {
        "cycles": cost.cycles,
        "disarmed_cycles": cost.disarmed_cycles,
        "copied_bytes": cost.copied_bytes,
        "fusions": cost.fusions,
        "conditionals": cost.conditionals,
        "host_transfers": len(cost.host_transfers) + int(figures["host_bytes"] > 0),
    } | {name: figures[name] for name in keep}


def _save(compiled: Compiled, folder: pathlib.Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.replace('/', '_')}.txt").write_text(compiled.text)
