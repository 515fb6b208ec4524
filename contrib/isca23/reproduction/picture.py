# SPDX-License-Identifier: Apache-2.0
"""Loss curves of the replays of one workload, beside the golden runs."""

import math
import pathlib

from tpufi.contrib.isca23.reproduction.results import Measured
from tpufi.extras import optional
from tpufi.io import atomic_write


def draw(results: dict[str, tuple[Measured, str]], path: pathlib.Path) -> None:
    """Write the picture: a panel for each case; a non-finite loss is a cross.

    Args:
      results: measurements and outcome by the label of the case.
      path: file to write (.png).
    """
    # Loaded here: drawing is not needed by anything else.
    optional("matplotlib", "a picture").use("Agg")
    from matplotlib import pyplot

    count = len(results)
    span = max(2, *(len(m.faulty) for m, _ in results.values()))
    figure, panels = pyplot.subplots(
        1, count, figsize=(3.8 * count, 2.9), layout="constrained", squeeze=False
    )
    for axes, (label, (measured, outcome)) in zip(
        panels[0], results.items(), strict=True
    ):
        runs = (measured.golden, *measured.others)
        losses = [[p.loss for p in run] for run in runs]
        steps = range(measured.first, measured.first + len(losses[0]))
        low = [min(column) for column in zip(*losses, strict=True)]
        high = [max(column) for column in zip(*losses, strict=True)]
        axes.fill_between(steps, low, high, color="black", alpha=0.2, linewidth=0)
        axes.plot(steps, losses[0], color="black", marker=".", label="golden")
        faulty = [p.loss for p in measured.faulty]
        steps = range(measured.first, measured.first + len(faulty))
        axes.plot(steps, faulty, color="tab:red", marker=".", label="with the fault")
        finite = [loss for loss in faulty if math.isfinite(loss)]
        if len(finite) < len(faulty):
            axes.plot(steps[-1], losses[0][len(finite)], "x", color="tab:red", ms=12)
        axes.set_xlim(measured.first - 0.5, measured.first + span - 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        # A loss far beyond golden's would flatten everything else.
        axes.set_ylim(0, min(1.15 * max([*high, *finite]), 5 * max(high)))
        axes.set_title(f"{label.split('/')[1]}\n{outcome}", fontsize=9)
        axes.set_xlabel("training step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=7, loc="lower left")
    panels[0][0].set_ylabel("training loss", fontsize=8)
    with atomic_write(path) as scratch:
        figure.savefig(scratch, dpi=100, metadata={"Software": None})
    pyplot.close(figure)
