# SPDX-License-Identifier: Apache-2.0
"""The strata of a plan as lines: shares, expected margins, needed experiments."""

from collections.abc import Iterator

from tpufi.campaign.plan import strata
from tpufi.campaign.subject import Subject
from tpufi.statistics.intervals import wilson
from tpufi.statistics.sample_size import leveugle_size, wilson_size


def plan_lines(
    subject: Subject,
    by: tuple[str, ...],
    margin: float,
    confidence: float = 0.95,
    rate: float = 0.5,
    seconds: float | None = None,
    workers: int = 1,
) -> Iterator[str]:
    """Yield what a plan draws and how precise it will be.

    Args:
      subject: what is injected into, with the plan.
      by: what makes a stratum, among `stop_rule.STRATUM_KEYS`.
      margin: wanted half width of the interval of a rate, above 0, below 1.
      confidence: of the intervals, above 0, below 1.
      rate: expected rate, above 0, below 1.
      seconds: of one experiment, as measured; None: no time is told.
      workers: that run at the same time, >= 1.
    """
    plan = subject.plan
    total = plan.stop.experiments
    parts = strata(subject.source, by)
    leveugle = leveugle_size(margin, confidence, rate)
    score = wilson_size(margin, confidence, rate)
    yield f"{subject.title}, seed {plan.seed}, {total} experiments of {subject.origin}"
    yield (
        f"for {rate:.4g} +- {margin:.4g} with confidence {confidence:.4g} a stratum "
        f"needs {leveugle} experiments (Leveugle, no bound on faults), {score} (Wilson)"
    )
    width = max([len(" ".join(key)) for key in parts] + [len("stratum")])
    yield f"{'stratum':{width}}  share     expected    margin   whole campaign"
    largest = 0
    for key, share in sorted(parts.items(), key=lambda item: (-item[1], item[0])):
        expected = float(share) * total
        half = wilson(rate * expected, expected, confidence).width / 2
        # Experiments of the whole campaign that give this stratum what it needs.
        whole = -(-score * share.denominator // share.numerator)
        largest = max(largest, whole)
        name = " ".join(key) or "all"
        yield (
            f"{name:{width}}  {float(share):7.3%}  {expected:10.0f}  {half:7.3%}"
            f"  {whole:15}"
        )
    yield (
        f"{len(parts)} strata; every one has the margin after about {largest} "
        "experiments drawn by the plan"
    )
    if seconds is not None:
        hours = total * seconds / workers / 3600
        needed = largest * seconds / workers / 3600
        yield (
            f"{hours:.4g} hours for the campaign, {needed:.4g} for the margin in every "
            f"stratum, at {seconds:g} s an experiment and {workers} workers"
        )
