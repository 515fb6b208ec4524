# SPDX-License-Identifier: Apache-2.0
"""The clean and the armed step of a workload, compiled for a TPU: a row of the page."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from tpufi.descriptor import disarmed
from tpufi.detect.detector import Detector
from tpufi.errors import InputError
from tpufi.faults.broken_unit import kind_text
from tpufi.own_process import in_own_process
from tpufi.tpu.accepted_models import accepted_models
from tpufi.tpu.compiler import compile_for
from tpufi.tpu.export import export_step, export_watched_step
from tpufi.tpu.request import Request, described
from tpufi.units import Unit, UnitFault

CLEAN, ARMED, UNIT, WATCHED = "clean", "armed", "unit ", "watched "
_IN_NAMES = str.maketrans(" :/", "___")
Report = Callable[[str], None]
Export = Callable[[], bytes]
_EXPERIMENTS = (100, 1000)


def compare(
    request: Request,
    *,
    save: pathlib.Path | None = None,
    report: Report = lambda line: None,
) -> dict:
    """Compile the clean and the armed step and return what they cost.

    Args:
      request: what is to be compared.
      save: folder for the optimised programs.
      report: called with a line before each compilation.

    Returns:
      A JSON object. `experiment_N` is what an experiment of N steps with one fault and
      its control step costs, in clean steps: both are steps of the armed program, along
      the path on which no fault is injected, and the others are clean.

    Raises:
      InputError: a program does not compile, or the compiler gives no estimates.
    """
    exports = {
        CLEAN: _exported(request, export_step, fault=None),
        ARMED: _exported(request, export_step, fault=disarmed(), sites=request.sites),
    }
    programs = {
        name: _compiled(request, name, export, save, report)
        for name, export in exports.items()
    }
    clean, armed = programs[CLEAN], programs[ARMED]
    versions, chip = (clean.pop(key) for key in ("versions", "chip"))
    for key in ("versions", "chip"):
        armed.pop(key)
    ratio = armed["cycles"] / clean["cycles"]
    table = request.workload.sites(request.per_replica)
    report(f"{request.workload.name}: trying the fault models")
    return described(request) | {
        "chip": chip,
        "sites": len(table),
        "armed_sites": len(request.sites or table),
        "fault_models_accepted": len(
            accepted_models(request.typed_workload, request.sites)
        ),
        "ratio": round(ratio, 4),
        **{
            f"experiment_{steps}": round((steps - 1 + 2 * ratio) / steps, 4)
            for steps in _EXPERIMENTS
        },
        "compile_ratio": round(armed["compiler_s"] / clean["compiler_s"], 2),
        "host_transfers": clean["host_transfers"] + armed["host_transfers"],
        "programs": programs,
        "versions": versions,
    }


def with_unit(
    result: dict,
    request: Request,
    unit: Unit,
    *,
    save: pathlib.Path | None = None,
    report: Report = lambda line: None,
) -> dict:
    """Return a result with one more program: the step with a unit that may be broken.

    Args:
      result: what `compare` returned of the same request.
      request: what was compared.
      unit: the unit; its place is a run-time operand.
      save: folder for the optimised program.
      report: called with a line before the compilation.

    Raises:
      InputError: the program does not compile, or the compiler gives no estimates.
    """
    name = UNIT + kind_text(unit)
    exported = _exported(request, export_step, fault=UnitFault(unit).whole)
    return _with(result, name, _compiled(request, name, exported, save, report))


def with_detectors(
    result: dict,
    request: Request,
    name: str,
    detectors: Mapping[str, Detector],
    *,
    save: pathlib.Path | None = None,
    report: Report = lambda line: None,
) -> dict:
    """Return a result with one more program: the clean step under detectors.

    Args:
      result: what `compare` returned of the same request.
      request: what was compared.
      name: of the detectors, as the page has it.
      detectors: by name.
      save: folder for the optimised program.
      report: called with a line before the compilation.

    Raises:
      InputError: the program does not compile, or the compiler gives no estimates.
    """
    name = WATCHED + name
    exported = _exported(request, export_watched_step, detectors=detectors)
    return _with(result, name, _compiled(request, name, exported, save, report))


def _with(result: dict, name: str, program: dict) -> dict:
    """Return a result with one more program."""
    for key in ("versions", "chip"):
        program.pop(key)
    programs = result["programs"] | {name: program}
    transfers = result["host_transfers"] + program["host_transfers"]
    return result | {"programs": programs, "host_transfers": transfers}


def _exported(request: Request, export: Callable[..., bytes], **what: Any) -> Export:
    """Return what exports a program of a request, in a separate process."""
    given = request.typed_workload, request.per_replica, request.replicas
    return lambda: in_own_process("exports a step", export, *given, **what)


def _compiled(
    request: Request,
    name: str,
    export: Export,
    save: pathlib.Path | None,
    report: Report,
) -> dict:
    """Export and compile one program; its text goes to the folder `save`."""
    workload = request.workload
    report(f"{workload.name}: compiling {name} for {request.topology}")
    module = export()
    compiled = compile_for(module, request.topology, request.replicas)
    if save:
        save.mkdir(parents=True, exist_ok=True)
        file = f"{workload.name}_{name}.txt".translate(_IN_NAMES)
        (save / file).write_text(compiled.text)
    cost, figures = compiled.cost, compiled.figures
    if cost.cycles == 0:
        raise InputError(
            "the compiled program names no estimated cycles; this libtpu writes other "
            "text than the pinned one, use the versions in requirements-tpu*.lock"
        )
    return {
        "cycles": cost.cycles_without_branches,
        "cycles_with_branches": cost.cycles_with_branches,
        "cycles_of_all": cost.cycles,
        "fusions": cost.fusions,
        "conditionals": cost.conditionals,
        "host_transfers": len(cost.host_transfers) + int(figures.pop("host_bytes") > 0),
        "module_bytes": len(module),
    } | figures
