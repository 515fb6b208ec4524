# SPDX-License-Identifier: Apache-2.0
"""Neyman's allocation of a campaign's experiments, with another campaign as pilot."""

from collections.abc import Iterator

from tpufi.campaign.allocation import visible_effects
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan import Plan, strata
from tpufi.errors import InputError
from tpufi.faults.sampler import FaultSource
from tpufi.statistics.sample_size import neyman


def neyman_lines(
    plan: Plan, sampler: FaultSource, by: tuple[str, ...], pilot: Reader
) -> Iterator[str]:
    """Yield how many experiments each stratum should get, best for the overall rate.

    The rate is that of any effect that is not masked. `stop.pilot` in the campaign file
    has a campaign follow the allocation of its first experiments.

    Args:
      plan: the plan.
      sampler: of the plan.
      by: what makes a stratum, among `stop_rule.STRATUM_KEYS`.
      pilot: journal of a campaign that has experiments in every stratum.

    Raises:
      InputError: a stratum has no experiment in the pilot.
    """
    shares = strata(sampler, by)
    effects = visible_effects(pilot.tally(by), shares)
    for stratum, (_, trials) in effects.items():
        if not trials:
            raise InputError(
                f"the pilot has no experiment in stratum {' '.join(stratum) or 'all'}; "
                "name a larger one, or fewer keys with --by"
            )
    total = plan.stop.experiments
    if total < len(shares):
        raise InputError(
            f"{total} experiments for {len(shares)} strata; plan at least one for each"
        )
    counts = neyman(
        total,
        [float(share) for share in shares.values()],
        list(effects.values()),
    )
    size = sum(trials for _, trials in effects.values())
    yield f"Neyman's allocation of {total} experiments, from {size}"
    for (stratum, share), count in sorted(
        zip(shares.items(), counts, strict=True), key=lambda item: -item[1]
    ):
        name = " ".join(stratum) or "all"
        yield (
            f"  {name}: {count}, weight {count / total / float(share):.3g} against the "
            f"plan's (pilot: {'/'.join(map(str, effects[stratum]))})"
        )
