# SPDX-License-Identifier: Apache-2.0
"""Sections: typical experiments of each outcome, their losses, how to replay them."""

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tpufi.campaign.effect import in_order
from tpufi.campaign.journal.row import Row
from tpufi.campaign.report.cells import Code, printable
from tpufi.campaign.report.document import Block, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.figures import FIRST, MUTED, SECOND, THIRD, new_figure

_COLUMNS = 2
_STYLES = {
    "best": (THIRD, "--", 1.2),
    "median": (FIRST, "-", 2.0),
    "worst": (SECOND, ":", 1.6),
}
_WIDE_RANGE = 30
_EXPLAINED = (
    "Of each outcome the experiment with the median final loss, and those with the "
    "lowest (best) and the highest (worst); a loss that is not finite counts as "
    "the highest, of equal ones the longer experiment comes first, then the lower "
    "number. Crosses: not finite."
)


class Typical(NamedTuple):
    """An experiment that stands for an outcome.

    Args:
      which: `best`, `median` or `worst`.
      row: of the experiment.
      losses: by step from the fault.
      golden: golden losses of the same steps, as far as known.
      low: least of the golden band, by step; empty: there is no band.
      high: largest of the golden band, by step.
    """

    which: str
    row: Row
    losses: Sequence[float]
    golden: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def loss_sections(facts: Facts) -> Iterator[Section]:
    """Yield the section on losses; none where the journal kept none."""
    chosen = typical(facts)
    if not chosen:
        return
    blocks: list[Block] = [_EXPLAINED]
    if facts.golden is None:
        blocks.append(facts.without_golden)
    elif len(facts.golden.runs) > 1:
        runs = len(facts.golden.runs)
        blocks.append(f"Band: of {runs} golden runs, at the median's steps.")
    panels: dict[str, list[Typical]] = {}
    for one in chosen:
        panels.setdefault(one.row.outcome, []).append(one)
    table = Table.of(
        "typical_losses",
        "Losses and accuracies of the typical experiments.",
        [
            {
                "outcome": one.row.outcome,
                "which": one.which,
                "experiment": one.row.experiment,
                "step from the fault": step,
                "loss": loss,
                "accuracy": accuracy,
                "golden loss": one.golden[step] if step < len(one.golden) else None,
            }
            for one in chosen
            for step, (loss, accuracy) in enumerate(one.row.losses)
        ],
    )
    picture = Picture(
        "typical_losses",
        "Training loss from the fault on; wide and grey: golden run.",
        "Loss curves of typical experiments, a panel for each of the outcomes "
        + ", ".join(map(printable, panels)),
        lambda: _panels(panels),
        table,
    )
    yield Section("typical", "Typical experiments", (*blocks, picture))


def replay_sections(facts: Facts) -> Iterator[Section]:
    """Yield the section on replays, with the typical experiments as examples."""
    folder = printable(shlex.quote(facts.folder))
    command = f"tpufi replay --campaign {folder} --experiment"
    if "kind" in facts.plan or facts.plan.get("own models"):
        # A journal runs no Python file; the campaign file names them.
        command = f"tpufi replay --campaign {folder} --plan FILE --experiment"
    table = Table.of(
        "replays",
        "Typical experiments.",
        [
            {
                "experiment": row.experiment,
                "outcome": row.outcome,
                "which": which,
                "fault model": row.fault.model,
                "site": row.fault.site
                or f"{row.fault.layer}/{row.fault.direction}/{row.fault.operand}",
                "epoch": row.fault.epoch,
                "step": row.fault.step,
                "replica": row.fault.replica,
                "command": Code(f"{command} {row.experiment}"),
            }
            for which, row, *_ in typical(facts)
        ],
        longest=200,
    )
    blocks = (
        "Every row of the journal can be replayed alone, bit for bit, with the "
        "same golden run, data and libraries:",
        Code(f"{command} N"),
        "The numbers of all experiments, with their faults and outcomes:",
        Code(f"tpufi campaign export {folder} rows.csv"),
        *([table] if len(table) else []),
    )
    yield Section("replay", "Replay any experiment", blocks)


def typical(facts: Facts) -> list[Typical]:
    """Choose the median experiment of each outcome, and the ends, without any chance.

    Experiments of an outcome are ordered by the loss of their last step, one that is
    not finite behind all others; then by the number of steps, the longest first; then
    by their number. Those without losses are left out.
    """
    kept = facts.experiments[facts.experiments["last_loss"].notna()]
    ordered = kept.sort_values(
        ["last_loss", "steps_run", "experiment"], ascending=[True, False, True]
    )
    numbers = ordered.groupby("outcome", observed=True)["experiment"].agg(list)
    found = []
    for outcome in in_order(numbers.index):
        here = numbers[outcome]
        places = {here[(len(here) - 1) // 2]: "median"}
        places.setdefault(here[0], "best")
        places.setdefault(here[-1], "worst")
        for number, which in places.items():
            found.append(_one(facts, which, facts.journal.row(number)))
    return found


def _one(facts: Facts, which: str, row: Row) -> Typical:
    losses = [loss for loss, _ in row.losses]
    golden, low, high = [], [], []
    if facts.golden is not None:
        place = row.fault.epoch, row.fault.step, len(losses)
        golden = facts.golden.losses(*place)
        low, high = facts.golden.band(*place)
    return Typical(which, row, losses, golden, low, high)


def _panels(panels: dict[str, list[Typical]]) -> Figure:
    """Return the figure: a panel for each outcome; a cross: not finite."""
    lines = -(-len(panels) // _COLUMNS)
    figure = new_figure(8.6, 2.3 * lines + 0.3)
    for place, (outcome, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(lines, _COLUMNS, place + 1)
        for curve in curves:
            _draw(axes, curve)
        axes.set_title(printable(outcome, 44))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _scale(axes, curves)
        axes.set_xlabel("steps from the fault", fontsize=8)
        if place % _COLUMNS == 0:
            axes.set_ylabel("training loss", fontsize=8)
    named = {
        text: line
        for axes in figure.axes
        for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named, loc="outside upper center", ncols=len(named))
    return figure


def _draw(axes: Axes, curve: Typical) -> None:
    colour, style, width = _STYLES[curve.which]
    is_main = curve.which == "median"
    if is_main and curve.low:
        axes.fill_between(
            range(len(curve.low)), curve.low, curve.high, color=MUTED.light,
            alpha=0.25, linewidth=0,
        )  # fmt: skip
    if curve.golden:
        axes.plot(
            curve.golden, color=MUTED.light, linewidth=3.5 if is_main else 1.5,
            alpha=0.5, label="golden" if is_main else None,
        )  # fmt: skip
    finite = [loss if math.isfinite(loss) else math.nan for loss in curve.losses]
    axes.plot(
        finite, color=colour.light, linestyle=style, linewidth=width, marker=".",
        markersize=4, label=curve.which,
    )  # fmt: skip
    lost = [i for i, loss in enumerate(curve.losses) if not math.isfinite(loss)]
    if lost:
        before = [loss for loss in finite if not math.isnan(loss)]
        at = before[-1] if before else (curve.golden or [1.0])[0]
        axes.plot([lost[0]], [at], "x", color=colour.light, markersize=9, mew=2)


def _scale(axes: Axes, curves: Sequence[Typical]) -> None:
    """Show all steps; a range of many magnitudes by logarithms."""
    longest = max(len(c.losses) for c in curves)
    last = max(1, longest - 1)
    axes.set_xlim(-0.04 * last, 1.04 * last)
    values = [x for c in curves for x in (*c.losses, *c.golden) if math.isfinite(x)]
    if not values:
        axes.set_yticks([])
        return
    if min(values) > 0 and max(values) > _WIDE_RANGE * min(values):
        axes.set_yscale("log")
    elif min(values) >= 0:
        axes.set_ylim(0, 1.08 * max(values))
