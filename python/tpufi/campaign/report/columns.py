# SPDX-License-Identifier: Apache-2.0
"""The journal as columns of small integers, read in one pass.

Every table of a report is then a count over arrays: no table scans the journal again.
A row takes about 65 bytes.
"""

import contextlib
import dataclasses
import gc
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from tpufi.campaign.journal.reader import Reader
from tpufi.errors import InputError
from tpufi.messages import quote

NAMES = ("model", "layer", "direction", "operand", "operation", "outcome")
NUMBERS = ("epoch", "step", "bit", "detection_latency", "steps_run")
_ROWS = 20_000
_NULL = -1  # No number of a journal is negative but a replica.
_SEPARATOR = "\x1f"
# A payload that no arithmetic leaves in a NaN.
_NO_LOSS = np.array(0x7FF8_7075_6669_0001, "<u8")
# One text for all names: a text a column would be most of the time of the scan. Of the
# (loss, accuracy) pairs in float64, the loss of the last one.
_SELECT = (
    f"SELECT experiment, wall_s, substr(losses, -16, 8), "
    f"{' || char(31) || '.join(NAMES)}, "
    f"{', '.join(f'ifnull({name}, {_NULL})' for name in NUMBERS)} "
    "FROM experiment ORDER BY experiment"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """All experiments of a journal, by number.

    Args:
      experiment: int64 [rows], ascending.
      seconds: of all experiments together.
      last_loss: float64 [rows], of the last step that was kept.
      has_loss: bool [rows], whether one was kept.
      codes: column -> int32 [rows], the place of the value in `values`.
      values: column -> its different values, ascending, None last.
    """

    experiment: np.ndarray
    seconds: float
    last_loss: np.ndarray
    has_loss: np.ndarray
    codes: Mapping[str, np.ndarray]
    values: Mapping[str, tuple]

    def __len__(self) -> int:
        return len(self.experiment)


class _Codes(dict):
    """Numbers values in the order in which they come."""

    def __missing__(self, value: str) -> int:
        self[value] = number = len(self)
        return number


def read_columns(journal: Reader) -> Columns:
    """Read all rows; those that are added meanwhile are left out.

    Args:
      journal: open for reading.

    Raises:
      InputError: a name has a control character that none of ours has.
    """
    table, seconds = _Codes(), 0.0
    missing = _NO_LOSS.tobytes()
    parts: list[list[np.ndarray]] = []
    with _no_collections():
        rows = journal.query(_SELECT)
        while batch := list(itertools.islice(rows, _ROWS)):
            experiment, wall, losses, names, *numbers = zip(*batch, strict=True)
            seconds += sum(wall)
            size = len(batch)
            blobs = b"".join([blob or missing for blob in losses])
            parts.append(
                [
                    np.fromiter(experiment, np.int64, size),
                    np.frombuffer(blobs, "<u8"),
                    np.fromiter(map(table.__getitem__, names), np.int32, size),
                    *(np.fromiter(column, np.int64, size) for column in numbers),
                ]
            )
    if not parts:
        kinds = (np.int64, "<u8", np.int32, *(np.int64 for _ in NUMBERS))
        parts = [[np.empty(0, kind) for kind in kinds]]
    experiment, losses, together, *numbers = map(
        np.concatenate, zip(*parts, strict=True)
    )
    parts.clear()
    codes, values = {}, {}
    keys = [_parts(key) for key in table]
    for place, name in enumerate(NAMES):
        found = [key[place] for key in keys]
        values[name] = tuple(sorted(set(found)))
        rank = {value: i for i, value in enumerate(values[name])}
        codes[name] = np.array([rank[v] for v in found], np.int32)[together]
    for name, column in zip(NUMBERS, numbers, strict=True):
        codes[name], values[name] = _coded(column)
    return Columns(
        experiment, seconds, losses.view("<f8"), losses != _NO_LOSS, codes, values
    )


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Keep the collector from looking for cycles among millions of plain rows."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _parts(key: str) -> list[str]:
    parts = key.split(_SEPARATOR)
    if len(parts) != len(NAMES):
        raise InputError(
            f"journal: {quote(key)}: a name with the character U+001F, which none of "
            "tpufi's has; the journal is damaged or of another program"
        )
    return parts


def _coded(column: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Return places and values of a column of integers, None last."""
    highest = int(column.max(initial=_NULL))
    if highest < 10 * len(column):  # Counting is faster than sorting.
        found = np.flatnonzero(np.bincount(column - _NULL)) + _NULL
        rank = np.zeros(highest - _NULL + 1, np.int32)
        rank[found - _NULL] = np.arange(len(found))
        codes = rank[column - _NULL]
    else:
        found, codes = np.unique(column, return_inverse=True)
    values = tuple(None if value == _NULL else value for value in found.tolist())
    codes = codes.astype(np.int32)
    if values and values[0] is None:
        last = len(values) - 1
        return np.where(codes == 0, last, codes - 1).astype(np.int32), (
            *values[1:],
            None,
        )
    return codes, values
