# SPDX-License-Identifier: Apache-2.0
"""Differences of gradients as text, CSV, JSON and picture; chosen and in order."""

import csv
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Sequence

from tpufi.contrib.isca23.gradient_comparison.cases import Comparison
from tpufi.contrib.isca23.gradient_comparison.difference import ALL, Difference
from tpufi.errors import InputError
from tpufi.extras import optional
from tpufi.io import atomic_write
from tpufi.messages import nearest_first, quote
from tpufi.text_table import aligned_table

COLUMNS = tuple(field.name for field in dataclasses.fields(Difference))
ORDER = "order"

_SHARES = ("changed", "flipped")
_TITLES = {
    "name": "variable",
    "elements": "elements",
    "norm": "norm",
    "largest": "largest |diff|",
    "relative": "relative norm",
    "changed": "changed",
    "flipped": "sign flips",
    "not_finite": "non-finite",
}


def select(
    rows: Sequence[Difference],
    *,
    sort: str = ORDER,
    containing: str | None = None,
    top: int | None = None,
) -> tuple[Difference, ...]:
    """Return the wanted rows in the wanted order; `(all)` stays last.

    Args:
      rows: of `compare_all`.
      sort: `order` (of creation), `name` (ascending) or another of `COLUMNS`, the
        largest first and equal ones in the order of creation.
      containing: only variables whose name contains this.
      top: only so many rows, `(all)` not counted.

    Raises:
      InputError: unknown column, or no variable has such a name.
    """
    variables = [row for row in rows if row.name != ALL]
    summary = [row for row in rows if row.name == ALL]
    if containing is not None:
        kept = matching(containing, [row.name for row in variables])
        variables = [row for row in variables if row.name in kept]
    if sort == "name":
        variables.sort(key=lambda row: row.name)
    elif sort in COLUMNS:
        variables.sort(key=lambda row: getattr(row, sort), reverse=True)
    elif sort != ORDER:
        known = ", ".join((ORDER, *COLUMNS))
        raise InputError(f"cannot sort by {sort!r}; known: {known}")
    return *variables[:top], *summary


def matching(containing: str, names: Sequence[str]) -> set[str]:
    """Return the names that contain a text.

    Raises:
      InputError: none does; the message lists the nearest ones.
    """
    kept = {name for name in names if containing in name}
    if not kept:
        raise InputError(
            f"no variable has {quote(containing)} in its name; nearest: "
            f"{nearest_first(containing, names, limit=5)}"
        )
    return kept


def as_text(comparison: Comparison, rows: Sequence[Difference]) -> str:
    """Return a table with a head line.

    Args:
      comparison: the head.
      rows: the rows to show.
    """
    reference, other = comparison.losses
    variables = [row for row in comparison.rows if row.name != ALL]
    count = sum(row.changed > 0 for row in variables)
    head = [
        *comparison.injected,
        f"gradients, {comparison.dtype}: {comparison.other} against "
        f"{comparison.reference}; {count} of {len(variables)} variables differ",
        f"loss: {comparison.reference} {reference:.9g}, {comparison.other} {other:.9g}",
    ]
    cells = [[_TITLES[column] for column in COLUMNS]]
    cells += [[_cell(c, getattr(row, c)) for c in COLUMNS] for row in rows]
    return "\n".join([*head, aligned_table(cells, left=1)])


def as_csv(rows: Sequence[Difference]) -> str:
    """Return CSV with a header; shares are from 0 to 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(dataclasses.astuple(row) for row in rows)
    return text.getvalue().rstrip("\n")


def as_json(comparison: Comparison, rows: Sequence[Difference]) -> str:
    """Return one JSON object on one line; Inf and NaN are text, as JSON has none."""
    entry = dataclasses.asdict(comparison)
    entry["losses"] = [_strict(loss) for loss in comparison.losses]
    entry["rows"] = [
        {key: _strict(value) for key, value in dataclasses.asdict(row).items()}
        for row in rows
    ]
    return json.dumps(entry, allow_nan=False)


def _cell(column: str, value: object) -> str:
    if column in _SHARES:
        # 0.00 % would hide a single element of a large tensor.
        return "0" if value == 0 else f"{100 * value:.3g} %"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _strict(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def plot_differences(comparison: Comparison, path: pathlib.Path) -> pathlib.Path:
    """Write the picture and return its path.

    Above, the relative norm of each variable's difference on a logarithmic axis; a
    variable without a difference has no dot, one with elements that are not finite has
    a cross at the top. Below, the shares of changed elements and of sign flips.

    Args:
      comparison: what to draw.
      path: file to write (.png); replaced as a whole.
    """
    # Loaded here: drawing is not needed by anything else.
    optional("matplotlib", "a picture").use("Agg")
    from matplotlib import pyplot

    rows = [row for row in comparison.rows if row.name != ALL]
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(9, 6), sharex=True, layout="constrained"
    )
    dots = {
        i: row.relative
        for i, row in enumerate(rows)
        if 0 < row.relative and math.isfinite(row.relative)
    }
    above.plot(dots.keys(), dots.values(), ".", label="finite elements")
    if dots:
        above.set_yscale("log")
    crosses = [i for i, r in enumerate(rows) if r.not_finite or math.isinf(r.relative)]
    if crosses:
        above.plot(
            crosses, [0.97] * len(crosses), "x", color="tab:red", clip_on=False,
            transform=above.get_xaxis_transform(), label="Inf or NaN among them",
        )  # fmt: skip
    above.set_ylabel(f"|{comparison.other} - {comparison.reference}|, relative")
    if dots or crosses:
        above.legend(loc="best")
    below.plot([100 * row.changed for row in rows], ".", label="changed bits")
    below.plot([100 * row.flipped for row in rows], ".", label="sign flips")
    below.set_ylim(-2, 102)
    below.set_ylabel("share of elements (%)")
    below.set_xlabel("variable, in the order of creation")
    below.legend(loc="best")
    with atomic_write(path) as scratch:
        figure.savefig(scratch, dpi=120, format="png")
    pyplot.close(figure)
    return path
