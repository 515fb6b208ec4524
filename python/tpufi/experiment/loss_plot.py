# SPDX-License-Identifier: Apache-2.0
"""Loss curves of replays beside the golden run, as a picture."""

import math
import pathlib

from tpufi.experiment.replay import ReplayResult
from tpufi.extras import optional


def plot_losses(results: dict[str, ReplayResult], path: pathlib.Path) -> pathlib.Path:
    """Write the picture and return its path; a non-finite loss is a cross.

    Args:
      results: by label; all entered at the same step.
      path: file to write (.png).
    """
    # Loaded here: drawing is not needed by anything else.
    optional("matplotlib", "a picture").use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    longest = max(results.values(), key=lambda r: len(r.golden))
    golden = [point.loss for point in longest.golden]
    steps = range(longest.first, longest.first + len(golden))
    axes.plot(steps, golden, color="black", linewidth=3, alpha=0.4, label="golden run")
    top = max(golden)
    for label, result in results.items():
        losses = [point.loss for point in result.faulty]
        steps = range(result.first, result.first + len(losses))
        (line,) = axes.plot(
            steps, losses, marker=".", label=f"{label}: {result.outcome}"
        )
        finite = [loss for loss in losses if math.isfinite(loss)]
        top = max([top, *finite])
        if len(finite) < len(losses):
            axes.plot(steps[-1], golden[0], "x", markersize=12, color=line.get_color())
    axes.set_xlabel("training step")
    axes.set_ylabel("training loss")
    axes.set_ylim(0, 1.1 * top)
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
