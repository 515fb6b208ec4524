# SPDX-License-Identifier: Apache-2.0
"""Section: FIT by FIdelity's formula, where the user gives the raw rate."""

import math

import numpy as np

from tpufi.campaign.report.document import Column, Listing, Paragraph, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.family import Family
from tpufi.campaign.report.rates import Rate
from tpufi.campaign.statistics.fit_rate import fit_rate, hours_to_failure
from tpufi.errors import InputError
from tpufi.faults.flip_flop_shares import CLASSES, FlipFlopClass


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section; none without a raw rate.

    Raises:
      InputError: no fault model of the campaign stands for a class of flip-flops.
    """
    raw = facts.options.raw_fit
    if raw is None:
        return ()
    rates = _rates(facts)
    classes = [group for group in CLASSES if group.name in rates]
    if not classes:
        raise InputError(
            "raw FIT: no fault model of this campaign stands for a class of "
            "flip-flops; leave it out, or run some of "
            f"{', '.join(group.models[0] for group in CLASSES)}"
        )
    confidence = facts.options.confidence
    counts = {name: (r.share * r.effective, r.effective) for name, r in rates.items()}
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
        tuple(_row(group, rates[group.name], raw) for group in classes),
    )
    missing = [group for group in CLASSES if group.name not in rates]
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


def _rates(facts: Facts) -> dict[str, Rate]:
    """Return the rate of each class that has experiments; classes share models."""
    models, counter = facts.families["model"], facts.counter
    found = {}
    for group in CLASSES:
        inside = np.isin(np.array(models.labels), group.models)
        family = Family(
            "class", "class", (group.name,), np.where(inside[models.codes], 0, -1)
        )
        (rate,) = counter.rates(family, counter.visible)
        if rate is not None:
            found[group.name] = rate
    return found


def _row(group: FlipFlopClass, rate: Rate, raw: float) -> tuple:
    return (
        group.name,
        float(group.share),
        float(group.activeness),
        ", ".join(group.models),
        rate.trials,
        rate.hits,
        rate.share,
        tuple(rate.interval),
        raw * float(group.share * group.activeness) * rate.share,
    )


def _hours(hours: float) -> str:
    return f"{hours:.4g}" if math.isfinite(hours) else "unbounded"
