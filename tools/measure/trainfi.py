# SPDX-License-Identifier: Apache-2.0
"""TrainFI: the experiments of the bench of detectors as files that anyone can read.

`trainfi_v1.parquet` has the experiments of all campaigns, `trainfi_v1_clean.parquet`
the scores of the steps of their golden runs, `trainfi_v1.json` what both depend on.
"""

import json
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tpufi.campaign.detector_bench import Bench, joined
from tpufi.campaign.detector_table import Found, Scores, detectors_of, found_of
from tpufi.campaign.effect import is_judged
from tpufi.campaign.journal import database
from tpufi.campaign.journal.export import export
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.scores import golden_scores_of, has_scores, scores_of
from tpufi.campaign.members import campaign_folders
from tpufi.errors import InputError
from tpufi.io import atomic_write

NAME = "trainfi_v1"
SCORE = "score "
EXPERIMENTS, CLEAN, MANIFESTS = (
    f"{NAME}.parquet",
    f"{NAME}_clean.parquet",
    f"{NAME}.json",
)
_KEY = ("plan", "workload")
_ROW = ("experiment", "outcome", "model", "direction", "op", "moment")


def add_campaigns(
    runs: pathlib.Path, plans: Sequence[str], folder: pathlib.Path
) -> None:
    """Write campaigns to the data set, in place of smaller ones of the same name.

    Args:
      runs: folder of `campaigns`.
      plans: names of the plans.
      folder: that of the data set; made if there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, golden, manifests = _stored(folder)
    for plan, workload, journal in _journals(runs, plans):
        own, steps = _rows_of(journal), _golden_of(journal)
        old = golden.get((plan, workload))
        if len(own or ()) < len(rows.get((plan, workload), ())) or (
            old is not None and len(steps) < len(old)
        ):
            print(f"{plan}/{workload}: the data set has more of it, which stays")
            continue
        if own is not None:
            rows[plan, workload] = _labelled(own, plan, workload)
        golden[plan, workload] = _labelled(steps, plan, workload)
        manifest = journal.manifest()
        manifest["plan"] = json.loads(manifest["plan"])
        manifests[f"{plan}/{workload}"] = manifest
    _write(rows, folder / EXPERIMENTS)
    _write(golden, folder / CLEAN)
    with atomic_write(folder / MANIFESTS) as file:
        file.write_text(json.dumps(manifests, indent=1, sort_keys=True) + "\n")


def read_bench(folder: pathlib.Path, clean: str) -> Bench:
    """Return what the detectors found.

    Args:
      folder: that of the data set.
      clean: name of the plan whose golden runs are for false alarms.

    Raises:
      InputError: there is no data set, or parts of it are missing.
    """
    rows, golden, manifests = _stored(folder)
    if not rows or not golden:
        raise InputError(f"{folder}: no {EXPERIMENTS} or no {CLEAN}; write them first")
    found: dict[bool, list[tuple[str, Found]]] = {True: [], False: []}
    for plan, workload in rows:
        if (plan, workload) not in golden:
            raise InputError(
                f"{folder / CLEAN}: no golden run of {plan}/{workload}; run that plan "
                "and write it to the data set"
            )
    for (plan, workload), steps in golden.items():
        if f"{plan}/{workload}" not in manifests:
            raise InputError(f"{folder / MANIFESTS}: nothing about {plan}/{workload}")
        limits = manifests[f"{plan}/{workload}"]["plan"]["thresholds of detectors"]
        own = rows.get((plan, workload))
        one = _found(own, steps, limits)
        if len(one.numbers) or plan == clean:
            found[plan == clean].append((workload, one))
    return Bench(joined(found[False]), joined(found[True]))


def read_experiments(folder: pathlib.Path, plan: str) -> pd.DataFrame:
    """Return the experiments of a plan in all workloads, without scores.

    Args:
      folder: that of the data set.
      plan: its name.
    """
    schema = pq.read_schema(folder / EXPERIMENTS)
    names = [name for name in schema.names if not name.startswith(SCORE)]
    how = {"columns": names, "filters": [("plan", "=", plan)]}
    return pq.read_table(folder / EXPERIMENTS, **how).to_pandas()


def _journals(
    runs: pathlib.Path, plans: Sequence[str]
) -> Iterator[tuple[str, str, Reader]]:
    """Yield the journals that are begun, open: plan, workload, journal."""
    for plan in plans:
        for folder in campaign_folders(runs / "campaigns" / plan):
            if (folder / database.NAME).exists():
                with Reader.open(folder) as journal, journal.untrusted():
                    if has_scores(journal):
                        workload = str(journal.plan()["workload"]).rpartition(":")[2]
                        yield plan, workload, journal


def _rows_of(journal: Reader) -> pa.Table | None:
    """Return the experiments of a journal, with the scores of their steps."""
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "rows.parquet"
        if not export(journal, file):
            return None
        table = pq.read_table(file)
    for measure, name in detectors_of(journal):
        own = [scores.tolist() for _, scores in scores_of(journal, measure)]
        column = pa.array(own, pa.list_(pa.float32()))
        table = table.append_column(f"{SCORE}{name}", column)
    return table


def _golden_of(journal: Reader) -> pa.Table:
    """Return the scores of the steps of a journal's golden run."""
    columns = {
        f"{SCORE}{name}": golden_scores_of(journal, measure)
        for measure, name in detectors_of(journal)
    }
    steps = len(next(iter(columns.values())))
    return pa.table({"step": np.arange(steps, dtype=np.int32)} | columns)


def _labelled(table: pa.Table, *labels: str) -> pa.Table:
    """Return a table with columns for plan and workload before its own."""
    for place, (name, text) in enumerate(zip(_KEY, labels, strict=True)):
        column = pa.array([text] * len(table)).dictionary_encode()
        table = table.add_column(place, name, column)
    return table


def _stored(
    folder: pathlib.Path,
) -> tuple[dict[tuple[str, str], pa.Table], dict[tuple[str, str], pa.Table], dict]:
    """Return experiments and golden steps by plan and workload, and the manifests."""
    tables = []
    for name in (EXPERIMENTS, CLEAN):
        path, parts = folder / name, {}
        if path.exists():
            table = pq.read_table(path)
            keys = table.select(_KEY).group_by(_KEY).aggregate([]).to_pylist()
            for key in keys:
                tests = (pc.equal(table[k], value) for k, value in key.items())
                parts[tuple(key.values())] = table.filter(pc.and_(*tests))
        tables.append(parts)
    path = folder / MANIFESTS
    return *tables, json.loads(path.read_text()) if path.exists() else {}


def _write(parts: dict[tuple[str, str], pa.Table], path: pathlib.Path) -> None:
    """Write tables as one file; a column that some lack is empty in their rows."""
    if not parts:
        return
    whole = pa.concat_tables(parts.values(), promote_options="default")
    floats = [f.name for f in whole.schema if pa.types.is_floating(f.type)]
    with atomic_write(path) as scratch:
        pq.write_table(
            whole.unify_dictionaries(),
            scratch,
            compression="zstd",
            compression_level=15,
            use_dictionary=[n for n in whole.schema.names if n not in floats],
            column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
        )
    print(path, len(whole))


def _found(rows: pa.Table | None, golden: pa.Table, limits: dict[str, float]) -> Found:
    """Return what the detectors found in one campaign."""
    names = [n for n in golden.schema.names if n.startswith(SCORE)]
    texts, places = [], []
    if rows is not None:
        columns = [rows[name].to_pylist() for name in _ROW]
        for place, row in enumerate(zip(*columns, strict=True)):
            if is_judged(row[1]):
                texts.append(row)
                places.append(place)
    scores = []
    for name in names:
        own = [] if rows is None else [*rows[name].combine_chunks()]
        steps = [own[place].values.to_numpy(zero_copy_only=False) for place in places]
        detector = name.removeprefix(SCORE)
        limit = float(limits[detector])
        scores.append(Scores(detector, limit, golden[name].to_numpy(), steps))
    return found_of(texts, scores)
