# SPDX-License-Identifier: Apache-2.0
"""Section: FIT by FIdelity's formula, where the user gives the raw rate."""

import math

from tpufi.campaign.report.document import Column, Listing, Paragraph, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.statistics.fit_rate import fit_rate, hours_to_failure
from tpufi.errors import InputError
from tpufi.sampling.flip_flop_shares import CLASSES


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section; none without a raw rate.

    Raises:
      InputError: no fault model of the campaign stands for a class of flip-flops.
    """
    raw = facts.options.raw_fit
    if raw is None:
        return ()
    counts = _counts(facts)
    classes = [group for group in CLASSES if group.name in counts]
    if not classes:
        raise InputError(
            "raw FIT: no fault model of this campaign stands for a class of "
            "flip-flops; leave it out, or run some of "
            f"{', '.join(group.models[0] for group in CLASSES)}"
        )
    confidence = facts.options.confidence
    fit = fit_rate(raw, counts, classes, confidence)
    hours = hours_to_failure(fit)
    table = Table(
        "fit",
        "FIT by class of flip-flops.",
        (
            Column("class"),
            Column("share of flip-flops", "share"),
            Column("activeness", "share"),
            Column("fault models"),
            Column("experiments", "count"),
            Column("failures", "count"),
            Column("rate", "share"),
            Column("interval", "interval"),
            Column("FIT", "number"),
        ),
        tuple(_row(facts, group, counts[group.name], raw) for group in classes),
    )
    missing = [group for group in CLASSES if group.name not in counts]
    text = (
        f"{fit.value:.4g} FIT ({fit.interval.low:.4g} to {fit.interval.high:.4g}) of a "
        f"raw rate of {raw:g} FIT for all flip-flops: mean time to a visible effect "
        f"{_hours(hours.value)} hours ({_hours(hours.interval.low)} to "
        f"{_hours(hours.interval.high)})."
    )
    points = [
        "Sum over classes of raw rate, share, activeness and P(visible effect). Shares "
        "and activeness are those of an NVDLA-like design (FIdelity, MICRO 2020), not "
        "of a TPU.",
        "Within a class the experiments count as they were drawn.",
        "28 % of the flip-flops belong to no class and count as harmless.",
    ]
    if missing:
        names = ", ".join(group.name for group in missing)
        points.append(
            f"No experiment has a fault of {names}: these classes count as harmless, "
            "so the true rate is higher."
        )
    blocks = (Paragraph(text), Listing(tuple(points)), table)
    return (Section("fit", "FIT", blocks),)


def _counts(facts: Facts) -> dict[str, tuple[int, int]]:
    family, rates = facts.families["model"], facts.rates["model"]
    by_model = dict(zip(family.labels, rates, strict=True))
    counts = {}
    for group in CLASSES:
        found = [rate for name in group.models if (rate := by_model.get(name))]
        if found:
            counts[group.name] = (
                sum(r.hits for r in found),
                sum(r.trials for r in found),
            )
    return counts


def _row(facts: Facts, group, counts: tuple[int, int], raw: float) -> tuple:
    hits, trials = counts
    return (
        group.name,
        float(group.share),
        float(group.activeness),
        ", ".join(group.models),
        trials,
        hits,
        hits / trials,
        tuple(facts.counter.interval(hits, trials)),
        raw * float(group.share * group.activeness) * hits / trials,
    )


def _hours(hours: float) -> str:
    return f"{hours:.4g}" if math.isfinite(hours) else "unbounded"
