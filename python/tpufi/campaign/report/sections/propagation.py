# SPDX-License-Identifier: Apache-2.0
"""Section: how far faults have spread through the state after some steps."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from tpufi.campaign.report.cells import Share, share_text
from tpufi.campaign.report.document import Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.figures import FIRST, MUTED, SECOND, THIRD, new_figure

_LARGE = 0.01
_SUMS = ("experiments", "tensors", "elements", "not_finite", "large")
# One scan; the tensors are few.
_SELECT = (
    "SELECT after, part, tensor, count(*), sum(tensors), sum(elements), "
    f"sum(not_finite > 0), sum(relative > {_LARGE}), max(relative) FROM propagation "
    "GROUP BY after, part, tensor"
)
_EXPLAINED = (
    "Experiments whose state differs from golden in any bit after some steps, the "
    "faulty one included, by part of the state, of all experiments. Those that are "
    "identical to the fault-free run, or ended because a loss was not finite, no "
    "longer count. Change: 2-norm of a tensor's finite changes over that of the "
    "golden tensor; of each experiment that of the tensor that changed most."
)
_STYLES = ((FIRST, "o", "-"), (SECOND, "s", "--"), (THIRD, "^", ":"))


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section; none where the plan did not ask for it."""
    found = pd.DataFrame(
        facts.journal.query(_SELECT),
        columns=["after", "part", "tensor", *_SUMS, "largest"],
    )
    if found.empty:
        return
    # The last of equally frequent tensors by name.
    often = found.sort_values(["experiments", "tensor"])
    groups = often.groupby(["after", "part"])
    sums = groups[list(_SUMS)].sum()
    sums["largest"], sums["often"] = groups["largest"].max(), groups["tensor"].last()
    trials = len(facts.experiments)
    table = Table.of(
        "propagation",
        "How far faults have spread.",
        [
            {
                "after steps": row.Index[0],
                "part": row.Index[1],
                "experiments": row.experiments,
                "share": Share(row.experiments / trials),
                "interval": facts.estimator.interval(row.experiments, trials),
                "tensors, mean": row.tensors / row.experiments,
                "elements, mean": row.elements / row.experiments,
                "with values not finite": row.not_finite,
                f"with a change over {_LARGE:.0%}": row.large,
                "largest change": row.largest,
                "tensor that changed most, most often": row.often,
            }
            for row in sums.itertuples()
        ],
    )
    parts = table.frame.groupby("part", sort=False)
    moments = table.frame["after steps"].nunique()
    after, part, _, share, *_ = max(table.rows(), key=lambda row: row[3])
    picture = Picture(
        "propagation_curve",
        "Share of all experiments that differ from golden after some steps, with "
        "intervals, by part of the state.",
        f"Curves for {', '.join(parts.groups)} over {moments} moments; the largest "
        f"share is {share_text(share)}, {part} after {after} steps",
        lambda: _curves(parts),
    )
    yield Section("propagation", "Propagation", (_EXPLAINED, picture, table))


def _curves(parts) -> Figure:
    """Return the figure; the rows of the table by part of the state."""
    figure = new_figure(8.6, 2.9)
    axes = figure.add_subplot()
    for number, (part, rows) in enumerate(parts):
        colour, marker, style = _STYLES[number % len(_STYLES)]
        # A little apart, so that intervals do not hide each other.
        places = [steps * 1.04 ** (number - 1) for steps in rows["after steps"]]
        low, high = zip(*rows["interval"], strict=True)
        axes.vlines(places, low, high, color=MUTED.light, linewidth=1)
        axes.plot(places, rows["share"], color=colour.light, marker=marker,
                  linestyle=style, markersize=5, label=part)  # fmt: skip
    steps = sorted({steps for _, rows in parts for steps in rows["after steps"]})
    axes.set_xscale("log")
    axes.set_xticks(steps, [str(x) for x in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("steps, the faulty one included")
    axes.set_ylabel("differ from golden")
    axes.legend(loc="best")
    return figure
