# SPDX-License-Identifier: Apache-2.0
"""Section: how many steps pass until a fault shows."""

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tpufi.campaign.inference import KIND
from tpufi.campaign.report.cells import Share, count_text, share_text
from tpufi.campaign.report.document import Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.figures import FIRST, SECOND, new_figure
from tpufi.statistics.latency import LatencySummary, summarise_latency

_MOST_BARS = 60


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section; none on inferences, which have no step after the fault."""
    if facts.plan.get("kind") == KIND:
        return
    latencies = facts.judged["detection_latency"]
    seen = {int(s): int(n) for s, n in latencies.value_counts().sort_index().items()}
    counts = {**seen, None: int(latencies.isna().sum())}
    summary = summarise_latency(counts, confidence=facts.options.confidence)
    blocks = (_text(summary), *([_picture(seen, summary)] if seen else []))
    yield Section("latency", "Detection latency", blocks)


def _text(summary: LatencySummary) -> str:
    share, (low, high) = summary.detected / summary.experiments, summary.share
    text = (
        f"{count_text(summary.detected)} of {count_text(summary.experiments)} "
        f"experiments, {share_text(share)} ({share_text(low)} to {share_text(high)}), "
        "showed in loss or accuracy within the horizon"
    )
    if not summary.detected:
        return f"{text}."
    text += f", after {summary.mean:.2f} steps on average, {summary.longest} at most"
    quantiles = [
        f"{share_text(p)} of all had shown after {s:.0f}"
        for p, s in summary.quantiles.items()
        if math.isfinite(s)
    ]
    return f"{'; '.join([text, *quantiles])}."


def _picture(seen: Mapping[int, int], summary: LatencySummary) -> Picture:
    running = itertools.accumulate(seen.values())
    table = Table.of(
        "latency",
        "Experiments by the steps from the fault to the first detectable one; 0 is the "
        "faulty step.",
        [
            {
                "steps": steps,
                "experiments": count,
                "detected so far": so_far,
                "share so far": Share(so_far / summary.experiments),
            }
            for (steps, count), so_far in zip(seen.items(), running, strict=True)
        ],
    )
    most = max(seen, key=seen.get)
    return Picture(
        "latency_histogram",
        "Bars: experiments by detection latency. Line: share of all experiments that "
        "has shown so far.",
        f"Histogram of detection latencies from {min(seen)} to {max(seen)} steps; most "
        f"experiments, {seen[most]}, after {most}",
        lambda: _histogram(table),
        table,
    )


def _histogram(table: Table) -> Figure:
    """Return bars of experiments, and a line of the share detected so far."""
    steps, counts, _, so_far = (table.frame[name].tolist() for name in table.frame)
    longest = steps[-1]
    width = -(-(longest + 1) // _MOST_BARS)
    bars = np.bincount(np.array(steps) // width, counts)
    figure = new_figure(8.6, 2.9)
    axes = figure.add_subplot()
    places = np.arange(len(bars)) * width + (width - 1) / 2
    axes.bar(places, bars, width=0.85 * width, color=FIRST.light, alpha=0.75)
    axes.set_xlim(-0.6, longest + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    of_width = f", {width} to a bar" if width > 1 else ""
    axes.set_xlabel(f"steps from the fault to the first detectable one{of_width}")
    axes.set_ylabel("experiments")
    line = axes.twinx()
    line.plot(
        [*steps, longest + 0.6], [*so_far, so_far[-1]], color=SECOND.light,
        drawstyle="steps-post",
    )  # fmt: skip
    line.set_ylim(0, 1.15 * so_far[-1])
    line.yaxis.set_major_formatter(PercentFormatter(1))
    line.set_ylabel("detected so far (line)", color=SECOND.light)
    line.grid(visible=False)
    line.spines["right"].set_visible(True)
    return figure
