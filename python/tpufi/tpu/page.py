# SPDX-License-Identifier: Apache-2.0
"""docs/results/tpu.md, written from the results of all runs of tools/tpu_compile.py."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.faults.catalogue import NAMES
from tpufi.io import atomic_write
from tpufi.text_table import markdown_records
from tpufi.tpu.comparison import ARMED, CLEAN, UNIT, WATCHED

_KEY = ("model", "topology", "dtype", "replicas", "per_replica")
_HEADS = ("workload", "topology", "type", "chips", "batch")
_MEBIBYTE, _GIBIBYTE = 1 << 20, 1 << 30
_STORE = "tpu.json"
_HEAD = """# Training steps compiled for a TPU

Written by `tools/tpu_compile.py --page docs/results`; do not edit. A row is the step
of one replica: forward, backward and update; of several chips, what each of them runs,
with the sum of the gradients over all. State and batch are arguments, the new state is
a result. No TPU was used: the compiler of libtpu ran on a machine without one, and
cycles are its estimates. [docs/performance.md](../performance.md) says what they mean.

`clean` is the step without fault sites, which runs wherever no fault is injected.
`armed` is the step with sites, along the path on which no fault is injected. An
experiment of N steps has N - 1 clean steps and two armed ones, that of the fault and
its control. Of workloads with more than 1,500 sites the armed step has those of the
artefact's lists.
"""
_GOALS = """
## Goals

[Decision 0019](../decisions/0019-one-xla-form.md) says why some are missed.
"""
_UNITS = """
## A broken unit

The step of a training with one [broken unit](../how_to/broken_unit.md), whose place,
bits and moment are operands. `whole` is a step in which no operation draws an
injection, `broken` one in which all do: of each conditional the most expensive branch.
A loop within a branch counts once.
"""
_DETECTORS = """
## Detectors

What [detectors](../detectors.md) cost a clean step that they watch, in clean steps.
`exact_replay` costs the steps that it does again, not this one.
"""


@dataclasses.dataclass(frozen=True)
class _Goal:
    """What a figure of each step should be at most."""

    what: str
    most: float
    figure: Callable[[dict], float]

    def row(self, results: Sequence[dict]) -> dict:
        """Return how many steps meet it, and the worst."""
        worst = max(results, key=self.figure)
        met = sum(self.figure(r) <= self.most for r in results)
        return {
            "goal": self.what,
            "at most": f"{self.most:g}",
            "met by": f"{met} of {len(results)}",
            "worst": f"{self.figure(worst):.5g}: {worst['model']} {worst['dtype']}, "
            f"{worst['topology']}",
        }


def _armed_to_clean(entry: str) -> Callable[[dict], float]:
    """Return the function that divides an entry of the armed program by the clean's."""
    return lambda r: r["programs"][ARMED][entry] / r["programs"][CLEAN][entry]


_EACH_GOAL = (
    _Goal("experiment of 100 steps", 1.06, lambda r: r["experiment_100"]),
    _Goal("experiment of 1,000 steps", 1.01, lambda r: r["experiment_1000"]),
    _Goal("compiler's time, armed to clean", 5, _armed_to_clean("compiler_s")),
    _Goal(
        "compiler's GiB, armed",
        12,
        lambda r: r["programs"][ARMED]["compiler_bytes"] / _GIBIBYTE,
    ),
    _Goal("code, armed to clean", 2, _armed_to_clean("code_bytes")),
)


def result_line(result: dict) -> str:
    """Return the comparison on one line."""
    clean, armed = (result["programs"][name] for name in (CLEAN, ARMED))
    return (
        f"{result['model']} {result['dtype']} x {result['per_replica']} on "
        f"{result['topology']}: clean {clean['cycles']:,} estimated cycles, armed "
        f"{armed['cycles']:,} with {result['armed_sites']} sites, ratio "
        f"{result['ratio']:.2f}; an experiment of 100 steps "
        f"{result['experiment_100']:.3f}, of 1,000 {result['experiment_1000']:.4f}; "
        f"fault models {result['fault_models_accepted']} of {len(NAMES)}; host "
        f"transfers {result['host_transfers']}"
    )


def add_result(result: dict, folder: pathlib.Path) -> None:
    """Add a result to `tpu.json`, in place of one of the same step, and write the page.

    Programs of units and detectors that the one replaced has, and the other has not,
    stay if both have the same clean program.

    Args:
      result: what `tpufi.tpu.comparison.compare` returned.
      folder: folder of `tpu.json` and `tpu.md`.

    Raises:
      InputError: `tpu.json` is not what this function writes.
    """
    old = result_of(result, folder)
    if old and _clean(old) == _clean(result):
        result = {**result, "programs": old["programs"] | result["programs"]}
    others = [other for other in _stored(folder) if _key(other) != _key(result)]
    results = sorted([*others, result], key=_key)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(_lines(one) for one in results)
    _write(folder / _STORE, f"[\n{lines}\n]\n")
    _write(folder / "tpu.md", page(results))


def result_of(step: dict, folder: pathlib.Path) -> dict | None:
    """Return the page's result of a step, if it was made by the same versions.

    Args:
      step: the entries of a result that say what was compared, and `versions`.
      folder: folder of `tpu.json`.

    Raises:
      InputError: `tpu.json` is not what `add_result` writes.
    """
    for old in _stored(folder):
        if _key(old) == _key(step) and old["versions"] == step["versions"]:
            return old
    return None


def page(results: Sequence[dict]) -> str:
    """Return the page of some results."""
    if not results:
        return f"{_HEAD}\nNo workload is compiled in this form yet: run `./dev tpu`.\n"
    steps = [
        {
            **{head: r[name] for head, name in zip(_HEADS, _KEY, strict=True)},
            "sites": f"{r['armed_sites']:,} of {r['sites']:,}",
            "clean": f"{r['programs'][CLEAN]['cycles']:,}",
            "armed": f"{r['programs'][ARMED]['cycles']:,}",
            "ratio": f"{r['ratio']:.2f}",
            "100 steps": f"{r['experiment_100']:.3f}",
            "1,000 steps": f"{r['experiment_1000']:.4f}",
            "fault models": f"{r['fault_models_accepted']} of {len(NAMES)}",
            "host transfers": r["host_transfers"],
        }
        for r in results
    ]
    programs = [
        {
            "step": f"{r['model']} {r['dtype']}",
            "topology": r["topology"],
            "chips": r["replicas"],
            "program": ", ".join(names),
            **_sizes([r["programs"][name] for name in names]),
            "libtpu": r["versions"]["libtpu"],
        }
        for r in results
        for names in _rows(r["programs"])
    ]
    units = [
        {
            **{head: r[name] for head, name in zip(_HEADS, _KEY, strict=True)},
            "unit": name.removeprefix(UNIT),
            "clean": f"{clean:,}",
            "whole": f"{p['cycles']:,}",
            "broken": f"{p['cycles_with_branches']:,}",
            "whole / clean": f"{p['cycles'] / clean:.2f}",
            "broken / clean": f"{p['cycles_with_branches'] / clean:.2f}",
        }
        for r in results
        for clean in [r["programs"][CLEAN]["cycles"]]
        for name, p in r["programs"].items()
        if name.startswith(UNIT)
    ]
    watched = _watched(results)
    versions = {json.dumps(r["versions"], sort_keys=True) for r in results}
    names = "; ".join(
        ", ".join(f"{n} {v}" for n, v in json.loads(one).items())
        for one in sorted(versions)
    )
    return "\n".join(
        (
            _HEAD,
            markdown_records(steps),
            _GOALS,
            markdown_records([goal.row(results) for goal in _EACH_GOAL]),
            *((_UNITS, markdown_records(units)) if units else ()),
            *((_DETECTORS, markdown_records(watched)) if watched else ()),
            "\n## The programs\n\nWhat the compiler took is processor time and the "
            "largest resident memory.\n",
            markdown_records(programs),
            f"\nVersions: TensorFlow {tf.__version__}, {names}.\n",
        )
    )


def _rows(programs: Iterable[str]) -> list[list[str]]:
    """Return the programs that have a row: clean and armed share one."""
    units = [[name] for name in programs if name.startswith(UNIT)]
    return [[CLEAN, ARMED], *units]


def _sizes(programs: Sequence[dict]) -> dict[str, str]:
    """Return the size of programs, and what the compiler took, with slashes between."""

    def each(entry: str, form: str, unit: int = 1) -> str:
        return " / ".join(format(p[entry] / unit, form) for p in programs)

    return {
        "fusions": each("fusions", ",.0f"),
        "conditionals": each("conditionals", ",.0f"),
        "code MiB": each("code_bytes", ".1f", _MEBIBYTE),
        "temporaries MiB": each("temporary_bytes", ".1f", _MEBIBYTE),
        "compiler s": each("compiler_s", ".0f"),
        "compiler GiB": each("compiler_bytes", ".1f", _GIBIBYTE),
    }


def detector_prices(folder: pathlib.Path) -> dict[str, dict[str, float]]:
    """Return the prices of detectors on the page, in clean steps.

    Args:
      folder: folder of `tpu.json`.

    Returns:
      By step, as the page names it, and by detector or set of them.

    Raises:
      InputError: `tpu.json` is not what `add_result` writes.
    """
    return _ratios(_stored(folder))


def _ratios(results: Sequence[dict]) -> dict[str, dict[str, float]]:
    """Return the same of some results."""
    found: dict[str, dict[str, float]] = {}
    for r in results:
        step = f"{r['model']} {r['dtype']} x {r['per_replica']}, {r['topology']}"
        clean = r["programs"][CLEAN]["cycles"]
        for name, program in r["programs"].items():
            if name.startswith(WATCHED):
                own = found.setdefault(step, {})
                own[name.removeprefix(WATCHED)] = program["cycles"] / clean
    return found


def _watched(results: Sequence[dict]) -> list[dict]:
    """Return the rows of these prices, with a column for each step."""
    found = _ratios(results)
    names = sorted({name for own in found.values() for name in own})
    return [
        {"detector": name}
        | {
            step: f"{own[name]:.4f}" if name in own else ""
            for step, own in found.items()
        }
        for name in names
    ]


def _lines(result: dict) -> str:
    """Return a result as JSON: a line for what it says, one for each program."""
    programs = result["programs"]
    rest = {name: value for name, value in result.items() if name != "programs"}
    each = ",\n".join(
        f'  "{name}": {json.dumps(program)}' for name, program in programs.items()
    )
    return f' {json.dumps(rest)[:-1]}, "programs": {{\n{each}}}}}'


def _stored(folder: pathlib.Path) -> list[dict]:
    """Return the results that a folder has."""
    store = folder / _STORE
    if not store.exists():
        return []
    try:
        results = json.loads(store.read_text())
        for result in results:
            _key(result), _clean(result), result["versions"], result["armed_sites"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{store} is not a list of results ({error}); remove it to begin again"
        ) from error
    return results


def _key(result: dict) -> tuple:
    return tuple(result[name] for name in _KEY)


def _clean(result: dict) -> tuple:
    """Return what tells whether two results have the same clean program."""
    program = result["programs"][CLEAN]
    return program["cycles"], program["fusions"], program["code_bytes"]


def _write(path: pathlib.Path, text: str) -> None:
    with atomic_write(path) as scratch:
        scratch.write_text(text)
