# SPDX-License-Identifier: Apache-2.0
"""Exports a journal to Parquet or CSV, in little memory, whole or not at all."""

import csv
import itertools
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from tpufi.campaign.journal import schema
from tpufi.campaign.journal.answers import measures_of
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import unpack_losses
from tpufi.errors import InputError
from tpufi.extras import optional
from tpufi.io import atomic_write
from tpufi.messages import quote, show_path

_ROWS = 50_000
_MEASURE = (
    "(SELECT value FROM answer WHERE answer.experiment = experiment.experiment AND "
    "measure = {})"
)
_REPETITIVE = (
    "model",
    "layer",
    "direction",
    "operand",
    "operation",
    "outcome",
    "error",
)


def export(journal: Reader, path: pathlib.Path) -> int:
    """Write all rows to a file, by number.

    Parquet has `losses` as a list of float64, (loss, accuracy) of each step one after
    the other; CSV has them as text. Measures of an inference campaign are columns.

    Args:
      journal: open for reading; rows that are added meanwhile are not written.
      path: `.parquet` or `.csv`; an existing file is replaced.

    Returns:
      The number of rows.

    Raises:
      InputError: another ending, the file cannot be written, or pyarrow is missing.
    """
    if path.suffix not in _WRITERS:
        raise InputError(
            f"{show_path(path)}: ending {quote(path.suffix)}; known: "
            f"{', '.join(_WRITERS)}"
        )
    if path.parent != pathlib.Path() and not path.parent.is_dir():
        raise InputError(f"{show_path(path)}: no such folder; make it first")
    with atomic_write(path) as scratch:
        return _WRITERS[path.suffix](journal, scratch)


def _names(journal: Reader) -> list[str]:
    """Return the columns, those of an inference campaign's measures last."""
    return [*schema.COLUMNS, *(name for _, name, _ in measures_of(journal))]


def _batches(journal: Reader) -> Iterator[list[tuple]]:
    measures = [_MEASURE.format(number) for number, _, _ in measures_of(journal)]
    columns = ", ".join([*schema.COLUMNS, *measures])
    rows = journal.query(f"SELECT {columns} FROM experiment ORDER BY experiment")
    while batch := list(itertools.islice(rows, _ROWS)):
        yield batch


def _write_parquet(journal: Reader, path: pathlib.Path) -> int:
    pa = optional("pyarrow", "Parquet", "export to a .csv file")
    import pyarrow.parquet as pq

    kinds = {"TEXT": pa.string(), "REAL": pa.float64(), "INTEGER": pa.int64()}
    names = _names(journal)
    own = [(name, "REAL") for name in names[len(schema.COLUMNS) :]]
    fields = [
        pa.field(name, kinds.get(kind, pa.list_(pa.float64())))
        for name, kind in [*_kinds(), *own]
    ]
    count = 0
    with pq.ParquetWriter(
        path, pa.schema(fields), use_dictionary=list(_REPETITIVE), compression="zstd"
    ) as writer:
        for batch in _batches(journal):
            columns = dict(zip(names, zip(*batch, strict=True), strict=True))
            blobs = [blob or b"" for blob in columns["losses"]]
            ends = np.cumsum([0, *(len(blob) // 8 for blob in blobs)], dtype=np.int32)
            values = np.frombuffer(b"".join(blobs), "<f8")
            columns["losses"] = pa.ListArray.from_arrays(ends, values)
            writer.write_table(pa.table(columns, pa.schema(fields)))
            count += len(batch)
    return count


def _write_csv(journal: Reader, path: pathlib.Path) -> int:
    count = 0
    place = schema.COLUMNS.index("losses")
    with open(path, "x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_names(journal))
        for batch in _batches(journal):
            for row in batch:
                losses = " ".join(map(repr, _flat(row[place])))
                writer.writerow((*row[:place], losses, *row[place + 1 :]))
            count += len(batch)
    return count


def _flat(blob: bytes | None) -> list[float]:
    return list(itertools.chain.from_iterable(unpack_losses(blob)))


def _kinds() -> list[tuple[str, str]]:
    return [(name, schema.kind(name)) for name in schema.COLUMNS]


_WRITERS: dict[str, Callable[[Reader, pathlib.Path], int]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
}
