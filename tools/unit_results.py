#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the page of campaigns with broken units: docs/results/unit_faults/report.md.

Outcomes with Wilson intervals against kind of unit, moment and field of the bit, and
loss curves, from the journals alone; the same journals give the same bytes.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tpufi.campaign.effect import in_order
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report.cells import Share, count_text, printable
from tpufi.campaign.report.document import Block, Document, Picture, Section, Table
from tpufi.campaign.report.facts import Facts, gather
from tpufi.campaign.report.figures import FIRST, INK, SECOND, THIRD, new_figure
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_beside
from tpufi.cli import Parser, run
from tpufi.errors import InputError
from tpufi.when import ALWAYS, ONCE
from tpufi.when_text import parse_when

_LINES = ((FIRST, "-"), (SECOND, "--"), (THIRD, ":"), (INK, "-."))
_QUANTILE = 0.9
_COLUMNS = 2


def main(argv: Sequence[str] | None) -> int:
    """Write page, pictures and tables into a folder."""
    parser = Parser(description=__doc__)
    parser.add_argument("campaigns", nargs="+", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="FOLDER")
    options = parser.parse_args(argv)
    with contextlib.ExitStack() as journals:
        found = {}
        for folder in options.campaigns:
            journal = journals.enter_context(Reader.open(folder))
            journals.enter_context(journal.untrusted())
            found[folder.name] = gather(str(folder), journal, Options())
        write_beside(page(found), options.out)
    print(options.out / "report.md")
    return 0


def page(campaigns: Mapping[str, Facts]) -> Document:
    """Return the page.

    Args:
      campaigns: what each found, by its name.

    Raises:
      InputError: one has no broken units.
    """
    number = sum(len(facts.experiments) for facts in campaigns.values())
    return Document(
        title="Broken units beside transients",
        summary=(
            f"{count_text(number)} trainings; a visible effect is any outcome that is "
            "not masked; Wilson's intervals with confidence 0.95. Written by "
            "tools/unit_results.py."
        ),
        header={
            printable(name): f"{count_text(len(facts.experiments))} trainings of "
            f"{printable(facts.plan.get('workload'))}, "
            f"{facts.plan.get('horizon')} steps followed"
            for name, facts in campaigns.items()
        },
        sections=tuple(_section(name, facts) for name, facts in campaigns.items()),
    )


def _section(name: str, facts: Facts) -> Section:
    units = unit_rows(facts)
    blocks: list[Block] = [
        _table(facts, units, f"{name}_when", "By moment.", ["moment"]),
        _table(facts, units, f"{name}_unit", "By unit and moment.", ["unit", "moment"]),
        _table(
            facts,
            units[units["bit"].notna()],
            f"{name}_bit",
            "By field of the bit and moment, of faults of one bit.",
            ["value_class", "moment"],
        ),
    ]
    if facts.golden is None:
        blocks.append(facts.without_golden)
    else:
        blocks.append(_curves(name, facts, units))
    return Section(name, printable(name), tuple(blocks))


def unit_rows(facts: Facts) -> pd.DataFrame:
    """Return the judged experiments with broken units, by moment from often to once.

    Args:
      facts: of a campaign.

    Returns:
      Its rows with two more columns: `unit`, the kind without its moment, and `moment`
      in that order.

    Raises:
      InputError: it has none.
    """
    found = facts.judged[facts.judged["moment"].notna()].copy()
    if found.empty:
        raise InputError(
            f"{facts.folder}: no experiment with a broken unit; name a campaign of "
            "docs/results/unit_faults"
        )
    moments = found["moment"].astype(str)
    names = zip(found["model"].astype(str), moments, strict=True)
    found["unit"] = [model.removesuffix(f" {when}") for model, when in names]
    order = sorted(moments.unique(), key=_often)
    found["moment"] = pd.Categorical(moments, order, ordered=True)
    return found


def _often(moment: str) -> tuple:
    """Return what to sort moments by: the more often, the earlier; once is last."""
    when = parse_when(moment)
    return when == ONCE, when != ALWAYS, -when.rate, moment


def _table(
    facts: Facts, rows: pd.DataFrame, key: str, caption: str, by: list[str]
) -> Table:
    """Return outcomes with intervals by some columns."""
    outcomes = in_order(facts.judged["outcome"].unique())
    titles = {"value_class": "field", "moment": "when"}
    lines = []
    for values, group in rows.groupby(by, observed=True):
        hits, trials = int(group["visible"].sum()), len(group)
        counts = group["outcome"].value_counts()
        heads = zip((titles.get(name, name) for name in by), values, strict=True)
        lines.append(
            {
                **{head: str(value) for head, value in heads},
                "trainings": trials,
                "visible": hits,
                "rate": Share(hits / trials),
                "interval": facts.estimator.interval(hits, trials),
                **{name: int(counts.get(name, 0)) for name in outcomes},
            }
        )
    return Table.of(key, caption, lines)


def _curves(name: str, facts: Facts, units: pd.DataFrame) -> Picture:
    """Return how far losses are above golden's, a panel for each unit."""
    curves = {
        (str(unit), str(when)): _above(facts, group["experiment"].tolist())
        for (unit, when), group in units.groupby(["unit", "moment"], observed=True)
    }
    table = Table.of(
        f"{name}_losses",
        "Loss above golden's.",
        [
            {"unit": unit, "when": when, "step": step, "above golden": float(value)}
            for (unit, when), curve in curves.items()
            for step, value in enumerate(curve)
        ],
    )
    return Picture(
        f"{name}_losses",
        f"Training loss above golden's, {_QUANTILE:.0%} of the trainings lie below the "
        "line; it ends where the rest is not finite.",
        f"Losses of {name} above those of the golden run, by unit and moment",
        lambda: _panels(curves),
        table,
    )


def _above(facts: Facts, numbers: list[int]) -> np.ndarray:
    """Return a quantile of loss minus golden loss over experiments, by step."""
    found = []
    horizon = int(facts.plan["horizon"])
    for number in numbers:
        row = facts.journal.row(number)
        place = row.fault.epoch, row.fault.step, horizon
        golden = np.array(facts.golden.losses(*place))
        losses = np.full(len(golden), np.inf)
        own = np.array([loss for loss, _ in row.losses])[: len(golden)]
        losses[: len(own)] = own
        if row.nonfinite_step is None:  # Golden for good from where it ends.
            losses[len(own) :] = golden[len(own) :]
        found.append(np.where(np.isfinite(losses), losses - golden, np.inf))
    shortest = min(map(len, found))
    stacked = np.array([one[:shortest] for one in found])
    ranked = np.sort(stacked, axis=0)
    return ranked[int(np.ceil(_QUANTILE * len(ranked))) - 1]


def _panels(curves: Mapping[tuple[str, str], np.ndarray]) -> Figure:
    units = list(dict.fromkeys(unit for unit, _ in curves))
    lines = -(-len(units) // _COLUMNS)
    figure = new_figure(8.6, 2.4 * lines + 0.4)
    styles = dict(_styles(dict.fromkeys(when for _, when in curves)))
    for place, unit in enumerate(units):
        axes = figure.add_subplot(lines, _COLUMNS, place + 1)
        for (own, when), curve in curves.items():
            if own == unit:
                colour, style = styles[when]
                shown = np.where(np.isfinite(curve), curve, np.nan)
                axes.plot(shown, style, color=colour.light, label=when)
        axes.set_title(printable(unit, 44))
        axes.set_yscale("symlog", linthresh=1e-3)
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.set_xlabel("steps from the fault", fontsize=8)
        if place % _COLUMNS == 0:
            axes.set_ylabel("loss above golden's", fontsize=8)
    named = {
        text: line
        for axes in figure.axes
        for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named, loc="outside upper center", ncols=len(named))
    return figure


def _styles(moments: Sequence[str]) -> Iterator[tuple[str, tuple]]:
    for place, when in enumerate(moments):
        yield when, _LINES[place % len(_LINES)]


if __name__ == "__main__":
    run(main)
