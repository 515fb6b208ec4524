# SPDX-License-Identifier: Apache-2.0
"""docs/results/tpu.md, written from the results of all runs of tools/tpu_compile.py."""

import json
import pathlib
from collections.abc import Iterable, Sequence

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.whole_file import appearing_whole

_KEY = ("model", "topology", "dtype", "replicas", "per_replica", "lowering")
_MEBIBYTE = 1 << 20
_STORE = "tpu.json"
_HEAD = """# Training steps compiled for a TPU

Written by `tools/tpu_compile.py --page docs/results`; do not edit. A row is the step of
one replica, forward, backward and update, without the loop over virtual replicas; of
several chips, what each of them runs, with the sum of the gradients over all. State
and batch are arguments, the new state is a result. No TPU was used: libtpu's compiler
ran on a machine without one, and the cycles are its estimates, summed over all fusions
of the optimised program. [docs/performance.md](../performance.md) says what they mean.

Lowering `lean` runs all sites in every step. Lowering `grouped` is one program too, of
which a step runs one branch: without a fault that without sites (`no fault`), with a
fault that of the struck site's group. Its `armed` and `ratio` are those of the dearest
branch, what is around the branches included; `mean` is that of a fault at any site.
Groups that are `apart` were compiled one by one, each as a program of its own with the
sites of one group. All programs of such a row, `clean` too, are without the passes that
only improve the code; it has neither a figure without a fault, which is that of the
program without sites, nor one of the code. Sizes are those of the dearest.
"""


def result_line(result: dict) -> str:
    """Return the comparison on one line."""
    clean, armed = result["programs"]["clean"], result["armed_cycles"]
    spared = result["disarmed_ratio"]
    spared = "" if spared is None else f", without a fault {spared:.3f}"
    return (
        f"{result['model']} {result['dtype']} x {result['per_replica']} on "
        f"{result['topology']}, {result['lowering']}, {result['sites']} sites: "
        f"{armed:,} against {clean['cycles']:,} estimated cycles, ratio "
        f"{result['ratio']:.3f}, mean {result['mean_ratio']:.3f}{spared}; "
        f"host transfers {result['host_transfers']}"
    )


def add_result(result: dict, folder: pathlib.Path) -> None:
    """Add a result to `tpu.json`, in place of one of the same step, and write the page.

    Args:
      result: what `tpufi.tpu.comparison.compare` returned.
      folder: folder of `tpu.json` and `tpu.md`.

    Raises:
      InputError: `tpu.json` is not what this function writes.
    """
    before = _stored(folder)
    # A comparison without groups keeps those of the one it replaces.
    same = [old for old in before if _key(old) == _key(result)]
    if same and not result["groups"]:
        result = result | {"groups": same[0]["groups"]}
    others = [old for old in before if _key(old) != _key(result)]
    results = sorted([*others, result], key=_key)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / _STORE, json.dumps(results, indent=1) + "\n")
    _write(folder / "tpu.md", page(results))


def has_result(result: dict, folder: pathlib.Path) -> bool:
    """Whether the page has a result of the same step, made by the same versions.

    Args:
      result: the entries of a result that say what was compared, and `versions`.
      folder: folder of `tpu.json`.

    Raises:
      InputError: `tpu.json` is not what `add_result` writes.
    """
    same = [old for old in _stored(folder) if _key(old) == _key(result)]
    return any(old["versions"] == result["versions"] for old in same)


def first_sites(step: dict, sites: int, folder: pathlib.Path) -> list[int] | None:
    """Return the first site of each group that the page has for a step, or None.

    Args:
      step: the entries of a result that say what is compared.
      sites: how many sites the step has; one with more or fewer has other groups.
      folder: folder of `tpu.json`.

    Raises:
      InputError: `tpu.json` is not what `add_result` writes.
    """
    for old in _stored(folder):
        if _key(old) == _key(step) and old["sites"] == sites:
            return old.get("first_sites")
    return None


def page(results: Sequence[dict]) -> str:
    """Return the page of some results."""
    rows = []
    for r in results:
        clean = r["programs"]["clean"]
        rows.append(
            (
                r["model"], r["topology"], r["dtype"], r["replicas"], r["per_replica"],
                r["lowering"], _branch_count(r),
                r["sites"], f"{clean['cycles']:,}", f"{r['armed_cycles']:,}",
                f"{r['ratio']:.3f}", f"{r['mean_ratio']:.3f}",
                _figure(r["disarmed_ratio"], 3), r["host_transfers"],
            )
        )  # fmt: skip
    heads = ("workload", "topology", "type", "chips", "batch", "lowering", "groups",
             "sites",
             "clean", "armed", "ratio", "mean", "no fault",
             "host transfers")  # fmt: skip
    parts = [_HEAD, _table(heads, rows), _programs(results)]
    parts += [_branches(r) for r in results if r["branches"]]
    parts += [_groups(r) for r in results if r["groups"]]
    versions = {json.dumps(r["versions"], sort_keys=True) for r in results}
    names = "; ".join(
        ", ".join(f"{n} {v}" for n, v in json.loads(one).items())
        for one in sorted(versions)
    )
    parts.append(f"Versions: TensorFlow {tf.__version__}, {names}.\n")
    return "\n".join(parts)


def _programs(results: Iterable[dict]) -> str:
    """Return the table of program sizes, two rows per result."""
    rows = []
    for r in results:
        for name, p in r["programs"].items():
            hbm = p["argument_bytes"] + p["output_bytes"] + p["temporary_bytes"]
            sizes = [p["bytes_accessed"], hbm, p["code_bytes"]]
            sizes = [size and size / _MEBIBYTE for size in sizes]
            rows.append(
                (
                    f"{r['model']} {r['dtype']} {r['lowering']}", r["topology"],
                    r["replicas"], name,
                    p["fusions"], p["conditionals"],
                    *(_figure(size, 1) for size in sizes),
                    f"{p['compile_s']:.0f}",
                )
            )  # fmt: skip
    heads = ("step", "topology", "chips", "program", "fusions", "conditionals",
             "accessed MiB", "HBM MiB", "code MiB", "compile s")  # fmt: skip
    return "## The programs\n\n" + _table(heads, rows)


def _branches(result: dict) -> str:
    """Return what a step takes by way of each branch of one program."""
    rows = [
        (b["name"], b["sites"], f"{b['cycles']:,}", f"{b['ratio']:.4f}")
        for b in result["branches"]
    ]
    title = f"## {result['model']} {result['dtype']} on {result['topology']}, branches"
    return f"{title}\n\n" + _table(("sites of", "number", "cycles", "ratio"), rows)


def _groups(result: dict) -> str:
    """Return where the cycles of one step go."""
    rows = [
        (g["kind"], g["sites"], f"{g['cycles']:,}", f"{g['ratio']:.4f}")
        for g in sorted(result["groups"], key=lambda g: -g["ratio"])
    ]
    title = f"## {result['model']} {result['dtype']} on {result['topology']}, by kind"
    text = (
        "One program for each kind of site, with the sites of that kind only. The sum\n"
        "is not the cost of all: sites in one fusion share what they compute.\n"
    )
    return f"{title}\n\n{text}\n" + _table(("kind", "sites", "cycles", "ratio"), rows)


def _branch_count(result: dict) -> str:
    """Return how many groups of sites a program has, and whether they are apart."""
    groups = [branch for branch in result["branches"] if branch["sites"]]
    apart = " apart" if groups and result["disarmed_ratio"] is None else ""
    return f"{len(groups) or 1}{apart}"


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _stored(folder: pathlib.Path) -> list[dict]:
    """Return the results that a folder has."""
    store = folder / _STORE
    if not store.exists():
        return []
    try:
        results = json.loads(store.read_text())
        for result in results:
            _key(result), result["versions"], result["sites"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{store} is not a list of results ({error}); remove it to start anew"
        ) from error
    return results


def _key(result: dict) -> tuple:
    return tuple(result[name] for name in _KEY)


def _write(path: pathlib.Path, text: str) -> None:
    with appearing_whole(path) as scratch:
        scratch.write_text(text)
