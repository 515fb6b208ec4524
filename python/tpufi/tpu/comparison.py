# SPDX-License-Identifier: Apache-2.0
"""The step with all sites against the step without: one row of docs/results/tpu.md."""

import pathlib
from collections.abc import Callable, Iterator, Sequence

from tpufi.errors import InputError
from tpufi.layers.lowering import LEAN
from tpufi.layers.placement import Placement
from tpufi.layers.site_groups import Groups, halved
from tpufi.tpu.branch_costs import branch_costs, group_name, mean_ratio
from tpufi.tpu.branches_apart import compiled_apart
from tpufi.tpu.compiler import Compiled, compile_for
from tpufi.tpu.exported_step import CLEAN, StepVariant, export_step, site_kinds
from tpufi.tpu.own_process import in_a_process_of_its_own
from tpufi.tpu.request import Request, described
from tpufi.training.grouped import GROUPED, placement

ARMED = "armed"
Report = Callable[[str], None]


def compare(
    request: Request,
    *,
    by_group: bool = False,
    save: pathlib.Path | None = None,
    report: Report = lambda line: None,
) -> dict:
    """Compile the clean and the armed step and return what they cost.

    Args:
      request: what is to be compared.
      by_group: also compile a step for each kind of site alone.
      save: folder for the optimised programs; of branches apart, for those that are
        compiled now.
      report: called with a line before each compilation.

    Returns:
      A JSON object. `ratio` is armed over clean estimated cycles; of lowering
      `grouped` that of the dearest branch, and `branches` has all of them.
      `disarmed_ratio` is None if branches are compiled apart. `first_sites` are the
      groups as `tpufi.training.Program` takes them.

    Raises:
      InputError: a program does not compile, or the compiler gives no estimates.
    """
    workload = request.typed_workload
    kinds = site_kinds(workload)

    def compiled(variant: StepVariant) -> Compiled:
        module = _exported(request, variant, report)
        return _compiled(request, module, variant.name, save)

    where = placement(
        workload.sites(request.per_replica), request.lowering, request.groups
    )
    without = compiled(StepVariant(CLEAN, None))
    clean = _figures(request, without)
    cycles = clean["cycles"]
    branches: list[dict] = []
    spared = None
    if request.apart:
        step = described(request) | {"versions": without.figures["versions"]}
        found = _branches_apart(request, where, step, cycles, save, report)
        ids, figures = zip(*sorted(found, key=lambda one: one[0][0]), strict=True)
        where, armed = Placement(where.table, ids), _dearest(figures)
        taken = [cycles, *(branch["cycles"] for branch in figures)]
        branches = branch_costs(where, taken, cycles)[1:]
    else:
        program = compiled(StepVariant(ARMED, request.lowering, groups=request.groups))
        armed = _figures(request, program)
        spared = armed["disarmed_cycles"]
        if request.lowering == GROUPED:
            branches = branch_costs(where, program.cost.branch_cycles, cycles)
            spared = branches[0]["cycles"]
    alone = {
        kind: compiled(StepVariant(kind, LEAN, frozenset([kind]))).cost.cycles
        for kind in kinds
        if by_group
    }
    worst = max((branch["cycles"] for branch in branches), default=armed["cycles"])
    return described(request) | {
        "chip": without.figures["chip"],
        "sites": sum(kinds.values()),
        "compiles": True,
        "armed_cycles": worst,
        "ratio": round(worst / cycles, 4),
        "mean_ratio": round(mean_ratio(branches) if branches else worst / cycles, 4),
        "disarmed_ratio": spared and round(spared / cycles, 4),
        "host_transfers": clean["host_transfers"] + armed["host_transfers"],
        "programs": {CLEAN: clean, ARMED: armed},
        "branches": branches,
        "first_sites": [ids[0] for ids in where.groups],
        "groups": [
            {
                "kind": kind,
                "sites": kinds[kind],
                "cycles": taken,
                "ratio": round(taken / cycles, 4),
            }
            for kind, taken in alone.items()
        ],
        "versions": without.figures["versions"],
    }


def _exported(request: Request, variant: StepVariant, report: Report) -> bytes:
    """Export one program, and say so."""
    workload = request.typed_workload
    report(f"{workload.name}: compiling {variant.name} for {request.topology}")
    what = workload, request.per_replica, variant, request.replicas
    return in_a_process_of_its_own(export_step, *what)


def _compiled(
    request: Request, module: bytes, name: str, save: pathlib.Path | None
) -> Compiled:
    """Compile one program; its text goes to the folder `save`."""
    compiled = compile_for(
        module,
        request.topology,
        request.replicas,
        estimates_only=request.without_code_passes,
    )
    if save:
        save.mkdir(parents=True, exist_ok=True)
        path = save / f"{request.workload.name}_{name.replace('/', '_')}.txt"
        path.write_text(compiled.text)
    return compiled


def _branches_apart(
    request: Request,
    where: Placement,
    step: dict,
    clean: int,
    save: pathlib.Path | None,
    report: Report,
) -> Iterator[tuple[Sequence[int], dict]]:
    """Yield sites and figures of each branch, compiled as a program of its own."""
    table = where.table

    def export(ids: Sequence[int]) -> bytes:
        variant = StepVariant(group_name(table, ids), LEAN, ids=ids)
        return _exported(request, variant, report)

    def compiled(ids: Sequence[int], module: bytes) -> dict:
        name = f"{ARMED}_{ids[0]}-{ids[-1]}"
        return _figures(request, _compiled(request, module, name, save))

    def cut(ids: Sequence[int], figures: dict) -> Groups:
        if figures["cycles"] <= request.at_most * clean or len(ids) == 1:
            return ()
        return halved(table, ids)

    return compiled_apart(where.groups, request.apart, step, export, compiled, cut)


def _dearest(branches: Sequence[dict]) -> dict:
    """Return the figures of the dearest branch, with the host transfers of all."""
    transfers = sum(branch["host_transfers"] for branch in branches)
    worst = max(branches, key=lambda branch: branch["cycles"])
    return worst | {"host_transfers": transfers}


def _figures(request: Request, compiled: Compiled) -> dict:
    """Return the figures of one program; `host_transfers` is their number.

    What the compiler makes for estimates only says nothing of the size of the code.
    """
    cost, figures = compiled.cost, compiled.figures
    if cost.cycles == 0:
        raise InputError(
            "the compiled program names no estimated cycles; this libtpu writes other "
            "text than the pinned one, use the versions in requirements-tpu.lock"
        )
    sizes = {n: v for n, v in figures.items() if n not in ("versions", "chip")}
    if request.without_code_passes:
        sizes["code_bytes"] = None
    return {
        "cycles": cost.cycles,
        "disarmed_cycles": cost.disarmed_cycles,
        "copied_bytes": cost.copied_bytes,
        "fusions": cost.fusions,
        "conditionals": cost.conditionals,
        "host_transfers": len(cost.host_transfers) + int(figures["host_bytes"] > 0),
    } | sizes
