# SPDX-License-Identifier: Apache-2.0
"""Replays beside the golden run, as text tables."""

import collections

from tpufi.experiment.replay import ReplayResult
from tpufi.text_table import aligned_table


def table(results: dict[str, ReplayResult]) -> str:
    """Return per-step losses of the golden run and of each replay, and the outcomes.

    Args:
      results: by column title; all entered at the same step.
    """
    titles = ["step", "golden", *results]
    first = next(iter(results.values())).first
    longest = max(results.values(), key=lambda r: len(r.golden)).golden
    count = max(len(r.faulty) for r in results.values())
    rows = []
    for i in range(count):
        golden = f"{longest[i].loss:.5f}" if i < len(longest) else ""
        cells = [
            f"{r.faulty[i].loss:.5f}" if i < len(r.faulty) else ""
            for r in results.values()
        ]
        rows.append([str(first + i), golden, *cells])
    rows.append(["outcome", "", *(r.outcome for r in results.values())])
    return aligned_table([titles, *rows])


def summary(results: dict[str, ReplayResult]) -> str:
    """Return one line for each replay: its steps, first and last losses and outcome.

    Args:
      results: by title.
    """
    rows = [["replay", "step", "steps", "loss", "last", "golden", "outcome"]]
    for title, r in results.items():
        last = min(len(r.faulty), len(r.golden)) - 1
        losses = (r.faulty[0].loss, r.faulty[-1].loss, r.golden[last].loss)
        shown = (f"{loss:.5f}" for loss in losses)
        rows.append([title, str(r.first), str(len(r.faulty)), *shown, r.outcome])
    outcomes = collections.Counter(r.outcome for r in results.values())
    counts = ", ".join(f"{name} {n}" for name, n in outcomes.most_common())
    return f"{aligned_table(rows, left=1)}\n{len(results)} replays: {counts}"
