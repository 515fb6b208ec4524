# SPDX-License-Identifier: Apache-2.0
"""Differences of gradients over the variables of a model, as a picture."""

import math
import pathlib

from tpufi.contrib.isca23.gradient_comparison.cases import Comparison
from tpufi.contrib.isca23.gradient_comparison.difference import ALL
from tpufi.extras import optional
from tpufi.io import atomic_write


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
