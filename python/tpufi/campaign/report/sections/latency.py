# SPDX-License-Identifier: Apache-2.0
"""Section: how many steps pass until a fault shows."""

import itertools
import math

import numpy as np

from tpufi.campaign.report.cells import count_text, share_text
from tpufi.campaign.report.document import Column, Paragraph, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.pictures import histogram
from tpufi.campaign.statistics.latency import LatencySummary, summarise_latency


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    columns, judged = facts.columns, facts.counter.judged
    values = columns.values["detection_latency"]
    codes = columns.codes["detection_latency"][judged]
    numbers = np.bincount(codes, minlength=len(values)).tolist()
    counts = dict(zip(values, numbers, strict=True))
    summary = summarise_latency(counts, confidence=facts.options.confidence)
    text = Paragraph(_text(summary))
    seen = {s: n for s, n in sorted((s, n) for s, n in counts.items() if s is not None)}
    seen = {steps: count for steps, count in seen.items() if count}
    if not seen:
        return (Section("latency", "Detection latency", (text,)),)
    running = itertools.accumulate(seen.values())
    rows = [
        (steps, count, so_far, so_far / summary.experiments)
        for (steps, count), so_far in zip(seen.items(), running, strict=True)
    ]
    table = Table(
        "latency",
        "Experiments by the steps from the fault to its first visible effect; 0 is the "
        "struck step.",
        (
            Column("steps", "number"),
            Column("experiments", "count"),
            Column("detected so far", "count"),
            Column("share so far", "share"),
        ),
        tuple(rows),
    )
    most = max(seen, key=seen.get)
    picture = Picture(
        "latency_histogram",
        "Bars: experiments by detection latency. Line: share of all experiments that "
        "has shown so far.",
        f"Histogram of detection latencies from {min(seen)} to {max(seen)} steps; most "
        f"experiments, {seen[most]}, after {most}",
        lambda: histogram.draw(seen, summary.experiments),
        table,
    )
    return (Section("latency", "Detection latency", (text, picture)),)


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
