# SPDX-License-Identifier: Apache-2.0
"""Section: FIT by FIdelity's formula, where the user gives the raw rate."""

import math
from collections.abc import Iterator

from tpufi.campaign.fit_rate import fit_rate, hours_to_failure
from tpufi.campaign.report.cells import Share
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.rates import Rate
from tpufi.errors import InputError
from tpufi.faults.flip_flop_shares import CLASSES


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section; none without a raw rate.

    Raises:
      InputError: no fault model of the campaign stands for a class of flip-flops.
    """
    raw = facts.options.raw_fit
    if raw is None:
        return
    rates = _rates(facts)
    classes = [group for group in CLASSES if group.name in rates]
    if not classes:
        raise InputError(
            "raw FIT: no fault model of this campaign stands for a class of "
            "flip-flops; leave it out, or run some of "
            f"{', '.join(group.models[0] for group in CLASSES)}"
        )
    counts = {name: (r.share * r.effective, r.effective) for name, r in rates.items()}
    fit = fit_rate(raw, counts, classes, facts.options.confidence)
    hours = hours_to_failure(fit)
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
    if missing := [group.name for group in CLASSES if group.name not in rates]:
        points.append(
            f"No experiment has a fault of {', '.join(missing)}: these classes count "
            "as harmless, so the true rate is higher."
        )
    table = Table.of(
        "fit",
        "FIT by class of flip-flops.",
        [
            {
                "class": group.name,
                "share of flip-flops": Share(group.share),
                "activeness": Share(group.activeness),
                "fault models": ", ".join(group.models),
                "experiments": rate.trials,
                "failures": rate.hits,
                "rate": Share(rate.share),
                "interval": rate.interval,
                "FIT": raw * float(group.share * group.activeness) * rate.share,
            }
            for group in classes
            for rate in [rates[group.name]]
        ],
    )
    yield Section("fit", "FIT", (text, tuple(points), table))


def _rates(facts: Facts) -> dict[str, Rate]:
    """Return the rate of each class that has experiments; classes share models."""
    counts = facts.estimator.counts(["model", "cluster"])
    found = {}
    for group in CLASSES:
        inside = counts[counts.index.get_level_values(0).isin(group.models)]
        if len(inside):
            clusters = inside.groupby(level=1).sum()
            found[group.name] = facts.estimator.rate(clusters)
    return found


def _hours(hours: float) -> str:
    return f"{hours:.4g}" if math.isfinite(hours) else "unbounded"
