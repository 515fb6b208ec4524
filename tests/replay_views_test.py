# SPDX-License-Identifier: Apache-2.0
"""Replays beside the golden run: the text table and the picture of losses."""

import math

import numpy as np
from matplotlib import pyplot

from tpufi.experiment.loss_plot import plot_losses
from tpufi.experiment.replay import ReplayResult
from tpufi.experiment.table import table
from tpufi.outcomes.outcome import Point


def result(outcome: str, faulty: list[float], golden: list[float]) -> ReplayResult:
    points = [tuple(Point(loss, 0.5, "s") for loss in run) for run in (faulty, golden)]
    return ReplayResult(outcome, 7, *points, ())


RESULTS = {
    "short": result("immediate INF/NaN", [math.nan], [2.0, 1.5]),
    "long": result("masked", [2.5, 1.75, 1.0], [2.0, 1.5]),
}


def test_the_table_has_a_row_for_each_step_and_the_outcomes_below():
    rows = [line.split() for line in table(RESULTS).splitlines()]
    assert rows == [
        ["step", "golden", "short", "long"],
        ["7", "2.00000", "nan", "2.50000"],
        ["8", "1.50000", "1.75000"],
        ["9", "1.00000"],
        ["outcome", "immediate", "INF/NaN", "masked"],
    ]
    assert len({len(line) for line in table(RESULTS).splitlines()}) == 1


def test_the_picture_has_all_losses_and_a_cross_where_one_is_not_finite(
    tmp_path, monkeypatch
):
    drawn = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    path = plot_losses(RESULTS, tmp_path / "losses.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    (axes,) = drawn[0].axes
    golden, short, cross, long = axes.lines
    assert golden.get_xydata().tolist() == [[7, 2.0], [8, 1.5]]
    assert np.isnan(short.get_ydata()).all()
    assert (cross.get_marker(), cross.get_xydata().tolist()) == ("x", [[7, 2.0]])
    assert long.get_xydata().tolist() == [[7, 2.5], [8, 1.75], [9, 1.0]]
    assert axes.get_ylim()[1] == 1.1 * 2.5
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["golden run", "short: immediate INF/NaN", "long: masked"]
